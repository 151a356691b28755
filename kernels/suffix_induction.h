// Induced sorting: from an order of the LMS suffixes to one of all.
//
// The words used by all files of the suffix sort:
//   L, S    a suffix is S if it is smaller than the suffix one to its right, else L. The last suffix is L, because the
//           empty suffix after it is smaller than everything.
//   LMS     an S suffix whose left neighbour is L. LMS suffixes are at most half of all, and order the rest.
//   bucket  the suffixes that begin with one symbol: a run of the suffix array, its L suffixes before its S suffixes.
//
// One induction writes, for each suffix read in order, its left neighbour into the next free place of that neighbour's
// bucket: a scan to the right fills in the L suffixes, a scan to the left the S suffixes. Run from LMS suffixes in any
// order it sorts the LMS substrings; run from sorted LMS suffixes it sorts everything.
//
// Entries carry one bit of state, ~p instead of p for "the other scan's business", so no type is stored (the idea is
// Yuta Mori's). Every access at random is announced ahead by a prefetch: first the text, then the place.
#pragma once

#include "token_text.h"

namespace lodex {

template <typename Text>
class Induction {
 public:
  static constexpr Index kPrefetchDistance = 32;

  /// `bucket` and `counts` have room for the alphabet; `counts` says how often each symbol occurs.
  Induction(const Text& text, Index n, Index* sa, const Index* counts, Index* bucket)
      : text_(text), n_(n), sa_(sa), counts_(counts), bucket_(bucket) {}

  void point_buckets_at_heads() {
    Index sum = 0;
    for (Index c = 0; c < text_.alphabet; ++c) {
      bucket_[c] = sum;
      sum += counts_[c];
    }
  }

  void point_buckets_at_tails() {
    Index sum = 0;
    for (Index c = 0; c < text_.alphabet; ++c) bucket_[c] = sum += counts_[c];
  }

  /// From LMS positions at their buckets' ends, in any order, to all of them ordered by substring in sa[n - m, n).
  void sort_lms_substrings() {
    point_buckets_at_heads();
    push<kL>(n_);
    scan<kL>([&](Index i) {
      const Index p = sa_[i];
      sa_[i] = p < 0 ? ~p : 0;  // the leftmost of a run of L: the scan to the left goes on from here
      if (p > 0) push<kL>(p);
    });
    point_buckets_at_tails();
    Index sorted = n_;
    scan<kS>([&](Index i) {
      const Index p = sa_[i];
      if (p < -1) {
        sa_[--sorted] = ~p;  // an LMS suffix; what is written stays right of what will be read
      } else {
        sa_[i] = 0;
        if (p > 0) push<kS>(p);
      }
    });
  }

  /// From sorted LMS positions at their buckets' ends to the whole suffix array.
  void induce_all() {
    point_buckets_at_heads();
    push<kL>(n_);
    scan<kL>([&](Index i) {
      const Index p = sa_[i];
      sa_[i] = ~p;  // a suffix whose left neighbour is L is done with; for the others the scan to the left is to come
      if (p > 0) push<kL>(p);
    });
    point_buckets_at_tails();
    scan<kS>([&](Index i) {
      const Index p = sa_[i];
      if (p > 0) {
        push<kS>(p);
      } else {
        sa_[i] = ~p;
      }
    });
  }

 private:
  enum Type { kL, kS };

  /// Writes the left neighbour of the suffix p into its bucket: L suffixes at the head, S suffixes at the tail.
  ///
  /// ~ marks an L suffix whose left neighbour is S, and an S suffix whose left neighbour is not, or is missing.
  template <Type type>
  void push(Index p) {
    const Index q = p - 1, symbol = text_[q];
    if constexpr (type == kL) {
      sa_[bucket_[symbol]++] = q > 0 && text_[q - 1] < symbol ? ~q : q;
    } else {
      sa_[--bucket_[symbol]] = q == 0 || text_[q - 1] > symbol ? ~q : q;
    }
  }

  static Index left_of(Index p) { return p > 0 ? p - 1 : 0; }

  /// Calls step(i) for all entries, to the right for L, to the left for S, and announces what later steps will touch.
  template <Type type, typename Step>
  void scan(Step step) {
    constexpr Index ahead = type == kL ? kPrefetchDistance : -kPrefetchDistance;
    const auto announce = [&](Index i) {
      prefetch_read(text_.tokens + left_of(sa_[i + 2 * ahead]));
      prefetch_write(sa_ + bucket_[text_[left_of(sa_[i + ahead])]]);
    };
    if constexpr (type == kL) {
      Index i = 0;
      for (; i < n_ - 2 * ahead; ++i) {
        announce(i);
        step(i);
      }
      for (; i < n_; ++i) step(i);
    } else {
      Index i = n_ - 1;
      for (; i >= -2 * ahead; --i) {
        announce(i);
        step(i);
      }
      for (; i >= 0; --i) step(i);
    }
  }

  Text text_;
  Index n_;
  Index* sa_;
  const Index* counts_;
  Index* bucket_;
};

}  // namespace lodex
