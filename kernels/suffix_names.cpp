#include "suffix_names.h"

#include "key_sort.h"

namespace lodex {
namespace {

/// Visits that an LMS suffix may take on average before the reduced string is sorted instead.
constexpr double kVisitsAllowed = 2.5;

/// Suffixes in a run, on average, that make a text of many repetitions.
constexpr Index kLongRun = 16;

constexpr Index kAhead = 32;

/// Runs looked up together, so that their cache misses overlap.
constexpr Index kBatch = 32;

}  // namespace

Index TiedNames::run_end(Index begin) const {
  Index end = begin + 1;
  while (end < m_ && order_[end] & kTied) ++end;
  return end;
}

void TiedNames::name(Index begin, Index end) {
  std::uint32_t run = 0;
  for (Index i = begin; i < end; ++i) {
    if (i + kAhead < end) prefetch_write(names_ + (order_[i + kAhead] & ~kTied));
    const bool is_tied = order_[i] & kTied;
    const bool is_first = !is_tied && i + 1 < end && order_[i + 1] & kTied;
    if (!is_tied) run = std::uint32_t(i);
    names_[order_[i] & ~kTied] = run | (is_first ? kFirst : 0);
  }
}

/// Whether nearly all suffixes are tied in long runs, as where a text repeats itself many times over.
///
/// Such runs are split from their ends, one suffix at a time, and visiting them would be in vain.
bool TiedNames::is_hopeless() const {
  Index tied = 0, runs = 0;
  bool was_tied = false;
  for (Index i = 0; i < m_; ++i) {
    const bool is_tied = order_[i] & kTied;
    tied += is_tied;
    runs += is_tied & !was_tied;
    was_tied = is_tied;
  }
  return tied > m_ / 8 * 7 && tied / kLongRun >= runs;
}

bool TiedNames::settle() {
  if (is_hopeless()) return false;
  const auto allowed = std::int64_t(kVisitsAllowed * m_);
  std::int64_t visits = 0;
  while (visits <= allowed) {
    const Index visited = pass();
    if (visited == 0) return true;
    visits += visited;
  }
  return false;
}

/// Visits all runs by descending first ordinal; returns how many suffixes they hold.
///
/// What a visit changes are names of ordinals above the one it came by, so runs can be looked up ahead.
Index TiedNames::pass() {
  Index visited = 0;
  Index batch[kBatch];
  for (Index ordinal = m_; ordinal > 0;) {
    Index size = 0;
    while (ordinal > 0 && size < kBatch) {
      const std::uint32_t name = names_[--ordinal];
      if (!(name & kFirst)) continue;
      const Index begin = Index(name & ~kFirst);
      prefetch_write(order_ + begin);
      prefetch_write(depths_ + begin);
      batch[size++] = begin;
    }
    for (Index i = 0; i < size; ++i) {
      const Index begin = batch[i], depth = decode_depth(depths_[begin]);
      prefetch_write(names_ + (order_[begin + 1] & ~kTied) + depth);
    }
    for (Index i = 0; i < size; ++i) visited += visit(batch[i]);
  }
  return visited;
}

/// Splits the run at `begin` by the names behind it; returns its size.
Index TiedNames::visit(Index begin) {
  const Index end = run_end(begin), size = end - begin;
  if (size == 2) return visit_pair(begin);
  const Index depth = decode_depth(depths_[begin]);
  if (entries_.size() < std::size_t(size)) {
    entries_.resize(std::size_t(size));
    spare_.resize(std::size_t(size));
  }
  // All names are read before one is changed: a run may be what tells its own suffixes apart.
  for (Index i = 0; i < size; ++i) {
    const std::uint32_t ordinal = order_[begin + i] & ~kTied;
    entries_[i] = std::uint64_t(names_[ordinal + depth] & ~kFirst) << 32 | ordinal;
  }
  sort_keys(entries_.data(), std::size_t(size), spare_.data(), 56);
  // Depths behind are read before they are changed too.
  Index next;
  for (Index i = 0; i < size; i = next) {
    next = i + 1;
    while (next < size && same_key(entries_[i], entries_[next])) ++next;
    if (next - i > 1) spare_[i] = std::uint64_t(depth + decode_depth(depths_[entries_[i] >> 32]));
  }
  for (Index i = 0; i < size; i = next) {
    next = i + 1;
    order_[begin + i] = std::uint32_t(entries_[i]);
    while (next < size && same_key(entries_[i], entries_[next])) {
      order_[begin + next] = std::uint32_t(entries_[next]) | kTied;
      ++next;
    }
    if (next - i > 1) depths_[begin + i] = encode_depth(Index(spare_[i]));
  }
  name(begin, end);
  return size;
}

Index TiedNames::visit_pair(Index begin) {
  const Index depth = decode_depth(depths_[begin]);
  const std::uint32_t a = order_[begin], b = order_[begin + 1] & ~kTied;
  const std::uint32_t behind_a = names_[a + depth] & ~kFirst, behind_b = names_[b + depth] & ~kFirst;
  if (behind_a == behind_b) {
    depths_[begin] = encode_depth(depth + decode_depth(depths_[behind_a]));
    return 2;
  }
  const bool swapped = behind_b < behind_a;
  order_[begin] = swapped ? b : a;
  order_[begin + 1] = swapped ? a : b;
  names_[a] = std::uint32_t(begin) + swapped;
  names_[b] = std::uint32_t(begin) + !swapped;
  return 2;
}

Index TiedNames::compact() {
  std::uint32_t names = 0;
  for (Index i = 0; i < m_; ++i) {
    names += !(order_[i] & kTied);
    names_[order_[i] & ~kTied] = names - 1;
  }
  return Index(names);
}

}  // namespace lodex
