// Sorting LMS suffixes by their first symbols: bucket by bucket, a key at a time.
//
// A bucket holds the LMS suffixes of one first symbol. It is sorted by the key of the symbols that follow; runs of equal
// keys are sorted by the next key, and so on. A run that is still tied after kEnoughSymbols is left tied if all its
// suffixes are known to agree in a whole LMS substring: from there on names tell them apart (suffix_names.h).
//
// Where the text has ended, zeros are read. Padded so, no two LMS suffixes are equal: each holds a symbol above zero, and
// from their starts to the last such symbol of the text it is not equally far. A zero is the least that can follow and
// gives the symbols before it the types that the end gives them, so order and LMS substrings are as without padding.
#pragma once

#include <algorithm>
#include <vector>

#include "key_sort.h"
#include "lms_bitmap.h"
#include "suffix_names.h"
#include "token_text.h"

namespace lodex {

template <typename Text>
class LmsBucketSorter {
 public:
  /// Room for the largest bucket twice: `room` holds 2 * largest entries.
  LmsBucketSorter(const Text& text, Index n, const LmsBitmap& lms, TiedNames::Depth* depths, KeyedPosition* room,
                  std::size_t largest)
      : text_(text), n_(n), lms_(lms), depths_(depths), entries_(room), spare_(room + largest) {}

  /// Sorts the suffixes order[begin, end), in which positions ascend and first symbols are one.
  ///
  /// Suffixes tied with the one before them are marked with TiedNames::kTied; depths[i] says in how many LMS substrings
  /// the run that begins at i agrees.
  void sort(std::uint32_t* order, Index begin, Index end) {
    const Index size = end - begin;
    if (size < 2) return;
    for (Index i = 0; i < size; ++i) {
      if (i + kAhead < size) prefetch_read(text_.tokens + Index(order[begin + i + kAhead]) + 1);
      const Index p = Index(order[begin + i]);
      entries_[i] = load_key(text_, n_, p, 1);
    }
    next_runs_.clear();
    sort_run({0, size, 1});
    while (!next_runs_.empty()) {
      runs_.swap(next_runs_);
      next_runs_.clear();
      for (std::size_t r = 0; r < runs_.size(); ++r) {
        if (r + kRunsAhead < runs_.size()) prefetch_symbols(runs_[r + kRunsAhead]);
        refine(runs_[r], begin);
      }
    }
    for (Index i = 0; i < size; ++i) order[begin + i] = std::uint32_t(entries_[i]);
  }

 private:
  struct Run {
    Index begin, end;
    Index depth;  // symbols in which its suffixes agree
  };

  static constexpr Index kEnoughSymbols = 13;
  static constexpr Index kShortWindow = 32;
  static constexpr Index kAhead = 24;
  static constexpr std::size_t kRunsAhead = 8;

  static Index position(KeyedPosition entry) { return Index(std::uint32_t(entry)); }

  void prefetch_symbols(Run run) const {
    for (Index i = run.begin; i < std::min(run.end, run.begin + kAhead); ++i) {
      prefetch_read(text_.tokens + position(entries_[i]) + run.depth);
    }
  }

  /// Sorts by the keys that are loaded, and leaves what stays tied for later.
  void sort_run(Run run) {
    if (run.end - run.begin == 2) {
      KeyedPosition* const pair = entries_ + run.begin;
      const KeyedPosition a = pair[0], b = pair[1];
      pair[0] = std::min(a, b);
      pair[1] = std::max(a, b);
    } else {
      sort_keys(entries_ + run.begin, std::size_t(run.end - run.begin), spare_);
    }
    const Index depth = run.depth + kSymbolsOfKey<Text>;
    for (Index i = run.begin, next; i < run.end; i = next) {
      next = i + 1;
      while (next < run.end && same_key(entries_[i], entries_[next])) ++next;
      if (next - i > 1) next_runs_.push_back({i, next, depth});
    }
  }

  void refine(Run run, Index base) {
    if (run.depth >= kEnoughSymbols) {
      if (const Index depth = agreed_substrings(position(entries_[run.begin]), run.depth); depth > 0) {
        depths_[base + run.begin] = TiedNames::encode_depth(depth);
        for (Index i = run.begin + 1; i < run.end; ++i) entries_[i] |= TiedNames::kTied;
        return;
      }
    }
    for (Index i = run.begin; i < run.end; ++i) {
      if (i + kAhead < run.end) prefetch_read(text_.tokens + position(entries_[i + kAhead]) + run.depth);
      const Index p = position(entries_[i]);
      entries_[i] = load_key(text_, n_, p, run.depth);
    }
    sort_run(run);
  }

  /// How many LMS suffixes begin behind p in the window of `depth` symbols at p, as far as the window tells.
  ///
  /// What begins with the equal symbols that end the window may be L or S, depending on what follows, and is not counted.
  /// Short windows have just been read and are looked through; of long ones no more than the end, or comparing would take
  /// quadratic time.
  Index agreed_substrings(Index p, Index depth) const {
    Index last = p + depth - 1;
    if (depth <= kShortWindow) return count_lms(p, last);
    const Index floor = last - kShortWindow;
    while (last > floor && text_[last - 1] == text_[last]) --last;
    return last > floor ? lms_.rank(last) - lms_.rank(p + 1) : 0;
  }

  /// How many LMS suffixes begin between p and `last`, taking what is at `last` for L.
  Index count_lms(Index p, Index last) const {
    Index count = 0, right = text_[last];
    bool is_s = false;
    for (Index i = last - 1, symbol = text_[i]; i > p; --i) {
      const Index left = text_[i - 1];
      is_s = (symbol < right) | ((symbol == right) & is_s);
      count += is_s & (left > symbol);
      right = symbol;
      symbol = left;
    }
    return count;
  }

  const Text& text_;
  Index n_;
  const LmsBitmap& lms_;
  TiedNames::Depth* depths_;
  KeyedPosition* entries_;
  KeyedPosition* spare_;
  std::vector<Run> runs_, next_runs_;
};

}  // namespace lodex
