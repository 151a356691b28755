// Merging two suffix arrays by streaming both. The scheme of comparing with the ranks of the right block is the one of
// Ferragina, Gagie, Manzini 2012, "Lightweight Data Indexing and Compression in External Memory", with the suffixes of
// the left block sampled instead of all being ranked.

#include "suffix_merge.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "huge_pages.h"

namespace lodex {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "entries and keys are read as little-endian integers");

constexpr std::size_t kSample = 512;            // tokens from one ranked suffix of the left block to the next
constexpr std::size_t kPage = 512;              // entries of the right block for each key in memory
constexpr std::size_t kChunk = 2048;            // suffixes of a stream at a time: keys and positions stay in L1 and L2
constexpr std::size_t kPrefetchDistance = 40;

inline void prefetch_read(const void* address) { __builtin_prefetch(address, 0); }
inline void prefetch_write(const void* address) { __builtin_prefetch(address, 1); }

std::size_t checked_shift(std::size_t width, std::size_t unit) {
  if (width < 1 || width > 8) throw std::invalid_argument("entries are 1 to 8 bytes wide, not " + std::to_string(width));
  if (unit != 1 && unit != 2 && unit != 4) throw std::invalid_argument("the unit of entries is 1, 2 or 4");
  return unit / 2;
}

/// Calls `body` with the width as a constant, so that loads and stores become single instructions.
template <typename Body>
void with_width(std::size_t width, const Body& body) {
  switch (width) {
    case 1: return body(std::integral_constant<std::size_t, 1>());
    case 2: return body(std::integral_constant<std::size_t, 2>());
    case 3: return body(std::integral_constant<std::size_t, 3>());
    case 4: return body(std::integral_constant<std::size_t, 4>());
    case 5: return body(std::integral_constant<std::size_t, 5>());
    case 6: return body(std::integral_constant<std::size_t, 6>());
    case 7: return body(std::integral_constant<std::size_t, 7>());
    default: return body(std::integral_constant<std::size_t, 8>());
  }
}

/// Where the first `end` bytes of two texts begin to differ, which they do not before `begin`; `end` if they are equal.
inline std::size_t mismatch(const std::uint8_t* x, const std::uint8_t* y, std::size_t begin, std::size_t end) {
  std::size_t i = begin;
  for (; i + 8 <= end; i += 8) {
    std::uint64_t u, v;
    std::memcpy(&u, x + i, 8);
    std::memcpy(&v, y + i, 8);
    if (u != v) return i + std::size_t(__builtin_ctzll(u ^ v)) / 8;
  }
  while (i < end && x[i] == y[i]) ++i;
  return i;
}

}  // namespace

SuffixEntries::SuffixEntries(const std::uint8_t* data, std::size_t bytes, std::size_t width, std::size_t unit)
    : data_(data), path_("the entries"), width_(width), shift_(checked_shift(width, unit)), size_(bytes / width) {
  if (bytes % width != 0) throw CorruptEntries(std::to_string(bytes) + " bytes are no whole number of entries");
}

SuffixEntries::SuffixEntries(const std::string& path, std::size_t width, std::size_t unit)
    : data_(nullptr), path_(path), width_(width), shift_(checked_shift(width, unit)), size_(0) {
  file_.rdbuf()->pubsetbuf(nullptr, 0);
  file_.open(path, std::ios::binary | std::ios::ate);
  if (!file_) throw CorruptEntries(path + " cannot be read");
  const std::size_t bytes = std::size_t(file_.tellg());
  if (bytes % width != 0) {
    throw CorruptEntries(path + ": " + std::to_string(bytes) + " bytes are no whole number of entries");
  }
  size_ = bytes / width;
}

const std::uint8_t* SuffixEntries::bytes(std::size_t first, std::size_t count) {
  if (data_ != nullptr) return data_ + first * width_;
  buffer_.resize(std::max(buffer_.size(), count * width_));
  file_.seekg(std::streamoff(first * width_));
  file_.read(reinterpret_cast<char*>(buffer_.data()), std::streamsize(count * width_));
  if (!file_) throw CorruptEntries(path_ + " ends early");
  return buffer_.data();
}

