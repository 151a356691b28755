// SA-IS: suffix sorting by induced sorting.
//
// Nong, Zhang, Chan 2009, "Linear Suffix Array Construction by Almost Pure Induced-Sorting". The words used here:
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
// Yuta Mori's). Every access at random is announced ahead by a prefetch: first the text, then the bucket, then its place.

#include "suffix_array.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace lodex {
namespace {

using Index = std::int32_t;

constexpr Index kPrefetchDistance = 24;

inline void prefetch_read(const void* address) { __builtin_prefetch(address, 0); }
inline void prefetch_write(const void* address) { __builtin_prefetch(address, 1); }

inline std::uint8_t swap_bytes(std::uint8_t token) { return token; }
inline std::uint16_t swap_bytes(std::uint16_t token) { return __builtin_bswap16(token); }
inline std::uint32_t swap_bytes(std::uint32_t token) { return __builtin_bswap32(token); }

/// A text of small unsigned tokens, read through a byte swap so that symbols compare as bytes do.
template <typename Token>
struct TokenText {
  static constexpr Index alphabet = Index{std::numeric_limits<Token>::max()} + 1;
  const Token* tokens;
  Index operator[](Index i) const { return swap_bytes(tokens[i]); }
  const void* address(Index i) const { return tokens + i; }
};

/// A text whose symbols are ranks in [0, alphabet).
struct RankText {
  const Index* ranks;
  Index alphabet;
  Index operator[](Index i) const { return ranks[i]; }
  const void* address(Index i) const { return ranks + i; }
};

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
      sort_lms_substrings();            // LMS positions, by their substrings, in sa[n - m, n)
      const Index names = name_lms(m);  // a name for the substring at p in sa[p / 2]
      if (names < m) {
        scratch_.give_all_back();  // counting again is cheap, and the levels below have buckets of their own
        rank_lms_by_recursion(m, names);
        open_buckets();
      } else {
        std::copy(sa_ + n_ - m, sa_ + n_, sa_);
      }
      place_lms_sorted(m);
    }
    induce_all();
  }

 private:
  // ------------------------------------------------------------------------------------ buckets

  void open_buckets() {
    counts_ = scratch_.take(text_.alphabet);
    bucket_ = scratch_.take(text_.alphabet);
    std::fill_n(counts_, text_.alphabet, 0);
    for (Index i = 0; i < n_; ++i) ++counts_[text_[i]];
  }

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

  // ------------------------------------------------------------------------------------ LMS suffixes

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
    point_buckets_at_tails();
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
      if (i + kPrefetchDistance < m) prefetch_read(text_.address(sorted[i + kPrefetchDistance]));
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
    point_buckets_at_tails();
    for (Index i = m - 1; i >= 0; --i) {
      if (i >= kPrefetchDistance) prefetch_read(text_.address(sa_[i - kPrefetchDistance]));
      const Index p = sa_[i];
      sa_[i] = 0;
      sa_[--bucket_[text_[p]]] = p;
    }
  }

  // ------------------------------------------------------------------------------------ induction

  /// Announces what the scan will touch soon: for the entry 3, 2, 1 distances ahead its text, bucket and place.
  template <Index step>
  void prefetch_ahead(Index i) const {
    constexpr Index ahead = step * kPrefetchDistance;
    const auto inside = [&](Index k) { return k >= 0 && k < n_; };
    if (!inside(i + 3 * ahead)) return;
    if (const Index p = sa_[i + 3 * ahead]; p > 0) prefetch_read(text_.address(p - 1));
    if (const Index p = sa_[i + 2 * ahead]; p > 0) prefetch_write(bucket_ + text_[p - 1]);
    if (const Index p = sa_[i + ahead]; p > 0) prefetch_write(sa_ + bucket_[text_[p - 1]]);
  }

  /// Writes the L suffix p at the head of its bucket: ~p if its left neighbour is S, for the scan to the left.
  void push_l(Index p) {
    const Index symbol = text_[p];
    sa_[bucket_[symbol]++] = p > 0 && text_[p - 1] < symbol ? ~p : p;
  }

  /// Writes the S suffix p at the tail of its bucket: ~p if it has no left neighbour that is S.
  void push_s(Index p) {
    const Index symbol = text_[p];
    sa_[--bucket_[symbol]] = p == 0 || text_[p - 1] > symbol ? ~p : p;
  }

  /// From LMS positions at their buckets' ends, in any order, to all of them ordered by substring in sa[n - m, n).
  void sort_lms_substrings() {
    point_buckets_at_heads();
    push_l(n_ - 1);
    for (Index i = 0; i < n_; ++i) {
      prefetch_ahead<+1>(i);
      const Index p = sa_[i];
      if (p > 0) {
        sa_[i] = 0;
        push_l(p - 1);
      } else if (p < 0) {
        sa_[i] = ~p;  // the leftmost of a run of L: the scan to the left goes on from here
      }
    }
    point_buckets_at_tails();
    Index sorted = n_;
    for (Index i = n_ - 1; i >= 0; --i) {
      prefetch_ahead<-1>(i);
      const Index p = sa_[i];
      if (p > 0) {
        sa_[i] = 0;
        push_s(p - 1);
      } else if (p < -1) {
        sa_[--sorted] = ~p;  // an LMS suffix; what is written stays right of what will be read
      }
    }
  }

  /// From sorted LMS positions at their buckets' ends to the whole suffix array.
  void induce_all() {
    point_buckets_at_heads();
    push_l(n_ - 1);
    for (Index i = 0; i < n_; ++i) {
      prefetch_ahead<+1>(i);
      const Index p = sa_[i];
      sa_[i] = ~p;  // a suffix whose left neighbour is L is done with; for the others the scan to the left is to come
      if (p > 0) push_l(p - 1);
    }
    point_buckets_at_tails();
    for (Index i = n_ - 1; i >= 0; --i) {
      prefetch_ahead<-1>(i);
      const Index p = sa_[i];
      if (p > 0) {
        push_s(p - 1);
      } else {
        sa_[i] = ~p;
      }
    }
  }

  Text text_;
  Index n_;
  Index* sa_;
  Scratch scratch_;
  Index* counts_ = nullptr;
  Index* bucket_ = nullptr;
};

