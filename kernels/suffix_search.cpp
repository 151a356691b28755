// Bisection over a suffix table, with text and table anywhere in memory: usually mapped files.

#include "suffix_search.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lodex {
namespace {

// Searches at work in turn: enough to hide the way to memory, few enough to stay in the first cache.
constexpr std::size_t kLanes = 32;
// Places that a single search tries at once.
constexpr std::size_t kPivots = 7;
// Suffixes ahead of which a pass over the table asks for memory.
constexpr std::size_t kPrefetchDistance = 24;
// Suffixes among which their own keys are searched, without those of pages before; half a page of the disk.
constexpr std::size_t kSearchedKeys = 4 * TopLevel::kPage;
// Pages whose keys are searched at once. There are more only where long runs of one text are repeated.
constexpr std::size_t kSearchedPages = 8192;

/// One bisection: of the ranks [low, high] for the first that is not smaller than the query, or the first behind all
/// that match; or for both while none is known to match.
struct Lane {
  enum Goal : std::uint8_t { kBoth, kBegin, kEnd };

  Query query;
  std::size_t low, high;
  // All suffixes between two that share a prefix with the query share it too (Manber and Myers 1993), so a long query
  // is not read again from its start at every step.
  std::size_t common_low, common_high;
  std::size_t start;  // where the suffix in the middle stands in the text
  std::size_t number;
  Goal goal;

  std::size_t middle() const { return low + (high - low) / 2; }
};

/// Finds the ranks of each query.
struct FindSearch {
  RankRange* out;

  void open(const Bounds& bounds, const Query& query, std::size_t number, Lane* lanes, std::size_t& active) {
    if (bounds.joint) {
      add({query, bounds.begin_from, bounds.begin_to, bounds.common, bounds.common, 0, number, Lane::kBoth}, lanes,
          active);
    } else {
      add({query, bounds.begin_from, bounds.begin_to, bounds.common, bounds.common, 0, number, Lane::kBegin}, lanes,
          active);
      add({query, bounds.end_from, bounds.end_to, bounds.common, bounds.common, 0, number, Lane::kEnd}, lanes, active);
    }
  }

  /// Takes a step whose middle compared as `order`; may add a lane. Returns whether the lane has arrived.
  bool step(Lane& lane, int order, std::size_t common, Lane* lanes, std::size_t& active) {
    const std::size_t middle = lane.middle();
    if (order == 0 && lane.goal == Lane::kBoth) {
      Lane end = lane;
      end.goal = Lane::kEnd;
      end.low = middle + 1;
      end.common_low = common;
      lane.goal = Lane::kBegin;
      lane.high = middle;
      lane.common_high = common;
      add(end, lanes, active);
    } else if (order < 0 || (order == 0 && lane.goal == Lane::kEnd)) {
      lane.low = middle + 1;
      lane.common_low = common;
    } else {
      lane.high = middle;
      lane.common_high = common;
    }
    if (lane.low < lane.high) return false;
    finish(lane);
    return true;
  }

  void add(const Lane& lane, Lane* lanes, std::size_t& active) {
    if (lane.low < lane.high) {
      lanes[active++] = lane;
    } else {
      finish(lane);
    }
  }

  void finish(const Lane& lane) {
    if (lane.goal != Lane::kEnd) out[lane.number].begin = lane.low;
    if (lane.goal != Lane::kBegin) out[lane.number].end = lane.low;
  }
};

/// Finds how much of each query occurs: the longer prefix that it shares with the suffixes on either side of it.
struct MatchSearch {
  std::size_t* out;  // zeros at first
  std::size_t num_tokens;

  void open(const Bounds& bounds, const Query& query, std::size_t number, Lane* lanes, std::size_t& active) {
    if (!bounds.joint) {  // the keys know suffixes that match
      if (bounds.begin_to < bounds.end_from) {
        out[number] = query.size;
        return;
      }
    }
    // The suffixes next to the bounds, which the keys decided without reading them, may share most: they are read too.
    const std::size_t low = bounds.begin_from - (bounds.begin_from > 0);
    lanes[active++] = {query, low, std::min(bounds.end_to + 1, num_tokens), 0, 0, 0, number, Lane::kBoth};
  }

