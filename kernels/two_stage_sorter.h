// Suffix sorting in two stages: LMS suffixes by comparing keys and names, all others by induction from them.
//
// The order is that of Itoh, Tanaka 1999, "An Efficient Method for in Memory Construction of Suffix Arrays", with LMS
// suffixes as those that are compared. Guards keep it linear: a text whose LMS suffixes are crowded in one bucket is left
// to SA-IS, and so is the string of names when telling names apart takes too long (suffix_names.cpp).
//
// Everything lives in the suffix array: the order of the m <= n / 2 LMS suffixes in sa[0, m), and behind it first the
// keys of the bucket being sorted, then the names.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <future>
#include <memory>
#include <vector>

#include "induced_sorter.h"
#include "lms_bitmap.h"
#include "lms_sort.h"
#include "suffix_array.h"
#include "suffix_induction.h"
#include "suffix_names.h"
#include "token_text.h"

namespace lodex {

template <typename Text>
class TwoStageSorter {
 public:
  TwoStageSorter(const Text& text, Index n, Index* sa, int threads)
      : text_(text), n_(n), sa_(sa), threads_(std::max(threads, 1)) {}

  SortRoute sort() {
    if (n_ < kMinSymbols) return sort_by_induction();
    lms_ = std::make_unique<LmsBitmap>(text_, n_);
    m_ = lms_->size();
    count_buckets();
    if (largest_bucket() > room()) return sort_by_induction();
    place_lms_by_bucket();
    std::vector<TiedNames::Depth>(std::size_t(m_)).swap(depths_);
    sort_buckets();
    const bool is_settled = settle_names();
    if (!is_settled) sort_reduced_string();
    move_lms_to_tails();
    induce();
    return is_settled ? SortRoute::kTwoStage : SortRoute::kReduced;
  }

 private:
  static constexpr Index kMinSymbols = 16;

  SortRoute sort_by_induction() {
    lms_.reset();
    InducedSorter<Text>(text_, n_, sa_, Scratch(nullptr, 0)).sort();
    return SortRoute::kInduced;
  }

  void count_buckets() {
    counts_.assign(std::size_t(text_.alphabet), 0);
    lms_ends_.assign(std::size_t(text_.alphabet), 0);
    for (Index i = 0; i < n_; ++i) ++counts_[text_[i]];
    lms_->visit([&](Index p) { ++lms_ends_[text_[p]]; });
  }

  Index largest_bucket() const { return *std::max_element(lms_ends_.begin(), lms_ends_.end()); }

  /// How large a bucket can be sorted in the free part of the suffix array: a key and a spare one for each suffix.
  Index room() const {
    const std::size_t bytes = std::size_t(n_ - m_) * sizeof(Index) - sizeof(KeyedPosition);  // less what aligns it
    return Index(bytes / (2 * sizeof(KeyedPosition)));
  }

  KeyedPosition* room_begin() const {
    const auto address = reinterpret_cast<std::uintptr_t>(sa_ + m_);
    const std::uintptr_t align = alignof(KeyedPosition);
    return reinterpret_cast<KeyedPosition*>((address + align - 1) / align * align);
  }

  std::uint32_t* order() const { return reinterpret_cast<std::uint32_t*>(sa_); }

  void place_lms_by_bucket() {
    Index sum = 0;
    for (Index& end : lms_ends_) {
      const Index count = end;
      end = sum;
      sum += count;
    }
    lms_->visit([&](Index p) { sa_[lms_ends_[text_[p]]++] = p; });
  }

  Index lms_begin(Index symbol) const { return symbol > 0 ? lms_ends_[symbol - 1] : 0; }

  void sort_buckets() {
    const Index share = room() / threads_;
    LmsBucketSorter<Text> sorter(text_, n_, *lms_, depths_.data(), room_begin(), std::size_t(room()));
    for (Index c = 0; c < text_.alphabet; ++c) {
      if (threads_ == 1 || lms_ends_[c] - lms_begin(c) > share) sorter.sort(order(), lms_begin(c), lms_ends_[c]);
    }
    if (threads_ > 1) sort_buckets_shared(share);
  }

