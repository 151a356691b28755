// Attention of bfloat16 texts that lie end to end, each of which sees the whole of itself.

#pragma once

#include <cstddef>
#include <cstdint>

namespace lodex {

/// Rows of heads: row i of head h begins at data + i * stride + h * width. Numbers are bfloat16.
struct HeadRows {
  const std::uint16_t* data;
  std::size_t stride;
};

struct TextAttention {
  HeadRows queries, keys, values;
  std::uint16_t* out;  // like queries, with the stride heads * width
  const std::int64_t* offsets;  // texts + 1 of them: text t has rows [offsets[t], offsets[t + 1])
  std::size_t texts, heads, key_heads, width;
  float scale;
};

/// Whether this processor multiplies tiles of bfloat16 (AMX). Without it `attend` must not be called.
bool can_attend();

/// Whether heads of this width are computed: 32, 64 and 128.
bool has_width(std::size_t width);

/// softmax(scale Q K^T) V for each text and head; head h reads key head h * key_heads / heads.
/// Scores and sums are float32, the weights are rounded to bfloat16 before they meet the values.
/// A text's rows depend on no other rows. `scale` is above 0.
void attend(const TextAttention& task);

}  // namespace lodex