  bool step(Lane& lane, int order, std::size_t common, Lane*, std::size_t&) {
    const std::size_t middle = lane.middle();
    out[lane.number] = std::max(out[lane.number], common);
    if (order == 0) return true;
    if (order < 0) {
      lane.low = middle + 1;
      lane.common_low = common;
    } else {
      lane.high = middle;
      lane.common_high = common;
    }
    return lane.low >= lane.high;
  }
};

/// Finds whether each query occurs.
struct OccurSearch {
  bool* out;  // false at first

  void open(const Bounds& bounds, const Query& query, std::size_t number, Lane* lanes, std::size_t& active) {
    if (!bounds.joint && bounds.begin_to < bounds.end_from) {
      out[number] = true;
    } else if (bounds.begin_from < bounds.end_to) {
      lanes[active++] = {query, bounds.begin_from, bounds.end_to, bounds.common, bounds.common,
                         0,     number,            Lane::kBoth};
    }
  }

  bool step(Lane& lane, int order, std::size_t common, Lane*, std::size_t&) {
    const std::size_t middle = lane.middle();
    if (order == 0) {
      out[lane.number] = true;
      return true;
    }
    if (order < 0) {
      lane.low = middle + 1;
      lane.common_low = common;
    } else {
      lane.high = middle;
      lane.common_high = common;
    }
    return lane.low >= lane.high;
  }
};

}  // namespace

SuffixTable::SuffixTable(const std::uint8_t* text, std::size_t text_bytes, std::size_t token_bytes,
                         const std::uint8_t* table, std::size_t table_bytes, std::string label)
    : text_{text, text_bytes},
      token_bytes_(token_bytes),
      num_tokens_(text_bytes / token_bytes),
      table_(table),
      offset_bytes_(num_tokens_ ? table_bytes / num_tokens_ : 1),
      label_(std::move(label)) {
  if (offset_bytes_ < 1 || offset_bytes_ > 8 || offset_bytes_ * num_tokens_ != table_bytes) {
    throw CorruptTable(label_ + ": a table of " + std::to_string(table_bytes) + " bytes cannot belong to a stream of " +
                       std::to_string(num_tokens_) + " tokens");
  }
}

std::size_t SuffixTable::offset(std::size_t rank) const {
  const std::uint64_t value = load(table_ + rank * offset_bytes_, offset_bytes_);
  if (value >= text_.size || value % token_bytes_ != 0) {
    throw CorruptTable(label_ + ": entry " + std::to_string(rank) + " holds " + std::to_string(value) +
                       ", which is not the offset of a token of " + std::to_string(token_bytes_) +
                       " bytes in a stream of " + std::to_string(text_.size) + " bytes");
  }
  return value;
}

// ------------------------------------------------------------------------------------ the top level