void SuffixEntries::read(std::size_t first, std::size_t count, std::size_t limit, std::uint32_t* positions) {
  const std::uint8_t* from = bytes(first, count);
  const std::uint64_t odd_bits = (std::uint64_t{1} << shift_) - 1;
  bool is_wrong = false;
  with_width(width_, [&](auto width) {
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t value = 0;
      std::memcpy(&value, from + i * width, width);
      is_wrong |= (value & odd_bits) != 0 || (value >> shift_) >= limit;
      positions[i] = std::uint32_t(value >> shift_);
    }
  });
  if (is_wrong) {
    throw CorruptEntries(path_ + ": among entries " + std::to_string(first) + " to " + std::to_string(first + count) +
                         " is one that is not a suffix of a block of " + std::to_string(limit) + " tokens");
  }
}

std::uint32_t SuffixEntries::at(std::size_t rank, std::size_t limit) {
  if (data_ != nullptr) {
    std::uint32_t position;
    read(rank, 1, limit, &position);
    return position;
  }
  if (rank - window_first_ >= window_.size()) {  // also where rank is the smaller one
    const std::size_t first = rank - std::min(rank, kPage / 2), count = std::min(kPage, size_ - first);
    window_.clear();
    window_.resize(count);
    read(first, count, limit, window_.data());
    window_first_ = first;
  }
  return window_[rank - window_first_];
}

void encode_entries(const std::uint32_t* positions, std::size_t count, std::size_t width, std::size_t unit,
                    std::uint8_t* out) {
  const std::size_t shift = checked_shift(width, unit);
  with_width(width, [&](auto constant) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t value = std::uint64_t{positions[i]} << shift;
      std::memcpy(out + i * constant, &value, constant);
    }
  });
}

std::size_t repeated_tail(const std::uint8_t* text, std::size_t n, std::size_t token_bytes, SuffixEntries& sorted,
                          std::size_t limit) {
  if (sorted.size() != n) {
    throw CorruptEntries(std::to_string(sorted.size()) + " entries cannot be the suffixes of " + std::to_string(n) +
                         " tokens");
  }
  const std::size_t shift = token_bytes / 2;
  const auto address = [&](std::size_t position) { return text + (position << shift); };
  // Alone a suffix comes right before those that go on where it ends.
  const auto occurs_twice = [&](std::size_t length) {
    const std::uint8_t* const tail = address(n - length);
    const std::size_t end_of_tail = length << shift;
    std::size_t begin = 0, end = n, begin_common = 0, end_common = 0;
    while (begin < end) {
      const std::size_t middle = begin + (end - begin) / 2, suffix = sorted.at(middle, n);
      const std::size_t limit_here = std::min(end_of_tail, (n - suffix) << shift);
      // What both bounds have in common with the tail, all between them have.
      const std::size_t known = std::min({begin_common, end_common, limit_here});
      const std::size_t common = mismatch(tail, address(suffix), known, limit_here);
      if (common == end_of_tail && suffix != n - length) return true;
      const bool is_less = common < end_of_tail && (common == limit_here || address(suffix)[common] < tail[common]);
      (is_less ? begin : end) = is_less ? middle + 1 : middle;
      (is_less ? begin_common : end_common) = common;
    }
    if (begin + 1 >= n) return false;
    const std::size_t after = sorted.at(begin + 1, n);
    return n - after >= length && mismatch(tail, address(after), 0, end_of_tail) == end_of_tail;
  };
  limit = std::min(limit, n);
  std::size_t known = 0, tried = std::min<std::size_t>(limit, 1);  // the suffix of `known` tokens occurs twice
  while (tried > known && occurs_twice(tried)) {
    known = tried;
    tried = std::min(limit, tried * 2);
  }
  while (tried > known + 1) {
    const std::size_t middle = known + (tried - known) / 2;
    (occurs_twice(middle) ? known : tried) = middle;
  }
  return known;
}

