// Bisection over a suffix table, with text and table anywhere in memory: usually mapped files.

#include "suffix_search.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "suffix_lanes.h"
#include "suffix_pivots.h"

namespace lodex {
namespace {

// Searches at work in turn: enough to hide the way to memory, few enough to stay in the first cache.
constexpr std::size_t kLanes = 32;
// Searches that are few enough to try several places at once each, and how many.
constexpr std::size_t kFewQueries = 8;
constexpr std::size_t kPivots = PivotSearch::kMostPivots;
// Queries ahead of which a batch asks for their keys.
constexpr std::size_t kQueriesAhead = 8;
// Suffixes ahead of which a pass over the table asks for memory.
constexpr std::size_t kPrefetchDistance = 24;
// Suffixes among which their own keys are searched, without those of pages before; half a page of the disk.
constexpr std::size_t kSearchedKeys = 4 * TopLevel::kPage;
// Pages whose keys are searched at once. There are more only where long runs of one text are repeated.
constexpr std::size_t kSearchedPages = 8192;

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
  offset_mask_ = ~std::uint64_t{0} >> (64 - 8 * offset_bytes_);
  whole_entries_ = table_bytes >= 8 ? (table_bytes - 8) / offset_bytes_ + 1 : 0;
}

inline std::size_t SuffixTable::offset(std::size_t rank) const {
  // Eight bytes are read where there are, whatever the width of an entry: that is one load.
  const std::uint8_t* const entry = table_ + rank * offset_bytes_;
  const std::uint64_t value = rank < whole_entries_ ? load(entry, 8) & offset_mask_ : load(entry, offset_bytes_);
  if (value >= text_.size || (value & (token_bytes_ - 1)) != 0) fail_at(rank, value);
  return value;
}

void SuffixTable::fail_at(std::size_t rank, std::uint64_t value) const {
  throw CorruptTable(label_ + ": entry " + std::to_string(rank) + " holds " + std::to_string(value) +
                     ", which is not the offset of a token of " + std::to_string(token_bytes_) +
                     " bytes in a stream of " + std::to_string(text_.size) + " bytes");
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
  Lane lanes[kLanes];
  std::size_t active = 0, next = 0;
  // Gives a lane the next query that is not answered by the top level; returns whether there is one.
  const auto open = [&](Lane& lane) {
    while (next < count) {
      if (next + 2 * kQueriesAhead < count) top_.prefetch_start(queries[next + 2 * kQueriesAhead]);
      if (next + kQueriesAhead < count) top_.prefetch_keys(queries[next + kQueriesAhead]);
      lane = Lane(narrow(queries[next]), queries[next], next, text_);
      ++next;
      if ((lane.is_open() && !search.has_arrived(lane)) || !search.arrive(lane, *this)) {
        prefetch_entry(lane.middle);
        return true;
      }
    }
    return false;
  };
  while (active < kLanes && open(lanes[active])) ++active;
  while (active) {
    for (std::size_t i = 0; i < active; ++i) {
      Lane& lane = lanes[i];
      lane.start = offset(lane.middle);
      prefetch(text_.bytes + lane.start + lane.probe.at());
    }
    for (std::size_t i = 0; i < active;) {
      Lane& lane = lanes[i];
      if ((lane.step(text_) && !search.has_arrived(lane)) || !search.arrive(lane, *this)) {
        prefetch_entry(lane.middle);
      } else if (!open(lane)) {
        lane = lanes[--active];
        continue;  // with the one that came here
      }
      ++i;
    }
  }
}

/// Runs up to kFewQueries searches side by side, each until it ends or has arrived.
template <typename HasArrived>
void SuffixTable::search_few(PivotSearch* searches, std::size_t count, const HasArrived& has_arrived) const {
  const std::size_t pivots = reads_few_ ? 1 : kPivots;
  PivotSearch* open[kFewQueries];
  std::size_t active = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (searches[i].is_open() && !has_arrived(searches[i])) open[active++] = searches + i;
  }
  while (active) {
    for (std::size_t i = 0; i < active; ++i) open[i]->spread(pivots, [this](std::size_t rank) { prefetch_entry(rank); });
    for (std::size_t i = 0; i < active; ++i) open[i]->follow(text_, [this](std::size_t rank) { return offset(rank); });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < active; ++i) {
      open[i]->narrow(text_);
      if (open[i]->is_open() && !has_arrived(*open[i])) open[kept++] = open[i];
    }
    active = kept;
  }
}

void SuffixTable::find_many(const Query* queries, std::size_t count, RankRange* out) const {
  if (page_keys_ && (reads_few_ || count == 1)) {
    for (std::size_t i = 0; i < count; ++i) out[i] = find(queries[i]);
  } else if (count <= kFewQueries) {
    PivotSearch searches[kFewQueries];
    for (std::size_t i = 0; i < count; ++i) searches[i] = PivotSearch(narrow(queries[i]), queries[i], text_);
    search_few(searches, count, [](const PivotSearch&) { return false; });
    for (std::size_t i = 0; i < count; ++i) out[i] = searches[i].ranks();
  } else {
    FindSearch search{out};
    interleave(queries, count, search);
  }
}

void SuffixTable::match_many(const Query* queries, std::size_t count, std::size_t* out) const {
  std::fill_n(out, count, 0);
  if (num_tokens_ == 0) return;
  if (page_keys_ && reads_few_) {
    for (std::size_t i = 0; i < count; ++i) out[i] = match(queries[i]);
    return;
  }
  MatchSearch search{out};
  interleave(queries, count, search);
}

void SuffixTable::occur_many(const Query* queries, std::size_t count, bool* out) const {
  if (page_keys_ && reads_few_) {
    for (std::size_t i = 0; i < count; ++i) {
      const RankRange range = find(queries[i]);
      out[i] = range.begin < range.end;
    }
  } else if (count <= kFewQueries) {
    PivotSearch searches[kFewQueries];
    for (std::size_t i = 0; i < count; ++i) searches[i] = PivotSearch(narrow(queries[i]), queries[i], text_);
    search_few(searches, count, [](const PivotSearch& search) { return search.has_match(); });
    for (std::size_t i = 0; i < count; ++i) {
      const RankRange range = searches[i].ranks();
      out[i] = searches[i].has_match() || range.begin < range.end;
    }
  } else {
    OccurSearch search{out};
    interleave(queries, count, search);
  }
}

// ------------------------------------------------------------------------------------ one query

RankRange SuffixTable::find(const Query& query) const {
  Bounds bounds = narrow(query);
  if (page_keys_) bounds = narrow_by_keys(bounds, query);
  PivotSearch search(bounds, query, text_);
  search_few(&search, 1, [](const PivotSearch&) { return false; });
  return search.ranks();
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
  return range.begin < range.end ? query.size : longest_beside(range.begin, query);
}

std::size_t SuffixTable::longest_beside(std::size_t rank, const Query& query) const {
  std::size_t longest = 0;
  for (std::size_t beside = rank - (rank > 0); beside <= rank && beside < num_tokens_; ++beside) {
    std::size_t common = 0;
    text_.compare(offset(beside), query, common);
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
