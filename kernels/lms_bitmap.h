// Which suffixes of a text are LMS: one bit a symbol, with ranks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "token_text.h"

namespace lodex {

/// The LMS suffixes of a text, numbered from left to right: their ordinals.
class LmsBitmap {
 public:
  template <typename Text>
  LmsBitmap(const Text& text, Index n) : words_((std::size_t(n) + 63) / 64 + 1) {
    mark_s_suffixes(text, n);
    keep_leftmost_of_runs();
  }

  Index size() const { return size_; }

  /// How many LMS suffixes begin before `position`.
  Index rank(Index position) const {
    const Word& word = words_[position >> 6];
    return word.before + popcount(word.bits & ((std::uint64_t{1} << (position & 63)) - 1));
  }

  void prefetch(Index position) const { prefetch_read(&words_[position >> 6]); }

  /// Calls visit(position) for every LMS suffix, from left to right.
  template <typename Visit>
  void visit(Visit visit) const {
    for (std::size_t w = 0; w < words_.size(); ++w) {
      for (std::uint64_t bits = words_[w].bits; bits; bits &= bits - 1) {
        visit(Index(w * 64) + __builtin_ctzll(bits));
      }
    }
  }

 private:
  struct Word {  // side by side: a rank reads one cache line
    std::uint64_t bits;
    Index before;
  };

  static Index popcount(std::uint64_t bits) {  // __builtin_popcountll calls a function on the oldest x86-64
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    return Index(((bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
  }

  /// Bit j of the result is bytes[j], which are 0 or 1.
  static std::uint64_t pack(const std::uint8_t* bytes) {
    std::uint64_t bits = 0;
    for (int j = 0; j < 8; ++j) {
      std::uint64_t eight;
      std::memcpy(&eight, bytes + 8 * j, 8);
      bits |= (eight * 0x0102040810204080u >> 56) << 8 * j;
    }
    return bits;
  }

  template <typename Text>
  void mark_s_suffixes(const Text& text, Index n) {
    std::uint64_t right = 0;  // in bit 63, whether the suffix right of the word is S
    for (std::size_t w = words_.size() - 1; w-- > 0;) {
      std::uint8_t less[64] = {}, equal[64] = {};
      const Index begin = Index(w * 64), size = std::min(n - 1 - begin, 64);
      if (size == 64) {
        for (Index j = 0; j < 64; ++j) less[j] = text[begin + j] < text[begin + j + 1];
        for (Index j = 0; j < 64; ++j) equal[j] = text[begin + j] == text[begin + j + 1];
      } else {
        for (Index j = 0; j < size; ++j) less[j] = text[begin + j] < text[begin + j + 1];
        for (Index j = 0; j < size; ++j) equal[j] = text[begin + j] == text[begin + j + 1];
      }
      // A suffix that begins with a run of equal symbols is what the end of the run is: bits spread down through runs.
      std::uint64_t run = pack(equal), s = pack(less);
      s |= run & right;
      for (int step = 1; step < 64; step *= 2) {
        s |= run & s >> step;
        run &= run >> step;
      }
      words_[w].bits = s;
      right = s << 63;
    }
  }

  void keep_leftmost_of_runs() {
    std::uint64_t left = 1;  // nothing is left of the first suffix, which is not LMS
    for (Word& word : words_) {
      const std::uint64_t s = word.bits;
      word.bits = s & ~(s << 1 | left);
      word.before = size_;
      size_ += popcount(word.bits);
      left = s >> 63;
    }
  }

  std::vector<Word> words_;
  Index size_ = 0;
};

}  // namespace lodex
