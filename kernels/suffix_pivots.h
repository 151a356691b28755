// A few searches at once, each of which tries several places at a time: fewer waits for memory in a row than bisection.
#pragma once

#include <algorithm>
#include <cstddef>

#include "suffix_probe.h"
#include "suffix_search.h"

namespace lodex {

/// A search by pivots that divide its bounds evenly. A round has three steps, each of which asks for the memory that the
/// next one reads: `spread`, `follow`, `narrow`.
class PivotSearch {
 public:
  static constexpr std::size_t kMostPivots = 7;

  PivotSearch() = default;
  PivotSearch(const Bounds& bounds, const Query& query, const Text& text)
      : query_(query), probe_(query, bounds.common, text), bounds_(bounds) {}

  bool is_open() const { return bounds_.begin_from < bounds_.begin_to || bounds_.end_from < bounds_.end_to; }
  bool has_match() const { return !bounds_.joint && bounds_.begin_to < bounds_.end_from; }
  RankRange ranks() const { return {bounds_.begin_from, std::max(bounds_.begin_from, bounds_.end_from)}; }

  /// Chooses pivots between the bounds of the beginning and, once they part, of the end.
  template <typename Prefetch>
  void spread(std::size_t most, const Prefetch& prefetch_entry) {
    begins_ = spread(bounds_.begin_from, bounds_.begin_to, most, ranks_);
    all_ = begins_;
    if (!bounds_.joint) all_ += spread(bounds_.end_from, bounds_.end_to, most, ranks_ + begins_);
    for (std::size_t i = 0; i < all_; ++i) prefetch_entry(ranks_[i]);
  }

  template <typename Offset>
  void follow(const Text& text, const Offset& offset) {
    for (std::size_t i = 0; i < all_; ++i) {
      starts_[i] = offset(ranks_[i]);
      prefetch(text.bytes + starts_[i] + probe_.at());
    }
  }

  void narrow(const Text& text) {
    std::size_t below = 0, not_above = 0, common;  // of the pivots of the beginning, and of the end
    for (std::size_t i = 0; i < begins_; ++i) {
      const Probe::Order order = probe_.compare(text, starts_[i], query_, common);
      below += order.below;
      not_above += bounds_.joint & !order.above;
    }
    for (std::size_t i = begins_; i < all_; ++i) not_above += !probe_.compare(text, starts_[i], query_, common).above;

    const std::size_t* const end_ranks = bounds_.joint ? ranks_ : ranks_ + begins_;
    const std::size_t ends = bounds_.joint ? begins_ : all_ - begins_;
    if (bounds_.joint) {
      bounds_.end_from = bounds_.begin_from;
      bounds_.end_to = bounds_.begin_to;
      bounds_.joint = not_above == below;
    }
    if (not_above) bounds_.end_from = end_ranks[not_above - 1] + 1;
    if (not_above < ends) bounds_.end_to = end_ranks[not_above];
    if (below) bounds_.begin_from = ranks_[below - 1] + 1;
    if (below < begins_) bounds_.begin_to = ranks_[below];
  }

 private:
  /// Up to `most` ranks evenly over [from, to), in order; returns how many.
  static std::size_t spread(std::size_t from, std::size_t to, std::size_t most, std::size_t* ranks) {
    const std::size_t size = to - from, count = std::min(size, most);
    for (std::size_t i = 0; i < count; ++i) ranks[i] = from + size * (i + 1) / (count + 1);
    return count;
  }

  Query query_;
  Probe probe_;
  Bounds bounds_;
  std::size_t begins_ = 0, all_ = 0;
  std::size_t ranks_[2 * kMostPivots], starts_[2 * kMostPivots];
};

}  // namespace lodex
