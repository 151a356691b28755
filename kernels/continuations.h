// What stands before and behind the n-grams of a corpus: the counts that Kneser-Ney smoothing is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace lodex {

/// Tables or tokens that cannot belong together. Bytes are not trusted: every offset is checked before it is followed.
class CorruptContinuations : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A stream of documents, each behind a separator (all bits set), and its sorted suffixes. All of it is borrowed.
struct SignedTable {
  const std::uint8_t* text;
  std::size_t num_tokens;
  const std::uint8_t* table;  // byte offsets, little-endian
  std::size_t offset_bytes;
  int sign;  // 1, or -1 for documents that are subtracted
  std::string label;
};

/// Contexts with what follows them: of context i the tokens `followers[follower_offsets[i]:follower_offsets[i + 1]]`,
/// ascending, each with its count.
struct Followers {
  std::vector<std::int64_t> tokens;
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> offsets{0};
};

/// What one pass over all tables finds.
struct Survey {
  std::vector<std::int64_t> counts_of_counts;  // (order, 4): the n-grams whose count is 1, 2, 3, 4
  std::vector<std::int64_t> contexts;          // tokens of the frequent contexts, one behind the other
  std::vector<std::int64_t> context_offsets{0};
  Followers followers;  // of the frequent contexts
};

/// How a context of `depth` tokens is counted: each token behind it by how often it stands there or, for the lower
/// orders of Kneser-Ney, by how many distinct tokens stand before the context where it does.
struct Context {
  std::size_t depth;
  bool counts_occurrences;
};

/// The pass: n-grams of 1 to `order` tokens, and what follows every context that occurs `frequent` times or more.
/// `token_bytes` is 1, 2 or 4. Memory: 8 bytes for each token of the vocabulary and order, and what is returned.
Survey survey(const std::vector<SignedTable>& tables, std::size_t token_bytes, std::size_t vocab_size,
              std::size_t order, std::int64_t frequent);

/// Appends what follows a context that stands at ranks [begins[t * stride], ends[t * stride]) of table t, reading every
/// occurrence once. `scratch` is memory that calls share.
void append_followers(const std::vector<SignedTable>& tables, std::size_t token_bytes, const std::int64_t* begins,
                      const std::int64_t* ends, std::size_t stride, Context context,
                      std::vector<std::uint64_t> (&scratch)[2], Followers& out);

}  // namespace lodex