void SuffixTable::build_top() {
  std::vector<std::uint64_t> starts(TopLevel::num_starts(token_bytes_, num_tokens_), 0);
  if (!starts.empty()) {
    const std::size_t width = token_bytes_;
    for (std::size_t i = 0; i < text_.size; i += width) {
      const std::size_t token = width == 1 ? text_.bytes[i] : std::size_t(text_.bytes[i]) << 8 | text_.bytes[i + 1];
      ++starts[token + 1];
    }
    for (std::size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  }
  const std::size_t skip = starts.empty() ? 0 : token_bytes_;
  std::vector<std::uint64_t> keys(TopLevel::num_keys(num_tokens_));
  const auto prefetch_text = [&](std::size_t page) {
    if (page < keys.size()) prefetch(text_.bytes + offset(page * TopLevel::kPage));
  };
  for (std::size_t page = 0; page < keys.size() + kPrefetchDistance; ++page) {
    if (page + kPrefetchDistance < keys.size()) prefetch_entry((page + kPrefetchDistance) * TopLevel::kPage);
    prefetch_text(page);
    if (page < kPrefetchDistance) continue;
    const std::size_t start = offset((page - kPrefetchDistance) * TopLevel::kPage) + skip;
    keys[page - kPrefetchDistance] =
        start < text_.size ? load_key_padded(text_.bytes + start, text_.size - start) : 0;
  }
  set_top(std::move(starts), std::move(keys));
}

void SuffixTable::set_top(std::vector<std::uint64_t> starts, std::vector<std::uint64_t> keys) {
  try {
    top_ = TopLevel(std::move(starts), std::move(keys), token_bytes_, num_tokens_);
  } catch (const std::invalid_argument& error) {
    throw CorruptTable(label_ + ": " + error.what());
  }
}

Bounds SuffixTable::narrow(const Query& query) const {
  if (query.size == 0) return {0, 0, num_tokens_, num_tokens_, false, 0};
  if (top_.keys().empty()) return {0, num_tokens_, 0, num_tokens_, true, 0};
  return top_.narrow(query, [&](std::size_t rank) {
    std::size_t common = 0;
    return text_.compare(offset(rank), query, common) == 0;
  });
}

// ------------------------------------------------------------------------------------ batches

template <typename Search>
void SuffixTable::interleave(const Query* queries, std::size_t count, Search& search) const {
  Lane lanes[2 * kLanes + 2];  // a search may become two
  std::size_t active = 0, next = 0;
  while (true) {
    while (active < kLanes && next < count) {
      const std::size_t before = active;
      search.open(narrow(queries[next]), queries[next], next, lanes, active);
      ++next;
      for (std::size_t i = before; i < active; ++i) prefetch_entry(lanes[i].middle());
    }
    if (active == 0) return;
    for (std::size_t i = 0; i < active; ++i) {
      Lane& lane = lanes[i];
      lane.start = offset(lane.middle());
      prefetch(text_.bytes + lane.start + std::min(lane.common_low, lane.common_high));
    }
    const std::size_t stepping = active;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < stepping; ++i) {
      Lane lane = lanes[i];
      std::size_t common = std::min(lane.common_low, lane.common_high);
      const int order = text_.compare(lane.start, lane.query, common);
      if (!search.step(lane, order, common, lanes, active)) {
        prefetch_entry(lane.middle());
        lanes[kept++] = lane;
      }
    }
    for (std::size_t i = stepping; i < active; ++i) {  // those added on the way
      prefetch_entry(lanes[i].middle());
      lanes[kept++] = lanes[i];
    }
    active = kept;
  }
}

void SuffixTable::find_many(const Query* queries, std::size_t count, RankRange* out) const {
  if (page_keys_ && (reads_few_ || count == 1)) {
    for (std::size_t i = 0; i < count; ++i) out[i] = find(queries[i]);
    return;
  }
  FindSearch search{out};
  interleave(queries, count, search);
}

void SuffixTable::match_many(const Query* queries, std::size_t count, std::size_t* out) const {
  std::fill_n(out, count, 0);
  if (num_tokens_ == 0) return;
  if (page_keys_ && reads_few_) {
    for (std::size_t i = 0; i < count; ++i) out[i] = match(queries[i]);
    return;
  }
  MatchSearch search{out, num_tokens_};
  interleave(queries, count, search);
}

void SuffixTable::occur_many(const Query* queries, std::size_t count, bool* out) const {
  std::fill_n(out, count, false);
  if (page_keys_ && reads_few_) {
    for (std::size_t i = 0; i < count; ++i) {
      const RankRange range = find(queries[i]);
      out[i] = range.begin < range.end;
    }
    return;
  }
  OccurSearch search{out};
  interleave(queries, count, search);
}

// ------------------------------------------------------------------------------------ one query

RankRange SuffixTable::find(const Query& query) const { return find_between(narrow(query), query); }

RankRange SuffixTable::find_within(RankRange range, const Query& query, std::size_t common) const {
  return find_between({range.begin, range.end, range.begin, range.end, true, common}, query);
}

