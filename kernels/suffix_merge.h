// The exact merge of two suffix arrays: no overlap of the blocks, no limit on the length of a repeat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace lodex {

/// Entries that cannot be the sorted suffixes of their block.
class CorruptEntries : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Sorted suffixes as they stand in memory or in a file: little-endian integers of `width` bytes, each `unit` times the
/// position of a token. A file is read a few pages at a time and never mapped, so it takes no memory of the process.
class SuffixEntries {
 public:
  SuffixEntries(const std::uint8_t* data, std::size_t bytes, std::size_t width, std::size_t unit);
  SuffixEntries(const std::string& path, std::size_t width, std::size_t unit);

  std::size_t size() const { return size_; }

  /// Entries [first, first + count) as positions. CorruptEntries for one that is no position below `limit`.
  void read(std::size_t first, std::size_t count, std::size_t limit, std::uint32_t* positions);

  /// One entry; those near it are at hand for the next calls.
  std::uint32_t at(std::size_t rank, std::size_t limit);

 private:
  const std::uint8_t* bytes(std::size_t first, std::size_t count);

  const std::uint8_t* data_;  // nullptr for a file
  std::string path_;
  std::ifstream file_;
  std::vector<std::uint8_t> buffer_;
  std::size_t width_, shift_, size_;
  std::vector<std::uint32_t> window_;  // of a file: the entries from `window_first_` on
  std::size_t window_first_ = 0;
};

/// Writes positions as entries: `count * width` bytes.
void encode_entries(const std::uint32_t* positions, std::size_t count, std::size_t width, std::size_t unit,
                    std::uint8_t* out);

/// Tokens of the longest suffix of a text that occurs in it a second time, or `limit` if that is less. `sorted` is the
/// suffix array of the text.
std::size_t repeated_tail(const std::uint8_t* text, std::size_t n, std::size_t token_bytes, SuffixEntries& sorted,
                          std::size_t limit);

/// Merges the suffix arrays of `text[0, cut)` and `text[cut, n)`, each sorted as if it were alone, into that of the
/// whole text. Suffixes compare by their bytes; one that ends where another goes on is the smaller one.
///
/// The order of a suffix of the left block can change only where it is a prefix of another one, for it now goes on in
/// the right block. Such suffixes are its last ones, up to the longest that occurs twice: the tails. The caller has
/// them sorted in their new context (`tail_ranks`, `start`), and they are merged with the right block.
///
/// Any other suffix of the left block is compared with one of the right block in a bounded number of steps: it is known
/// for every 512th suffix on the left how many of the right block are smaller, so at most 511 tokens are read before
/// that number and the rank of what follows on the right decide.
///
/// Memory beside the text: 4 bytes for each token on the right, 4 for every 512th on the left, and fixed buffers.
class SuffixMerge {
 public:
  /// Sixteen bytes as a number that compares as they do.
  using WideKey = unsigned __int128;

  /// Text and entries are borrowed. n is less than 2^32 - 1. `left` may be of a longer block that has the left one in
  /// front, if no suffix of it from `cut` on begins another one that is before `cut`: those from `cut` on are passed over.
  SuffixMerge(const std::uint8_t* text, std::size_t n, std::size_t token_bytes, std::size_t cut, SuffixEntries& left,
              SuffixEntries& right);

  std::size_t size() const { return n_; }

  /// For each of the last `length` suffixes of the left block, in their order in the text, and for the right block
  /// itself: how many suffixes of the right block are smaller. Writes length + 1 numbers.
  void tail_ranks(std::size_t length, std::uint32_t* ranks);

  /// Goes to work. `order` has the last `length` suffixes of the left block, counted from 0 in their order in the text,
  /// smallest first in the whole text; all that occur twice must be among them.
  void start(const std::uint32_t* order, std::size_t length);

  /// The next suffixes of the whole text, smallest first; returns how many, 0 at the end.
  std::size_t read(std::uint32_t* positions, std::size_t count);

 private:
  /// Suffixes read ahead, with their first sixteen bytes: few neighbours agree in more of them.
  struct Stream {
    std::vector<std::uint32_t> positions;
    std::vector<WideKey> keys;
    std::size_t at = 0, size = 0;
  };

  struct Free {
    void operator()(std::uint32_t* memory) const { std::free(memory); }
  };

  const std::uint8_t* address(std::size_t position) const { return text_ + (position << shift_); }
  std::uint64_t key_at(std::size_t position) const;
  WideKey wide_key_at(std::size_t position) const;
  void rank_right_block();
  bool right_is_less(std::size_t left, std::size_t right, std::size_t next, std::size_t rank, std::size_t tail_rank,
                     std::size_t known) const;
  std::size_t rank_of(std::size_t position, std::size_t next, std::size_t rank, std::size_t tail_rank);
  std::size_t tail_rank_of(std::size_t position, std::size_t rank, std::size_t next, std::size_t next_rank,
                           std::size_t next_tail_rank) const;
  void sample_left_block();
  void fill_left();
  void fill_right();
  void load_keys(Stream& stream);

  const std::uint8_t* text_;
  std::size_t n_, shift_, cut_;
  SuffixEntries& left_;
  SuffixEntries& right_;
  std::unique_ptr<std::uint32_t[], Free> right_ranks_;  // by position in the right block
  std::vector<std::uint64_t> page_keys_;          // of every 512th suffix of the right block
  // The tails: where they begin, their ranks by position, and by order their positions and ranks in the right block.
  std::size_t tails_begin_;
  std::vector<std::uint32_t> tails_in_right_, tail_ranks_, tails_, tails_right_ranks_;
  // Of the suffix at tails_begin_ - 512 i: how many of the right block, and of the tails, are smaller.
  std::vector<std::uint32_t> samples_, tail_samples_;
  Stream left_stream_, right_stream_;
  std::vector<std::uint32_t> pending_;  // entries of the right block among which the tails are put
  std::size_t left_read_ = 0, left_kept_ = 0, right_read_ = 0, pending_at_ = 0, tails_read_ = 0;
  bool is_started_ = false;
};

}  // namespace lodex
