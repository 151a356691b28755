// Page keys: where each suffix parts from the one before it, so that a search reads the text of one of them only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "suffix_text.h"
#include "suffix_top.h"

namespace lodex {

/// Suffixes as strings of bits: each token is a 1 and then its bytes, highest bit first. Behind the end all are 0.
///
/// So of two neighbours in order, the later one has a 1 where they part, and the number of bits that they share is all
/// that a search needs to know of them (Ferguson 1992, bit trees; string B-trees: Ferragina and Grossi 1999).
struct SuffixBits {
  /// A key holds a smaller number of shared bits, or this for as many and more: 15 tokens of 16 bits.
  static constexpr std::size_t kClip = 255;

  static std::size_t of_tokens(std::size_t bytes, std::size_t token_bytes) {
    return bytes / token_bytes * (8 * token_bytes + 1);
  }
  /// How many bits two suffixes share that part behind `common` bytes: in `different` bits, or where one ends if it is 0.
  static std::size_t shared(std::size_t common, std::uint8_t different, std::size_t token_bytes);
};

/// The first bits of a query, and how many it has.
class QueryBits {
 public:
  QueryBits(const Query& query, std::size_t token_bytes);

  bool operator[](std::size_t bit) const { return words_[bit / 64] >> (bit % 64) & 1; }
  std::size_t size() const { return size_; }

 private:
  std::uint64_t words_[(SuffixBits::kClip + 1) / 64] = {};  // 0 from the end of the query on, and from kClip on
  std::size_t size_;
};

/// A file of page keys, borrowed, whose bytes are not trusted: whatever they are, searches stay inside their bounds.
///
/// A header of kHeader bytes; a byte for each suffix: the bits that it shares with the one before it, at most kClip, 0
/// for the first; a byte for each page of TopLevel::kPage suffixes: the bits that its first shares with the first of the
/// page before. As long as a page of keys, the header keeps each of those on one page of the disk.
class PageKeys {
 public:
  static constexpr std::size_t kHeader = 512;
  static_assert(kHeader == TopLevel::kPage);

  PageKeys() = default;
  /// Throws std::invalid_argument for a file of another table, as far as that shows in its header and size.
  PageKeys(const std::uint8_t* bytes, std::size_t size, std::size_t token_bytes, std::size_t num_tokens);

  explicit operator bool() const { return suffixes_ != nullptr; }
  const std::uint8_t* suffixes() const { return suffixes_; }
  const std::uint8_t* pages() const { return pages_; }

  /// Of the strings [from, to), not none, the one that shares most with a query, if any shares more than others do.
  static std::size_t candidate(const std::uint8_t* keys, std::size_t from, std::size_t to, const QueryBits& query);

  /// The first of the strings [from, at] that share `bits` with string `at`.
  static std::size_t run_begin(const std::uint8_t* keys, std::size_t from, std::size_t at, std::size_t bits) {
    while (at > from && keys[at] >= bits) --at;
    return at;
  }
  /// The first behind `at` of the strings [at, to) that does not share `bits` with it, or `to`.
  static std::size_t run_end(const std::uint8_t* keys, std::size_t at, std::size_t to, std::size_t bits) {
    return bits == 0 ? to : next_at_most(keys, at + 1, to, std::uint8_t(bits - 1));
  }

 private:
  /// The first of keys [from, to) that is at most `limit`, or `to`.
  static std::size_t next_at_most(const std::uint8_t* keys, std::size_t from, std::size_t to, std::uint8_t limit);

  const std::uint8_t *suffixes_ = nullptr, *pages_ = nullptr;
};

}  // namespace lodex