RankRange SuffixTable::find_between(Bounds bounds, const Query& query) const {
  if (page_keys_) bounds = narrow_by_keys(bounds, query);
  const std::size_t pivots = reads_few_ ? 1 : kPivots;
  std::size_t ranks[2 * kPivots], starts[2 * kPivots];
  int orders[2 * kPivots];
  // Evenly spread over [from, to), in order.
  const auto spread = [pivots](std::size_t from, std::size_t to, std::size_t* ranks) {
    const std::size_t size = to - from, count = std::min(size, pivots);
    for (std::size_t i = 0; i < count; ++i) ranks[i] = from + size * (i + 1) / (count + 1);
    return count;
  };
  while (bounds.begin_from < bounds.begin_to || bounds.end_from < bounds.end_to) {
    const std::size_t begins = spread(bounds.begin_from, bounds.begin_to, ranks);
    const std::size_t both = bounds.joint ? begins : begins + spread(bounds.end_from, bounds.end_to, ranks + begins);
    for (std::size_t i = 0; i < both; ++i) prefetch_entry(ranks[i]);
    for (std::size_t i = 0; i < both; ++i) {
      starts[i] = offset(ranks[i]);
      prefetch(text_.bytes + starts[i] + bounds.common);
    }
    for (std::size_t i = 0; i < both; ++i) {
      std::size_t common = bounds.common;
      orders[i] = text_.compare(starts[i], query, common);
    }
    // The first pivots that are not smaller, and that are greater.
    const std::size_t not_smaller =
        std::size_t(std::find_if(orders, orders + begins, [](int order) { return order >= 0; }) - orders);
    if (bounds.joint) {
      const std::size_t greater = std::size_t(
          std::find_if(orders + not_smaller, orders + begins, [](int order) { return order > 0; }) - orders);
      const std::size_t from = bounds.begin_from, to = bounds.begin_to;
      bounds.begin_from = not_smaller ? ranks[not_smaller - 1] + 1 : from;
      bounds.begin_to = not_smaller < begins ? ranks[not_smaller] : to;
      bounds.end_from = greater ? ranks[greater - 1] + 1 : from;
      bounds.end_to = greater < begins ? ranks[greater] : to;
      bounds.joint = greater == not_smaller;
    } else {
      if (not_smaller) bounds.begin_from = ranks[not_smaller - 1] + 1;
      if (not_smaller < begins) bounds.begin_to = ranks[not_smaller];
      const std::size_t greater =
          std::size_t(std::find_if(orders + begins, orders + both, [](int order) { return order > 0; }) - orders);
      if (greater > begins) bounds.end_from = ranks[greater - 1] + 1;
      if (greater < both) bounds.end_to = ranks[greater];
    }
  }
  return {bounds.begin_from, std::max(bounds.begin_from, bounds.end_from)};
}

// ------------------------------------------------------------------------------------ page keys

void SuffixTable::set_page_keys(const std::uint8_t* bytes, std::size_t size) {
  try {
    page_keys_ = PageKeys(bytes, size, token_bytes_, num_tokens_);
  } catch (const std::invalid_argument& error) {
    throw CorruptTable(label_ + ": " + error.what());
  }
}

void SuffixTable::shared_bits(std::size_t begin, std::size_t end, std::uint8_t* out) const {
  if (begin == end) return;
  // As many bytes as hold SuffixBits::kClip bits of tokens of any width.
  constexpr std::size_t kCompared = 32;
  const auto shared = [&](std::size_t a, std::size_t b) {
    std::size_t common = 0;
    const std::size_t limit = std::min(kCompared, text_.size - std::max(a, b));
    for (; common + 8 <= limit; common += 8) {
      const std::uint64_t different = load_key(text_.bytes + a + common) ^ load_key(text_.bytes + b + common);
      if (!different) continue;
      const std::size_t zeros = std::size_t(__builtin_clzll(different));
      return SuffixBits::shared(common + zeros / 8, std::uint8_t(different >> (56 - zeros / 8 * 8)), token_bytes_);
    }
    for (; common < limit; ++common) {
      const std::uint8_t different = text_.bytes[a + common] ^ text_.bytes[b + common];
      if (different) return SuffixBits::shared(common, different, token_bytes_);
    }
    return SuffixBits::shared(common, 0, token_bytes_);
  };
  std::size_t starts[kPrefetchDistance + 1], before = begin ? offset(begin - 1) : 0;
  for (std::size_t rank = begin; rank < end + kPrefetchDistance; ++rank) {
    if (rank < end) {
      const std::size_t start = starts[rank % (kPrefetchDistance + 1)] = offset(rank);
      prefetch(text_.bytes + start);
    }
    if (rank < begin + kPrefetchDistance) continue;
    const std::size_t behind = rank - kPrefetchDistance, start = starts[behind % (kPrefetchDistance + 1)];
    *out++ = behind ? std::uint8_t(std::min(SuffixBits::kClip, shared(before, start))) : 0;
    before = start;
  }
}

