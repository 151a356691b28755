// Searching a token stream through its suffix table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "suffix_pages.h"
#include "suffix_text.h"
#include "suffix_top.h"

namespace lodex {

class PivotSearch;

/// A table that cannot belong to its text. Bytes are not trusted: every offset is checked before it is followed.
class CorruptTable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What follows a prompt, and how often. `token` is SuffixTable::kEndOfStream where the stream ends there.
struct NextToken {
  std::int64_t token;
  std::int64_t count;
};

/// The sorted suffixes of a text of fixed-width little-endian tokens; both buffers are borrowed, and never written.
///
/// The order is that of the bytes, a suffix that ends first being the smaller, so tokens of every width are compared
/// as bytes. Positions are in tokens, sizes of queries in bytes. Reads stay inside the buffers whatever they hold.
///
/// Every step of a search waits twice for memory: for an entry of the table, then for the text that it names. Batches
/// therefore run many searches in turn, each step announced ahead; a single search tries several places at once.
class SuffixTable {
 public:
  static constexpr std::int64_t kEndOfStream = -1;

  /// `table` holds the byte offset of each suffix in order, little-endian, table_bytes / tokens bytes wide (1 to 8).
  /// `label` names the table in errors. Throws CorruptTable unless the sizes agree.
  SuffixTable(const std::uint8_t* text, std::size_t text_bytes, std::size_t token_bytes, const std::uint8_t* table,
              std::size_t table_bytes, std::string label);

  std::size_t size() const { return num_tokens_; }
  std::size_t token_bytes() const { return token_bytes_; }
  const Text& text() const { return text_; }
  const TopLevel& top() const { return top_; }

  /// Makes the top level in one pass; searches read more suffixes without it.
  void build_top();
  /// Takes a top level made before. Throws CorruptTable for one that cannot be of this table.
  void set_top(std::vector<std::uint64_t> starts, std::vector<std::uint64_t> keys);

  /// Takes a file of page keys, borrowed, which spares a search most of its reads. Throws CorruptTable for one that
  /// cannot be of this table.
  void set_page_keys(const std::uint8_t* bytes, std::size_t size);
  /// For files that are not in memory: a single search waits for each suffix before it tries the next one, and with
  /// page keys batches search query by query.
  void read_few() { reads_few_ = true; }
  /// Writes the page keys of suffixes [begin, end): the bits that each shares with the one before it.
  void shared_bits(std::size_t begin, std::size_t end, std::uint8_t* out) const;

  /// The suffixes that begin with `query`; all of them for an empty one.
  RankRange find(const Query& query) const;
  void find_many(const Query* queries, std::size_t count, RankRange* out) const;

  /// How many leading bytes of each query, whole tokens or not, some suffix begins with.
  void match_many(const Query* queries, std::size_t count, std::size_t* out) const;
  /// The longer of what a query shares with the suffix at `rank` and with the one before it, in bytes.
  std::size_t longest_beside(std::size_t rank, const Query& query) const;
  /// Whether each query occurs.
  void occur_many(const Query* queries, std::size_t count, bool* out) const;

  /// Appends the distinct tokens at `depth` tokens into the suffixes of `range`, in byte order, each with its count.
  /// Exact where all suffixes of the range agree before that depth. Reads about 2 log2(range) suffixes for each, and
  /// with page keys one.
  void next_tokens(RankRange range, std::size_t depth, std::vector<NextToken>& out) const;

  /// Writes where the suffixes of `range` start, in rank order.
  void positions(RankRange range, std::int64_t* out) const;

 private:
  template <typename HasArrived>
  void search_few(PivotSearch* searches, std::size_t count, const HasArrived& has_arrived) const;
  template <typename Search>
  void interleave(const Query* queries, std::size_t count, Search& search) const;
  Bounds narrow(const Query& query) const;
  std::size_t match(const Query& query) const;
  [[noreturn, gnu::cold, gnu::noinline]] void fail_at(std::size_t rank, std::uint64_t value) const;
  Bounds narrow_by_keys(Bounds bounds, const Query& query) const;
  Bounds search_keys(const std::uint8_t* keys, std::size_t from, std::size_t to, std::size_t step, const Bounds& bounds,
                     const Query& query, const QueryBits& bits) const;
  std::size_t offset(std::size_t rank) const;
  void prefetch_entry(std::size_t rank) const { prefetch(table_ + rank * offset_bytes_); }
  void next_tokens_by_keys(RankRange range, std::size_t depth, std::size_t bits, std::vector<NextToken>& out) const;
  std::int64_t token_at(std::size_t offset, std::size_t depth) const;

  Text text_;
  std::size_t token_bytes_;
  std::size_t num_tokens_;
  const std::uint8_t* table_;
  std::size_t offset_bytes_;
  std::uint64_t offset_mask_;
  std::size_t whole_entries_;  // those that have eight bytes from their first to the end of the table
  std::string label_;
  TopLevel top_;
  PageKeys page_keys_;
  bool reads_few_ = false;
};

}  // namespace lodex
