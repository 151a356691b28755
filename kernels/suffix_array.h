// Suffix sorting of token streams in linear time.
#pragma once

#include <cstdint>

namespace lodex {

/// Longest stream that can be sorted: positions are int32.
constexpr std::int64_t kMaxTokens = (std::int64_t{1} << 31) - 1;

/// Sorts the suffixes of `tokens[0..n)`: `positions[r]` becomes the start of the r-th smallest suffix.
///
/// Tokens are little-endian on disk and compared byte by byte, so the low byte of a token decides first; a suffix that
/// ends where another goes on is the smaller one. Token is std::uint8_t, std::uint16_t or std::uint32_t; n is at most
/// kMaxTokens. Linear time on every text. Memory beside `tokens` and `positions`: 512 KiB, what the names of repeated
/// substrings take (1 byte a token on prose, 4 at worst), and for std::uint32_t a copy of 4 bytes a token.
template <typename Token>
void build_suffix_array(const Token* tokens, std::int32_t n, std::int32_t* positions);

}  // namespace lodex