std::size_t SuffixTable::match(const Query& query) const {
  const RankRange range = find(query);
  if (range.begin < range.end) return query.size;
  std::size_t longest = 0;
  for (std::size_t rank = range.begin - (range.begin > 0); rank <= range.begin && rank < num_tokens_; ++rank) {
    std::size_t common = 0;
    text_.compare(offset(rank), query, common);
    longest = std::max(longest, common);
  }
  return longest;
}

Bounds SuffixTable::narrow_by_keys(Bounds bounds, const Query& query) const {
  constexpr std::size_t page = TopLevel::kPage;
  const QueryBits bits(query, token_bytes_);
  if (bounds.joint && bounds.begin_to - bounds.begin_from > kSearchedKeys) {
    const std::size_t from = (bounds.begin_from + page - 1) / page, to = (bounds.begin_to + page - 1) / page;
    if (to - from <= kSearchedPages) bounds = search_keys(page_keys_.pages(), from, to, page, bounds, query, bits);
  }
  const std::uint8_t* const keys = page_keys_.suffixes();
  if (bounds.joint && bounds.begin_from < bounds.begin_to &&
      bounds.begin_to - bounds.begin_from <= kSearchedKeys) {
    return search_keys(keys, bounds.begin_from, bounds.begin_to, 1, bounds, query, bits);
  }
  if (bounds.joint || bounds.begin_to >= bounds.end_from) return bounds;
  // The suffixes at begin_to and before end_from match, so what they share with others tells which of those do.
  const std::size_t shared = std::min(bits.size(), SuffixBits::kClip);
  const bool exact = bits.size() <= SuffixBits::kClip;
  if (exact || bounds.begin_to - bounds.begin_from <= kSearchedKeys) {
    bounds.begin_from = PageKeys::run_begin(keys, bounds.begin_from, bounds.begin_to, shared);
    if (exact) bounds.begin_to = bounds.begin_from;
  }
  if (exact || bounds.end_to - bounds.end_from <= kSearchedKeys) {
    bounds.end_to = PageKeys::run_end(keys, bounds.end_from - 1, bounds.end_to, shared);
    if (exact) bounds.end_from = bounds.end_to;
  }
  return bounds;
}

/// Narrows bounds by the keys of every `step`-th suffix, numbers [from, to), and the text of one of them.
Bounds SuffixTable::search_keys(const std::uint8_t* keys, std::size_t from, std::size_t to, std::size_t step,
                                const Bounds& bounds, const Query& query, const QueryBits& bits) const {
  const std::size_t found = PageKeys::candidate(keys, from, to, bits);
  const std::size_t start = offset(found * step);
  std::size_t common = bounds.common;
  const int order = text_.compare(start, query, common);
  std::size_t shared = bits.size();
  if (order != 0) {
    const bool ends = start + common >= text_.size;
    shared = SuffixBits::shared(common, ends ? 0 : text_.bytes[start + common] ^ query.bytes[common], token_bytes_);
  }
  // The ranks at and right behind the suffixes of numbers in [from, to]; outside of them the bounds are what they were.
  const auto behind = [&](std::size_t number) { return number > from ? (number - 1) * step + 1 : bounds.begin_from; };
  const auto at = [&](std::size_t number) { return number < to ? number * step : bounds.begin_to; };
  const bool exact = shared < SuffixBits::kClip || (order == 0 && shared == SuffixBits::kClip);
  if (exact && order != 0) {
    // Those that share more with the one that was read part from the query where it does.
    const std::size_t place = order > 0 ? PageKeys::run_begin(keys, from, found, shared + 1)
                                        : PageKeys::run_end(keys, found, to, shared + 1);
    return {behind(place), at(place), behind(place), at(place), true, bounds.common};
  }
  shared = std::min(shared, SuffixBits::kClip);
  const std::size_t first = PageKeys::run_begin(keys, from, found, shared);
  const std::size_t end = PageKeys::run_end(keys, found, to, shared);
  if (exact) return {behind(first), first * step, (end - 1) * step + 1, at(end), false, bounds.common};
  // All that share as much as a key can say are left.
  if (order == 0) return {behind(first), found * step, found * step + 1, at(end), false, bounds.common};
  if (order < 0) return {found * step + 1, at(end), found * step + 1, at(end), true, bounds.common};
  return {behind(first), found * step, behind(first), found * step, true, bounds.common};
}

// ------------------------------------------------------------------------------------ what follows

