// Suffix sorting of token streams in linear time.
#pragma once

#include <cstdint>

namespace lodex {

/// Longest stream that can be sorted: positions are int32.
constexpr std::int64_t kMaxTokens = (std::int64_t{1} << 31) - 1;

/// What a text was sorted by: induction alone, or LMS suffixes by their symbols and names, or these as far as they led
/// and then the string of names by induction.
enum class SortRoute { kInduced, kTwoStage, kReduced };

/// Sorts the suffixes of `tokens[0..n)`: `positions[r]` becomes the start of the r-th smallest suffix.
///
/// Tokens are little-endian on disk and compared byte by byte, so the low byte of a token decides first; a suffix that
/// ends where another goes on is the smaller one. Token is std::uint8_t, std::uint16_t or std::uint32_t; n is at most
/// kMaxTokens. Linear time on every text, and the same answer for any number of threads.
template <typename Token>
SortRoute build_suffix_array(const Token* tokens, std::int32_t n, std::int32_t* positions, int threads);

}  // namespace lodex
