// A query as numbers that suffixes are compared with, eight bytes at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "suffix_text.h"

namespace lodex {

/// What there is of a query behind `at` bytes that all suffixes in question share with it.
///
/// Searches mostly part from a suffix within eight bytes, so these are compared as numbers and without a branch, for
/// which way a bisection turns cannot be predicted. Only what agrees in all eight is read further.
class Probe {
 public:
  struct Order {
    bool below, above;  // neither if the suffix begins with the query
    bool is_close;      // read further than eight bytes, or at the end of the text; then `common` is set
  };

  Probe() = default;
  Probe(const Query& query, std::size_t at, const Text& text)
      : at_(at),
        safe_(std::int64_t(text.size) - std::int64_t(at) - 8),
        goes_on_(query.size > at + 8) {
    const std::size_t left = query.size - at;
    span_ = left < 8 ? ~std::uint64_t{0} >> (8 * left) : 0;
    least_ = load_key(query.bytes + at) & ~span_;
  }

  std::size_t at() const { return at_; }

  /// Compares the suffix at `start`, an offset inside the text, with the query that this was made of.
  Order compare(const Text& text, std::size_t start, const Query& query, std::size_t& common) const {
    if (std::int64_t(start) <= safe_) {
      const std::uint64_t key = load_key(text.bytes + start + at_);
      const bool below = key < least_, above = key > (least_ | span_);
      if (!goes_on_ || below || above) return {below, above, false};
      common = at_ + 8;
    } else {
      common = at_;
    }
    const int order = text.compare(start, query, common);
    return {order < 0, order > 0, true};
  }

 private:
  std::uint64_t least_ = 0, span_ = 0;
  std::size_t at_ = 0;
  std::int64_t safe_ = 0;
  bool goes_on_ = false;
};

}  // namespace lodex
