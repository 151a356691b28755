// Telling apart LMS suffixes that are tied in their first symbols, by the names of the LMS suffixes behind them.
//
// The name of an LMS suffix is the rank at which its run of tied suffixes begins, so names follow the order at any time.
// The suffixes of a run agree in a number of whole LMS substrings, its depth d: what decides between them are the names
// of the suffixes d ordinals on (Larsson, Sadakane 1999, "Faster Suffix Sorting", with a depth for each run).
//
// Runs are visited by descending position of their first suffix. Two suffixes inside a copied passage are then decided
// by the pair behind them, which is decided already: a pass settles whole passages, where doubling takes a logarithm.
#pragma once

#include <cstdint>
#include <vector>

#include "token_text.h"

namespace lodex {

class TiedNames {
 public:
  using Depth = std::uint8_t;

  /// Marks in `order` a suffix that is tied with the one before it.
  static constexpr std::uint32_t kTied = std::uint32_t{1} << 31;

  /// `order` (m,) holds the ordinals of LMS suffixes in order, tied ones by ascending ordinal; depths (m,) those of the
  /// runs, where they begin; `names` (m,) is for the names of ordinals.
  TiedNames(std::uint32_t* order, Depth* depths, std::uint32_t* names, Index m)
      : order_(order), depths_(depths), names_(names), m_(m) {}

  /// Names what order[begin, end) holds; begin must not be inside a run.
  void name(Index begin, Index end);

  /// Visits runs until none is left; names are then ranks. False if that takes more work than sorting the names anew.
  bool settle();

  /// Makes the names dense; returns how many there are.
  Index compact();

  /// Depths are kept in 8 bits, rounded down to four binary digits.
  static Depth encode_depth(Index depth) {
    if (depth < 16) return Depth(depth);
    const int excess = 31 - __builtin_clz(std::uint32_t(depth)) - 3;
    return Depth((excess + 1) * 8 + (depth >> excess) - 8);
  }
  static Index decode_depth(Depth code) { return code < 16 ? code : Index((8 + code % 8) << (code / 8 - 1)); }

 private:
  static constexpr std::uint32_t kFirst = std::uint32_t{1} << 31;  // in a name: the first ordinal of a run

  bool is_hopeless() const;
  Index pass();
  Index visit(Index begin);
  Index visit_pair(Index begin);
  Index run_end(Index begin) const;

  std::uint32_t* order_;
  Depth* depths_;
  std::uint32_t* names_;
  Index m_;
  std::vector<std::uint64_t> entries_, spare_;
};

}  // namespace lodex
