// Many searches in turn: while one waits for memory, the others go on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "suffix_probe.h"
#include "suffix_search.h"

namespace lodex {

/// A search under way: for the first rank of [low, high] whose suffix is not smaller than the query, and then for the
/// first whose is greater.
struct Lane {
  Query query;
  Probe probe;
  std::size_t low, high, middle;
  // Between these is the end: it is sought last, and the way to the beginning passes by both. No suffix is known to
  // match while end_low is 0.
  std::size_t end_low, end_high;
  // Leading bytes of the query that the suffixes right below `low`, at `high` and at `end_high` are known to begin with:
  // all between share them too (Manber and Myers 1993), so a long query is not read again from its start at every step.
  std::size_t common_low, common_high, common_end;
  std::size_t start;  // where the suffix in the middle stands in the text
  std::size_t number;
  bool ends;  // the end is sought

  Lane() = default;
  Lane(const Bounds& bounds, const Query& query, std::size_t number, const Text& text)
      : query(query),
        probe(query, bounds.common, text),
        low(bounds.begin_from),
        high(bounds.begin_to),
        middle(low + (high - low) / 2),
        end_low(bounds.joint || bounds.begin_to >= bounds.end_from ? 0 : bounds.end_from),
        end_high(bounds.end_to),
        common_low(bounds.common),
        common_high(bounds.common),
        common_end(bounds.common),
        number(number),
        ends(false) {}

  bool is_open() const { return low < high; }
  bool has_match() const { return end_low != 0; }

  /// Goes on with the half that the suffix in the middle leaves. Returns whether there is more than one rank in it.
  bool step(const Text& text) {
    std::size_t common;
    const Probe::Order order = probe.compare(text, start, query, common);
    const bool matches = !(order.below | order.above);
    const bool right = order.below | (matches & ends);
    end_low = matches & !has_match() ? middle + 1 : end_low;
    end_high = order.above ? middle : end_high;
    const std::size_t new_low = right ? middle + 1 : low, new_high = right ? high : middle;
    low = new_low;
    high = new_high;
    middle = new_low + (new_high - new_low) / 2;
    if (order.is_close) {
      (right ? common_low : common_high) = common;
      if (order.above) common_end = common;
      const std::size_t shared = std::min(common_low, common_high);
      if (shared > probe.at()) probe = Probe(query, shared, text);
    }
    return new_low < new_high;
  }

  /// Turns to the end, which is between a suffix that matches and one that is greater.
  void seek_end(const Text& text) {
    ends = true;
    low = end_low;
    high = end_high;
    middle = low + (high - low) / 2;
    common_low = query.size;
    common_high = common_end;
    probe = Probe(query, common_end, text);
  }
};

/// Finds the ranks of each query.
struct FindSearch {
  RankRange* out;

  /// Whether a lane that is open has arrived.
  bool has_arrived(const Lane&) const { return false; }
  bool arrive(Lane& lane, const SuffixTable& table) {
    if (!lane.ends) {
      out[lane.number].begin = out[lane.number].end = lane.low;
      if (!lane.has_match()) return true;
      lane.seek_end(table.text());
      if (lane.is_open()) return false;
    }
    out[lane.number].end = lane.low;
    return true;
  }
};

/// Finds how much of each query occurs: the longer prefix that it shares with the suffixes on either side of it.
struct MatchSearch {
  std::size_t* out;

  bool has_arrived(const Lane& lane) const { return lane.has_match(); }
  bool arrive(Lane& lane, const SuffixTable& table) {
    out[lane.number] = lane.has_match() ? lane.query.size : table.longest_beside(lane.low, lane.query);
    return true;
  }
};

/// Finds whether each query occurs.
struct OccurSearch {
  bool* out;

  bool has_arrived(const Lane& lane) const { return lane.has_match(); }
  bool arrive(Lane& lane, const SuffixTable&) {
    out[lane.number] = lane.has_match();
    return true;
  }
};

}  // namespace lodex