  void sort_buckets_shared(Index share) {
    constexpr Index kSymbolsAtOnce = 64;
    std::atomic<Index> next{0};
    run_threads([&](int thread) {
      LmsBucketSorter<Text> sorter(text_, n_, *lms_, depths_.data(), room_begin() + std::size_t(thread) * 2 * share,
                                   std::size_t(share));
      for (Index first; (first = next.fetch_add(kSymbolsAtOnce)) < text_.alphabet;) {
        for (Index c = first; c < std::min(first + kSymbolsAtOnce, text_.alphabet); ++c) {
          if (lms_ends_[c] - lms_begin(c) <= share) sorter.sort(order(), lms_begin(c), lms_ends_[c]);
        }
      }
    });
  }

  /// Calls work(thread) in each thread, this one being 0; what one of them throws is thrown when all have ended.
  template <typename Work>
  void run_threads(Work work) const {
    std::vector<std::future<void>> others;
    for (int thread = 1; thread < threads_; ++thread) others.push_back(std::async(std::launch::async, work, thread));
    work(0);
    for (std::future<void>& other : others) other.get();  // the futures not asked wait when they are destroyed
  }

  /// Turns positions in sa[0, m) into ordinals, tells the tied ones apart, and turns them back.
  bool settle_names() {
    std::uint32_t* const names = order() + m_;
    constexpr Index kAhead = 32;
    for (Index i = 0; i < m_; ++i) {
      if (i + kAhead < m_) lms_->prefetch(Index(order()[i + kAhead] & ~TiedNames::kTied));
      const std::uint32_t tied = order()[i] & TiedNames::kTied;
      order()[i] = std::uint32_t(lms_->rank(Index(order()[i] ^ tied))) | tied;
    }
    TiedNames tied(order(), depths_.data(), names, m_);
    tied.name(0, m_);
    const bool is_settled = tied.settle();
    if (is_settled) {
      Index ordinal = 0;
      lms_->visit([&](Index p) {
        if (ordinal + kAhead < m_) prefetch_write(sa_ + names[ordinal + kAhead]);
        sa_[names[ordinal++]] = p;
      });
    } else {
      names_ = tied.compact();
    }
    std::vector<TiedNames::Depth>().swap(depths_);
    return is_settled;
  }

  /// Sorts the LMS suffixes as the suffixes of the string of their names.
  void sort_reduced_string() {
    Index* const reduced = sa_ + n_ - m_;
    std::memmove(reduced, sa_ + m_, std::size_t(m_) * sizeof(Index));
    InducedSorter<RankText>(RankText{reduced, names_}, m_, sa_, Scratch(sa_ + m_, n_ - 2 * std::size_t(m_))).sort();
    Index ordinal = 0;
    lms_->visit([&](Index p) { reduced[ordinal++] = p; });
    constexpr Index kAhead = 32;
    for (Index i = 0; i < m_; ++i) {
      if (i + kAhead < m_) prefetch_read(reduced + sa_[i + kAhead]);
      sa_[i] = reduced[sa_[i]];
    }
  }

  /// Moves the sorted LMS suffixes to the ends of their buckets, zeros everywhere else.
  ///
  /// From the last bucket on, so that those still to be moved lie left of the bucket that is written.
  void move_lms_to_tails() {
    Index end = n_;  // of the bucket
    for (Index c = text_.alphabet - 1; c >= 0; --c) {
      const Index begin = end - counts_[c], size = lms_ends_[c] - lms_begin(c);
      std::memmove(sa_ + end - size, sa_ + lms_begin(c), std::size_t(size) * sizeof(Index));
      std::fill(sa_ + begin, sa_ + end - size, 0);
      end = begin;
    }
  }

  void induce() {
    lms_.reset();
    Induction<Text>(text_, n_, sa_, counts_.data(), lms_ends_.data()).induce_all();
  }

  Text text_;
  Index n_;
  Index* sa_;
  int threads_;
  Index m_ = 0;
  Index names_ = 0;
  std::unique_ptr<LmsBitmap> lms_;
  std::vector<Index> counts_;
  std::vector<Index> lms_ends_;
  std::vector<TiedNames::Depth> depths_;
};

}  // namespace lodex