/// Replaces 32-bit tokens by their ranks among the distinct ones, in byte order; returns how many are distinct.
Index rank_tokens(const std::uint32_t* tokens, Index n, Index* ranks) {
  // Ids of real vocabularies are small, but for a separator of all ones, and are looked up in a table.
  // Larger ones are found by bisection, so no id is refused and memory stays bounded.
  constexpr std::uint32_t kTableSize = 1u << 22;
  std::vector<Index> table(kTableSize, 0);
  std::vector<std::uint32_t> distinct;
  for (Index i = 0; i < n; ++i) {
    const std::uint32_t token = tokens[i];
    if (token >= kTableSize || table[token] == 0) distinct.push_back(swap_bytes(token));
    if (token < kTableSize) table[token] = 1;
  }
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const auto rank = [&](std::uint32_t token) {
    return Index(std::lower_bound(distinct.begin(), distinct.end(), swap_bytes(token)) - distinct.begin());
  };
  for (const std::uint32_t symbol : distinct) {
    if (const std::uint32_t token = swap_bytes(symbol); token < kTableSize) table[token] = rank(token);
  }
  for (Index i = 0; i < n; ++i) ranks[i] = tokens[i] < kTableSize ? table[tokens[i]] : rank(tokens[i]);
  return Index(distinct.size());
}

}  // namespace

template <typename Token>
void build_suffix_array(const Token* tokens, std::int32_t n, std::int32_t* positions) {
  if constexpr (sizeof(Token) <= 2) {
    InducedSorter<TokenText<Token>>({tokens}, n, positions, Scratch(nullptr, 0)).sort();
  } else {
    const std::unique_ptr<Index[]> ranks(new Index[n]);
    const Index alphabet = rank_tokens(tokens, n, ranks.get());
    InducedSorter<RankText>({ranks.get(), alphabet}, n, positions, Scratch(nullptr, 0)).sort();
  }
}

template void build_suffix_array(const std::uint8_t*, std::int32_t, std::int32_t*);
template void build_suffix_array(const std::uint16_t*, std::int32_t, std::int32_t*);
template void build_suffix_array(const std::uint32_t*, std::int32_t, std::int32_t*);

}  // namespace lodex