SuffixMerge::SuffixMerge(const std::uint8_t* text, std::size_t n, std::size_t token_bytes, std::size_t cut,
                         SuffixEntries& left, SuffixEntries& right)
    : text_(text), n_(n), shift_(token_bytes / 2), cut_(cut), left_(left), right_(right), tails_begin_(cut) {
  if (left.size() < cut || left.size() > n || right.size() != n - cut) {
    throw CorruptEntries("blocks of " + std::to_string(left.size()) + " and " + std::to_string(right.size()) +
                         " suffixes cannot be those of a text of " + std::to_string(n) + " tokens cut at " +
                         std::to_string(cut));
  }
  rank_right_block();
}

/// The first eight bytes of a suffix as a number that compares as they do; zeros stand behind the end of the text.
std::uint64_t SuffixMerge::key_at(std::size_t position) const {
  std::uint64_t key = 0;
  const std::size_t bytes = (n_ - position) << shift_;
  if (bytes >= sizeof key) {
    std::memcpy(&key, address(position), sizeof key);
  } else {
    std::memcpy(&key, address(position), bytes);
  }
  return __builtin_bswap64(key);
}

SuffixMerge::WideKey SuffixMerge::wide_key_at(std::size_t position) const {
  std::uint64_t words[2] = {};
  const std::size_t bytes = (n_ - position) << shift_;
  if (bytes >= sizeof words) {
    std::memcpy(words, address(position), sizeof words);
  } else {
    std::memcpy(words, address(position), bytes);
  }
  return WideKey{__builtin_bswap64(words[0])} << 64 | __builtin_bswap64(words[1]);
}

void SuffixMerge::rank_right_block() {
  const std::size_t size = n_ - cut_;
  // Zeros, because entries that name a suffix twice leave another one without a rank. New memory is zero anyway.
  right_ranks_.reset(static_cast<std::uint32_t*>(std::calloc(size + 1, sizeof(std::uint32_t))));
  if (right_ranks_ == nullptr) throw std::bad_alloc();
  advise_huge_pages(right_ranks_.get(), (size + 1) * sizeof(std::uint32_t));
  page_keys_.reserve(size / kPage + 1);
  std::vector<std::uint32_t> chunk(kChunk);
  std::uint32_t* const ranks = right_ranks_.get();
  for (std::size_t first = 0; first < size; first += kChunk) {
    const std::size_t count = std::min(kChunk, size - first);
    right_.read(first, count, size, chunk.data());
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kPrefetchDistance < count) prefetch_write(ranks + chunk[i + kPrefetchDistance]);
      ranks[chunk[i]] = std::uint32_t(first + i);
    }
    for (std::size_t i = 0; i < count; i += kPage) page_keys_.push_back(key_at(cut_ + chunk[i]));
  }
}

/// Whether the suffix `right`, of the right block or a tail, is smaller than the suffix `left` before them, `known` of
/// whose tokens are known to be equal. Of the suffix `next`, which is not before `left`, it is known that `rank`
/// suffixes of the right block and `tail_rank` tails are smaller.
bool SuffixMerge::right_is_less(std::size_t left, std::size_t right, std::size_t next, std::size_t rank,
                                std::size_t tail_rank, std::size_t known) const {
  const std::size_t steps = next - left, limit = std::min(steps, n_ - right);
  if (known < limit) {
    const std::uint8_t *const on_left = address(left), *const on_right = address(right);
    const std::size_t common = mismatch(on_left, on_right, known << shift_, limit << shift_);
    if (common < limit << shift_) return on_right[common] < on_left[common];
  }
  const std::size_t behind = right + steps;
  if (behind >= n_) return true;  // the text ends on the right
  return behind < cut_ ? tail_ranks_[behind - tails_begin_] < tail_rank : right_ranks_[behind - cut_] < rank;
}

