// Searching a token stream through its suffix table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace lodex {

/// A table that cannot belong to its text. Bytes are not trusted: every offset is checked before it is followed.
class CorruptTable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Ranks [begin, end): a run of the sorted suffixes.
struct RankRange {
  std::size_t begin;
  std::size_t end;
};

/// What follows a prompt, and how often. `token` is SuffixTable::kEndOfStream where the stream ends there.
struct NextToken {
  std::int64_t token;
  std::int64_t count;
};

/// The sorted suffixes of a text of fixed-width little-endian tokens; both buffers are borrowed, and never written.
///
/// The order is that of the bytes, a suffix that ends first being the smaller, so tokens of every width are compared
/// as bytes. Lengths and positions are in tokens. Reads stay inside the buffers whatever they hold.
class SuffixTable {
 public:
  static constexpr std::int64_t kEndOfStream = -1;

  /// `table` holds the byte offset of each suffix in order, little-endian, table_bytes / tokens bytes wide (1 to 8).
  /// `label` names the table in errors. Throws CorruptTable unless the sizes agree.
  SuffixTable(const std::uint8_t* text, std::size_t text_bytes, std::size_t token_bytes, const std::uint8_t* table,
              std::size_t table_bytes, std::string label);

  std::size_t size() const { return num_tokens_; }
  std::size_t token_bytes() const { return token_bytes_; }

  /// The suffixes that begin with `query` (bytes of `length` tokens); all of them for an empty query.
  RankRange find(const std::uint8_t* query, std::size_t length) const;

  /// The length of the longest suffix of `query` that occurs.
  std::size_t longest_suffix(const std::uint8_t* query, std::size_t length) const;

  /// Appends the distinct tokens at `depth` tokens into the suffixes of `range`, in byte order, each with its count.
  /// Exact where all suffixes of the range agree before that depth. Reads about 2 log2(range) suffixes for each.
  void next_tokens(RankRange range, std::size_t depth, std::vector<NextToken>& out) const;

  /// Writes where the suffixes of `range` start, in rank order.
  void positions(RankRange range, std::int64_t* out) const;

 private:
  std::size_t offset(std::size_t rank) const;
  std::int64_t token_at(std::size_t rank, std::size_t depth) const;
  int compare(std::size_t rank, const std::uint8_t* query, std::size_t query_bytes, std::size_t& common) const;
  bool occurs(const std::uint8_t* query, std::size_t length) const;
  std::size_t lower_bound(const std::uint8_t* query, std::size_t query_bytes) const;
  std::size_t end_of_matches(std::size_t begin, const std::uint8_t* query, std::size_t query_bytes) const;
  void find_changes(std::size_t a, std::int64_t token_a, std::size_t b, std::int64_t token_b, std::size_t depth,
                    std::vector<NextToken>& changes) const;

  const std::uint8_t* text_;
  std::size_t text_bytes_;
  std::size_t token_bytes_;
  std::size_t num_tokens_;
  const std::uint8_t* table_;
  std::size_t offset_bytes_;
  std::string label_;
};

}  // namespace lodex
