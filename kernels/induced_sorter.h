// SA-IS: suffix sorting by induced sorting, in linear time on every text.
//
// Nong, Zhang, Chan 2009, "Linear Suffix Array Construction by Almost Pure Induced-Sorting".
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "suffix_induction.h"
#include "token_text.h"

namespace lodex {

/// Memory lent by the caller where it is large enough, else from the heap.
class Scratch {
 public:
  Scratch(Index* lent, std::size_t lent_size) : lent_(lent), lent_size_(lent_size) {}

  Index* take(std::size_t size) {
    if (size <= lent_size_ - used_) {
      used_ += size;
      return lent_ + used_ - size;
    }
    owned_.push_back(std::unique_ptr<Index[]>(new Index[size]));
    return owned_.back().get();
  }

  void give_all_back() {
    used_ = 0;
    owned_.clear();
  }

 private:
  Index* lent_;
  std::size_t lent_size_;
  std::size_t used_ = 0;
  std::vector<std::unique_ptr<Index[]>> owned_;
};

template <typename Text>
class InducedSorter {
 public:
  /// `scratch` may overlap nothing that the text or `sa[0..n)` occupy.
  InducedSorter(const Text& text, Index n, Index* sa, Scratch scratch)
      : text_(text), n_(n), sa_(sa), scratch_(std::move(scratch)) {}

  void sort() {
    if (n_ < 2) {
      std::fill_n(sa_, n_, 0);
      return;
    }
    open_buckets();
    const Index m = place_lms_unsorted();
    if (m > 1) {
      induction_.sort_lms_substrings();  // LMS positions, by their substrings, in sa[n - m, n)
      const Index names = name_lms(m);   // a name for the substring at p in sa[p / 2]
      if (names < m) {
        scratch_.give_all_back();  // counting again is cheap, and the levels below have buckets of their own
        rank_lms_by_recursion(m, names);
        open_buckets();
      } else {
        std::copy(sa_ + n_ - m, sa_ + n_, sa_);
      }
      place_lms_sorted(m);
    }
    induction_.induce_all();
  }

 private:
  static constexpr Index kPrefetchDistance = Induction<Text>::kPrefetchDistance;

  void open_buckets() {
    Index* const counts = scratch_.take(text_.alphabet);
    bucket_ = scratch_.take(text_.alphabet);
    std::fill_n(counts, text_.alphabet, 0);
    for (Index i = 0; i < n_; ++i) ++counts[text_[i]];
    induction_ = Induction<Text>(text_, n_, sa_, counts, bucket_);
  }

  /// Calls visit(position) for every LMS suffix, from right to left.
  template <typename Visit>
  void visit_lms(Visit visit) const {
    Index right = text_[n_ - 1];
    bool right_is_s = false;
    for (Index i = n_ - 2; i >= 0; --i) {
      const Index left = text_[i];
      const bool left_is_s = (left < right) | ((left == right) & right_is_s);
      if (right_is_s & !left_is_s) visit(i + 1);
      right = left;
      right_is_s = left_is_s;
    }
  }

  /// Puts every LMS position at the end of its bucket, zero everywhere else; returns how many there are.
  Index place_lms_unsorted() {
    std::fill_n(sa_, n_, 0);
    induction_.point_buckets_at_tails();
    Index m = 0;
    visit_lms([&](Index p) {
      sa_[--bucket_[text_[p]]] = p;
      ++m;
    });
    return m;
  }

  /// Gives every LMS substring its rank among the distinct ones, at sa[p / 2]; returns how many are distinct.
  Index name_lms(Index m) {
    Index* const by_half = sa_;  // LMS positions are never adjacent, so p / 2 tells them apart
    const Index* const sorted = sa_ + n_ - m;
    std::fill(sa_, sa_ + n_ - m, -1);
    Index next = n_;  // of the last substring the end of text is a part: length 0 keeps it unlike the others
    visit_lms([&](Index p) {
      by_half[p / 2] = next == n_ ? 0 : next - p + 1;
      next = p;
    });

    Index names = 0, previous = 0, previous_length = -1;
    for (Index i = 0; i < m; ++i) {
      if (i + 2 * kPrefetchDistance < m) prefetch_write(by_half + sorted[i + 2 * kPrefetchDistance] / 2);
      if (i + kPrefetchDistance < m) prefetch_read(text_.tokens + sorted[i + kPrefetchDistance]);
      const Index p = sorted[i], length = by_half[p / 2];
      bool equal = length == previous_length;
      for (Index k = 0; equal && k < length; ++k) equal = text_[p + k] == text_[previous + k];
      if (!equal) ++names;
      by_half[p / 2] = names - 1;
      previous = p;
      previous_length = length;
    }
    return names;
  }

  /// Sorts the LMS suffixes as the suffixes of the string of their names; leaves their positions in sa[0, m).
  void rank_lms_by_recursion(Index m, Index names) {
    Index* const reduced = sa_ + n_ - m;
    Index to = m;
    for (Index i = (n_ - 1) / 2; i >= 0; --i) {
      if (sa_[i] >= 0) reduced[--to] = sa_[i];
    }
    InducedSorter<RankText>(RankText{reduced, names}, m, sa_, Scratch(sa_ + m, n_ - 2 * std::size_t(m))).sort();

    Index* const positions = reduced;
    to = m;
    visit_lms([&](Index p) { positions[--to] = p; });
    for (Index i = 0; i < m; ++i) {
      if (i + kPrefetchDistance < m) prefetch_read(positions + sa_[i + kPrefetchDistance]);
      sa_[i] = positions[sa_[i]];
    }
  }

  /// Spreads the sorted LMS positions of sa[0, m) over the ends of their buckets, zero everywhere else.
  void place_lms_sorted(Index m) {
    std::fill(sa_ + m, sa_ + n_, 0);
    induction_.point_buckets_at_tails();
    for (Index i = m - 1; i >= 0; --i) {
      if (i >= kPrefetchDistance) prefetch_read(text_.tokens + sa_[i - kPrefetchDistance]);
      const Index p = sa_[i];
      sa_[i] = 0;
      sa_[--bucket_[text_[p]]] = p;
    }
  }

  Text text_;
  Index n_;
  Index* sa_;
  Scratch scratch_;
  Index* bucket_ = nullptr;
  Induction<Text> induction_{text_, n_, sa_, nullptr, nullptr};
};

}  // namespace lodex