/// How many suffixes of the right block are smaller than the one at `position`; for `next` see `right_is_less`.
std::size_t SuffixMerge::rank_of(std::size_t position, std::size_t next, std::size_t rank, std::size_t tail_rank) {
  const std::size_t size = n_ - cut_;
  const std::uint64_t key = key_at(position);
  const auto from = std::lower_bound(page_keys_.begin(), page_keys_.end(), key);
  const auto to = std::upper_bound(from, page_keys_.end(), key);
  const std::size_t first_page = std::size_t(from - page_keys_.begin()), last_page = std::size_t(to - page_keys_.begin());
  std::size_t begin = first_page == 0 ? 0 : (first_page - 1) * kPage + 1, end = std::min(last_page * kPage, size);
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    if (right_is_less(position, cut_ + right_.at(middle, size), next, rank, tail_rank, 0)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

/// How many tails are smaller than the suffix at `position`, than which `rank` suffixes of the right block are.
std::size_t SuffixMerge::tail_rank_of(std::size_t position, std::size_t rank, std::size_t next, std::size_t next_rank,
                                      std::size_t next_tail_rank) const {
  const auto equal = std::equal_range(tails_right_ranks_.begin(), tails_right_ranks_.end(), std::uint32_t(rank));
  std::size_t begin = std::size_t(equal.first - tails_right_ranks_.begin());
  std::size_t end = std::size_t(equal.second - tails_right_ranks_.begin());
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    if (right_is_less(position, tails_[middle], next, next_rank, next_tail_rank, 0)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

void SuffixMerge::tail_ranks(std::size_t length, std::uint32_t* ranks) {
  if (length > cut_) throw std::invalid_argument("there are no more tails than tokens on the left");
  ranks[length] = cut_ < n_ ? right_ranks_[0] : 0;
  for (std::size_t i = length; i-- > 0;) {
    const std::size_t position = cut_ - length + i;
    ranks[i] = std::uint32_t(rank_of(position, position + 1, ranks[i + 1], 0));
  }
  tails_in_right_.assign(ranks, ranks + length);
}

void SuffixMerge::start(const std::uint32_t* order, std::size_t length) {
  if (is_started_ || length != tails_in_right_.size()) {
    throw std::invalid_argument("the merge is started once, with as many tails as were ranked");
  }
  is_started_ = true;
  tails_begin_ = cut_ - length;
  constexpr std::uint32_t kUnset = ~std::uint32_t{0};
  tail_ranks_.assign(length, kUnset);
  for (std::size_t i = 0; i < length; ++i) {
    if (order[i] >= length || tail_ranks_[order[i]] != kUnset) throw std::invalid_argument("order is no permutation");
    tail_ranks_[order[i]] = std::uint32_t(i);
    tails_.push_back(std::uint32_t(tails_begin_ + order[i]));
    tails_right_ranks_.push_back(tails_in_right_[order[i]]);
  }
  if (!std::is_sorted(tails_right_ranks_.begin(), tails_right_ranks_.end())) {
    throw std::invalid_argument("the order of the tails contradicts their ranks in the right block");
  }
  sample_left_block();
  for (Stream* const stream : {&left_stream_, &right_stream_}) {
    stream->positions.resize(kChunk);
    stream->keys.resize(kChunk);
  }
}

void SuffixMerge::sample_left_block() {
  const std::size_t count = tails_begin_ / kSample + 1;
  samples_.resize(count);
  tail_samples_.resize(count);
  if (!tails_.empty()) {
    samples_[0] = tails_in_right_[0];
    tail_samples_[0] = tail_ranks_[0];
  } else {
    samples_[0] = cut_ < n_ ? right_ranks_[0] : 0;
  }
  std::size_t next = tails_begin_;
  for (std::size_t i = 1; i < count; ++i) {
    const std::size_t position = next - kSample, rank = samples_[i - 1], tail_rank = tail_samples_[i - 1];
    samples_[i] = std::uint32_t(rank_of(position, next, rank, tail_rank));
    tail_samples_[i] = std::uint32_t(tail_rank_of(position, samples_[i], next, rank, tail_rank));
    next = position;
  }
}

void SuffixMerge::load_keys(Stream& stream) {
  const std::uint32_t* const positions = stream.positions.data();
  WideKey* const keys = stream.keys.data();
  const std::size_t size = stream.size, shift = shift_;
  const std::uint8_t* const text = text_;
  for (std::size_t i = 0; i < size; ++i) {
    if (i + kPrefetchDistance < size) {
      const std::uint8_t* const ahead = text + (std::size_t{positions[i + kPrefetchDistance]} << shift);
      prefetch_read(ahead);
      prefetch_read(ahead + 24);  // a part of the key, or what decides where keys are equal, may be in the next line
    }
    keys[i] = wide_key_at(positions[i]);
  }
  stream.at = 0;
}

/// The next suffixes of the left block that are no tails; none are left where the stream stays empty.
void SuffixMerge::fill_left() {
  Stream& stream = left_stream_;
  stream.size = 0;
  while (stream.size == 0 && left_read_ < left_.size()) {
    const std::size_t count = std::min(kChunk, left_.size() - left_read_);
    left_.read(left_read_, count, left_.size(), stream.positions.data());
    left_read_ += count;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t position = stream.positions[i];
      stream.positions[stream.size] = position;
      stream.size += position < tails_begin_;
    }
  }
  left_kept_ += stream.size;
  if (left_kept_ > tails_begin_ || (stream.size == 0 && left_kept_ != tails_begin_)) {
    throw CorruptEntries("the left block has a suffix twice");
  }
  load_keys(stream);
}

/// The next suffixes of the right block, with the tails among them.
void SuffixMerge::fill_right() {
  Stream& stream = right_stream_;
  stream.size = 0;
  const std::size_t size = n_ - cut_;
  while (stream.size < kChunk) {
    const std::size_t rank = right_read_ - (pending_.size() - pending_at_);  // of the next one of the right block
    if (tails_read_ < tails_.size() && tails_right_ranks_[tails_read_] <= rank) {
      stream.positions[stream.size++] = tails_[tails_read_++];
      continue;
    }
    if (pending_at_ == pending_.size()) {
      if (right_read_ == size) break;
      pending_.resize(std::min(kChunk, size - right_read_));
      right_.read(right_read_, pending_.size(), size, pending_.data());
      right_read_ += pending_.size();
      pending_at_ = 0;
    }
    std::size_t count = std::min(pending_.size() - pending_at_, kChunk - stream.size);
    if (tails_read_ < tails_.size()) count = std::min(count, tails_right_ranks_[tails_read_] - rank);
    for (std::size_t i = 0; i < count; ++i) {
      stream.positions[stream.size++] = std::uint32_t(cut_) + pending_[pending_at_++];
    }
  }
  load_keys(stream);
}

std::size_t SuffixMerge::read(std::uint32_t* positions, std::size_t count) {
  if (!is_started_) throw std::invalid_argument("the merge is not started");
  const std::size_t known = sizeof(WideKey) >> shift_;
  Stream &left = left_stream_, &right = right_stream_;
  std::size_t written = 0;
  while (written < count) {
    if (left.at == left.size) fill_left();
    if (right.at == right.size) fill_right();
    if (left.at == left.size || right.at == right.size) {  // one is used up: what is left of the other
      Stream& rest = left.at == left.size ? right : left;
      const std::size_t taken = std::min(count - written, rest.size - rest.at);
      if (taken == 0) break;
      std::copy_n(rest.positions.begin() + std::ptrdiff_t(rest.at), taken, positions + written);
      rest.at += taken;
      written += taken;
      continue;
    }
    std::size_t i = left.at, j = right.at;
    const std::uint32_t *const lefts = left.positions.data(), *const rights = right.positions.data();
    const WideKey *const left_keys = left.keys.data(), *const right_keys = right.keys.data();
    while (i < left.size && j < right.size && written < count) {
      const std::uint32_t a = lefts[i], b = rights[j];
      bool takes_right = right_keys[j] < left_keys[i];
      if (right_keys[j] == left_keys[i]) {
        const std::size_t distance = tails_begin_ - a, steps = distance % kSample, sample = distance / kSample;
        takes_right = right_is_less(a, b, a + steps, samples_[sample], tail_samples_[sample], known);
      }
      positions[written++] = takes_right ? b : a;
      i += !takes_right;
      j += takes_right;
    }
    left.at = i;
    right.at = j;
  }
  return written;
}

}  // namespace lodex