std::int64_t SuffixTable::token_at(std::size_t start, std::size_t depth) const {
  const std::size_t left = (text_.size - start) / token_bytes_;
  return depth < left ? std::int64_t(load(text_.bytes + start + depth * token_bytes_, token_bytes_)) : kEndOfStream;
}

void SuffixTable::next_tokens(RankRange range, std::size_t depth, std::vector<NextToken>& out) const {
  if (range.begin == range.end) return;
  if (page_keys_ && depth < SuffixBits::kClip) {
    const std::size_t bits = SuffixBits::of_tokens((depth + 1) * token_bytes_, token_bytes_);
    if (bits <= SuffixBits::kClip) return next_tokens_by_keys(range, depth, bits, out);
  }
  // Suffixes known to have one token at this depth, in order; between two runs there may be others.
  struct Run {
    std::int64_t token;
    std::size_t first, last;
  };
  const std::size_t last = range.end - 1;
  const std::int64_t first_token = token_at(offset(range.begin), depth);
  std::vector<Run> runs{{first_token, range.begin, range.begin}}, finer;
  if (last > range.begin) {
    const std::int64_t last_token = token_at(offset(last), depth);
    if (last_token == first_token) {
      runs[0].last = last;  // sorted, so all between are equal and none is read
    } else {
      runs.push_back({last_token, last, last});
    }
  }
  std::vector<std::size_t> gaps, starts;
  const auto middle = [&](std::size_t i) { return runs[i].last + (runs[i + 1].first - runs[i].last) / 2; };
  while (true) {
    gaps.clear();
    for (std::size_t i = 0; i + 1 < runs.size(); ++i) {
      if (runs[i + 1].first - runs[i].last > 1) {
        gaps.push_back(i);
        prefetch_entry(middle(i));
      }
    }
    if (gaps.empty()) break;
    starts.clear();
    for (const std::size_t i : gaps) {
      starts.push_back(offset(middle(i)));
      prefetch(text_.bytes + std::min(text_.size - 1, starts.back() + depth * token_bytes_));
    }
    finer.clear();
    std::size_t copied = 0;
    for (std::size_t g = 0; g < gaps.size(); ++g) {
      const std::size_t i = gaps[g], rank = middle(i);
      const std::int64_t token = token_at(starts[g], depth);
      if (token == runs[i].token) {
        runs[i].last = rank;
      } else if (token == runs[i + 1].token) {
        runs[i + 1].first = rank;
      } else {
        finer.insert(finer.end(), runs.begin() + copied, runs.begin() + i + 1);
        finer.push_back({token, rank, rank});
        copied = i + 1;
      }
    }
    if (copied) {
      finer.insert(finer.end(), runs.begin() + copied, runs.end());
      runs.swap(finer);
    }
  }
  for (const Run& run : runs) out.push_back({run.token, std::int64_t(run.last - run.first + 1)});
}

/// Where two suffixes share fewer `bits` than there are up to the end of their next token, another token begins.
void SuffixTable::next_tokens_by_keys(RankRange range, std::size_t depth, std::size_t bits,
                                      std::vector<NextToken>& out) const {
  std::vector<std::size_t> firsts, starts;
  for (std::size_t rank = range.begin; rank < range.end;) {
    firsts.push_back(rank);
    rank = PageKeys::run_end(page_keys_.suffixes(), rank, range.end, bits);
  }
  const std::size_t count = firsts.size(), at = depth * token_bytes_;
  for (std::size_t i = 0; i < count + 2 * kPrefetchDistance; ++i) {
    if (i < count) prefetch_entry(firsts[i]);
    if (i >= kPrefetchDistance && i - kPrefetchDistance < count) {
      starts.push_back(offset(firsts[i - kPrefetchDistance]));
      prefetch(text_.bytes + std::min(text_.size - 1, starts.back() + at));
    }
    if (i < 2 * kPrefetchDistance) continue;
    const std::size_t run = i - 2 * kPrefetchDistance;
    const std::size_t end = run + 1 < count ? firsts[run + 1] : range.end;
    out.push_back({token_at(starts[run], depth), std::int64_t(end - firsts[run])});
  }
}

void SuffixTable::positions(RankRange range, std::int64_t* out) const {
  for (std::size_t rank = range.begin; rank < range.end; ++rank) {
    *out++ = std::int64_t(offset(rank) / token_bytes_);
  }
}

}  // namespace lodex
