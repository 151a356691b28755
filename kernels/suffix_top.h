// The top level of a search: what is kept in memory, so that few suffixes are left to be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "suffix_text.h"

namespace lodex {

/// Ranks [begin, end): a run of the sorted suffixes.
struct RankRange {
  std::size_t begin;
  std::size_t end;
};

/// Where the bounds of a query's ranks are to be looked for: each in [from, to], both ends included.
///
/// While `joint`, both are in the same interval and no suffix is known to match.
struct Bounds {
  std::size_t begin_from, begin_to;
  std::size_t end_from, end_to;
  bool joint;
  std::size_t common;  // leading bytes that all suffixes between the bounds share with the query
};

/// A key for each page of kPage suffixes, and for large tables of narrow tokens where each first token begins.
///
/// The key is of eight bytes: the first of the suffix or, beside the table of first tokens, those behind its first
/// token. A text that ends inside is continued by zeros. Together at most 0.03 bytes for each token.
class TopLevel {
 public:
  static constexpr std::size_t kPage = 512;

  TopLevel() = default;

  /// Whether a table of `num_tokens` has one of first tokens, and how many entries that is.
  static std::size_t num_starts(std::size_t token_bytes, std::size_t num_tokens);
  static std::size_t num_keys(std::size_t num_tokens) { return (num_tokens + kPage - 1) / kPage; }

  /// Sizes must be those of num_starts and num_keys; starts must ascend from 0 to num_tokens, keys within each start.
  TopLevel(std::vector<std::uint64_t> starts, std::vector<std::uint64_t> keys, std::size_t token_bytes,
           std::size_t num_tokens);

  const std::vector<std::uint64_t>& starts() const { return starts_; }
  const std::vector<std::uint64_t>& keys() const { return keys_; }
  /// Bytes of a suffix in front of its key.
  std::size_t key_skip() const { return starts_.empty() ? 0 : token_bytes_; }

  /// Asks for what `narrow` reads first of a query, and then, when that is there, for what it reads next.
  void prefetch_start(const Query& query) const {
    if (!starts_.empty() && query.size) prefetch(starts_.data() + first_token(query.bytes));
  }
  void prefetch_keys(const Query& query) const {
    if (starts_.empty() || !query.size) return;
    const std::size_t first = first_token(query.bytes);
    prefetch(keys_.data() + (starts_[first] + starts_[first + 1]) / (2 * kPage));
  }

  /// Narrows a query of one token or more down to a page at each bound, where the keys tell.
  /// `matches(rank)` says whether a suffix begins with the query; it is asked where the end of the text is in doubt.
  template <typename Matches>
  Bounds narrow(const Query& query, const Matches& matches) const {
    std::size_t low = 0, high = num_tokens_, skip = 0;
    if (!starts_.empty()) {
      const std::size_t first = first_token(query.bytes);
      low = starts_[first];
      high = starts_[first + 1];
      skip = token_bytes_;
      if (query.size == token_bytes_) return {low, low, high, high, false, skip};
    }
    const std::size_t first_page = (low + kPage - 1) / kPage, end_page = high ? (high - 1) / kPage + 1 : 0;
    if (first_page >= end_page) return {low, high, low, high, true, skip};

    const std::size_t size = query.size - skip;
    const std::uint64_t unknown = size < 8 ? ~std::uint64_t{0} >> (8 * size) : 0;
    const std::uint64_t least = load_key(query.bytes + skip) & ~unknown, most = least | unknown;
    const std::uint64_t* const keys = keys_.data();
    std::size_t begin = lower_bound(keys, first_page, end_page, least);  // first page that is not smaller
    std::size_t end = begin;                                             // first page that is greater
    if (begin < end_page && keys[begin] <= most) end = upper_bound(keys, begin, end_page, most);

    if (size <= 8 && begin < end) {
      // All pages between match, but for those of suffixes that end before the query does, which come first.
      if ((least & 0xff) == 0) {
        while (begin < end && keys[begin] == least && !matches(begin * kPage)) ++begin;
      }
      if (begin < end) {
        const std::size_t before = begin > first_page ? (begin - 1) * kPage + 1 : low;
        const std::size_t behind = end < end_page ? end * kPage : high;
        return {before, begin * kPage, (end - 1) * kPage + 1, behind, false, skip};
      }
    }
    const std::size_t from = begin > first_page ? (begin - 1) * kPage + 1 : low;
    const std::size_t to = end < end_page ? end * kPage : high;
    return {from, to, from, to, true, skip};
  }

 private:
  std::size_t first_token(const std::uint8_t* bytes) const {
    return token_bytes_ == 1 ? bytes[0] : std::size_t(bytes[0]) << 8 | bytes[1];
  }
  static std::size_t lower_bound(const std::uint64_t* keys, std::size_t from, std::size_t to, std::uint64_t key);
  static std::size_t upper_bound(const std::uint64_t* keys, std::size_t from, std::size_t to, std::uint64_t key);

  std::vector<std::uint64_t> starts_, keys_;
  std::size_t token_bytes_ = 1, num_tokens_ = 0;
};

}  // namespace lodex
