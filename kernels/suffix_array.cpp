#include "suffix_array.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "huge_pages.h"
#include "token_text.h"
#include "two_stage_sorter.h"

namespace lodex {
namespace {

/// Replaces 32-bit tokens by their ranks among the distinct ones, in byte order; returns how many are distinct.
Index rank_tokens(const std::uint32_t* tokens, Index n, Index* ranks) {
  // Ids of real vocabularies are small, but for a separator of all ones, and are looked up in a table.
  // Larger ones are found by bisection, so no id is refused and memory stays bounded.
  constexpr std::uint32_t kTableSize = 1u << 22;
  std::vector<Index> table(kTableSize, 0);
  std::vector<std::uint32_t> distinct;
  for (Index i = 0; i < n; ++i) {
    const std::uint32_t token = tokens[i];
    if (token >= kTableSize || table[token] == 0) distinct.push_back(swap_bytes(token));
    if (token < kTableSize) table[token] = 1;
  }
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const auto rank = [&](std::uint32_t token) {
    return Index(std::lower_bound(distinct.begin(), distinct.end(), swap_bytes(token)) - distinct.begin());
  };
  for (const std::uint32_t symbol : distinct) {
    if (const std::uint32_t token = swap_bytes(symbol); token < kTableSize) table[token] = rank(token);
  }
  for (Index i = 0; i < n; ++i) ranks[i] = tokens[i] < kTableSize ? table[tokens[i]] : rank(tokens[i]);
  return Index(distinct.size());
}

}  // namespace

template <typename Token>
SortRoute build_suffix_array(const Token* tokens, std::int32_t n, std::int32_t* positions, int threads) {
  advise_huge_pages(positions, std::size_t(n) * sizeof *positions);
  if constexpr (sizeof(Token) <= 2) {
    return TwoStageSorter<TokenText<Token>>({tokens}, n, positions, threads).sort();
  } else {
    const std::unique_ptr<Index[]> ranks(new Index[n]);
    advise_huge_pages(ranks.get(), std::size_t(n) * sizeof(Index));
    const Index alphabet = rank_tokens(tokens, n, ranks.get());
    return TwoStageSorter<RankText>({ranks.get(), alphabet}, n, positions, threads).sort();
  }
}

template SortRoute build_suffix_array(const std::uint8_t*, std::int32_t, std::int32_t*, int);
template SortRoute build_suffix_array(const std::uint16_t*, std::int32_t, std::int32_t*, int);
template SortRoute build_suffix_array(const std::uint32_t*, std::int32_t, std::int32_t*, int);

}  // namespace lodex
