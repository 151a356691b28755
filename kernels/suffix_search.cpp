// Bisection over a suffix table, with text and table anywhere in memory: usually mapped files.

#include "suffix_search.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lodex {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "offsets and tokens are read as little-endian integers");

/// Reads an integer of 1 to 8 bytes.
std::uint64_t load(const std::uint8_t* from, std::size_t bytes) {
  std::uint64_t value = 0;
  switch (bytes) {  // the common widths as single loads
    case 1: return *from;
    case 2: std::memcpy(&value, from, 2); return value;
    case 4: std::memcpy(&value, from, 4); return value;
    default: std::memcpy(&value, from, bytes); return value;
  }
}

/// How many leading bytes of a and b are equal, at most `limit`. Reads no byte past that.
std::size_t common_prefix(const std::uint8_t* a, const std::uint8_t* b, std::size_t limit) {
  std::size_t i = 0;
  for (; i + 8 <= limit; i += 8) {
    std::uint64_t x, y;
    std::memcpy(&x, a + i, 8);
    std::memcpy(&y, b + i, 8);
    if (x != y) return i + std::size_t(__builtin_ctzll(x ^ y)) / 8;
  }
  while (i < limit && a[i] == b[i]) ++i;
  return i;
}

}  // namespace

SuffixTable::SuffixTable(const std::uint8_t* text, std::size_t text_bytes, std::size_t token_bytes,
                         const std::uint8_t* table, std::size_t table_bytes, std::string label)
    : text_(text),
      text_bytes_(text_bytes),
      token_bytes_(token_bytes),
      num_tokens_(text_bytes / token_bytes),
      table_(table),
      offset_bytes_(num_tokens_ ? table_bytes / num_tokens_ : 1),
      label_(std::move(label)) {
  if (offset_bytes_ < 1 || offset_bytes_ > 8 || offset_bytes_ * num_tokens_ != table_bytes) {
    throw CorruptTable(label_ + ": a table of " + std::to_string(table_bytes) + " bytes cannot belong to a stream of " +
                       std::to_string(num_tokens_) + " tokens");
  }
}

std::size_t SuffixTable::offset(std::size_t rank) const {
  const std::uint64_t value = load(table_ + rank * offset_bytes_, offset_bytes_);
  if (value >= text_bytes_ || value % token_bytes_ != 0) {
    throw CorruptTable(label_ + ": entry " + std::to_string(rank) + " holds " + std::to_string(value) +
                       ", which is not the offset of a token of " + std::to_string(token_bytes_) +
                       " bytes in a stream of " + std::to_string(text_bytes_) + " bytes");
  }
  return value;
}

std::int64_t SuffixTable::token_at(std::size_t rank, std::size_t depth) const {
  const std::size_t start = offset(rank);
  const std::size_t left = (text_bytes_ - start) / token_bytes_;
  return depth < left ? std::int64_t(load(text_ + start + depth * token_bytes_, token_bytes_)) : kEndOfStream;
}

/// Compares the suffix of `rank` with the query: below 0 if it is smaller, 0 if it begins with the query, else above.
/// `common` is how many leading bytes are known to be equal, and is set to how many are.
int SuffixTable::compare(std::size_t rank, const std::uint8_t* query, std::size_t query_bytes,
                         std::size_t& common) const {
  const std::size_t start = offset(rank);
  const std::size_t limit = std::min(query_bytes, text_bytes_ - start);
  common = std::min(common, limit);  // only a table out of order could make it less
  common += common_prefix(text_ + start + common, query + common, limit - common);
  if (common == query_bytes) return 0;
  if (common == limit) return -1;  // the text ends inside the query
  return int(text_[start + common]) - int(query[common]);
}

/// The first rank whose suffix is not smaller than the query.
std::size_t SuffixTable::lower_bound(const std::uint8_t* query, std::size_t query_bytes) const {
  std::size_t begin = 0, end = num_tokens_;
  // All suffixes between two that share a prefix with the query share it too (Manber and Myers 1993), so a long query
  // is not read again from its start at every step.
  std::size_t common_begin = 0, common_end = 0;
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    std::size_t common = std::min(common_begin, common_end);
    if (compare(middle, query, query_bytes, common) < 0) {
      begin = middle + 1;
      common_begin = common;
    } else {
      end = middle;
      common_end = common;
    }
  }
  return begin;
}

/// The first rank from `begin` on whose suffix does not begin with the query.
std::size_t SuffixTable::end_of_matches(std::size_t begin, const std::uint8_t* query, std::size_t query_bytes) const {
  const auto matches = [&](std::size_t rank) {
    std::size_t common = 0;
    return compare(rank, query, query_bytes, common) == 0;
  };
  // Most n-grams are rare: double the step until it overshoots, then bisect inside the last one.
  std::size_t step = 1;
  while (step <= num_tokens_ - begin && matches(begin + step - 1)) {
    begin += step;
    step *= 2;
  }
  std::size_t end = begin + std::min(step - 1, num_tokens_ - begin);
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    if (matches(middle)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

RankRange SuffixTable::find(const std::uint8_t* query, std::size_t length) const {
  const std::size_t query_bytes = length * token_bytes_;
  const std::size_t begin = lower_bound(query, query_bytes);
  return {begin, length ? end_of_matches(begin, query, query_bytes) : num_tokens_};
}

bool SuffixTable::occurs(const std::uint8_t* query, std::size_t length) const {
  const std::size_t query_bytes = length * token_bytes_;
  const std::size_t begin = lower_bound(query, query_bytes);
  std::size_t common = 0;
  return begin < num_tokens_ && compare(begin, query, query_bytes, common) == 0;
}

std::size_t SuffixTable::longest_suffix(const std::uint8_t* query, std::size_t length) const {
  // If a suffix occurs, every shorter one does. Most that occur are short: double the length, then bisect.
  std::size_t occurring = 0, missing = length + 1;
  while (missing - occurring > 1) {
    const std::size_t probe = missing > length ? std::min(2 * occurring + 1, length) : (occurring + missing) / 2;
    (occurs(query + (length - probe) * token_bytes_, probe) ? occurring : missing) = probe;
  }
  return occurring;
}

/// Appends every rank in (a, b] whose token differs from that of the rank before it, as (token, rank).
void SuffixTable::find_changes(std::size_t a, std::int64_t token_a, std::size_t b, std::int64_t token_b,
                               std::size_t depth, std::vector<NextToken>& changes) const {
  if (token_a == token_b) return;  // sorted, so all between are equal and none is read
  if (b - a == 1) {
    changes.push_back({token_b, std::int64_t(b)});
    return;
  }
  const std::size_t middle = a + (b - a) / 2;
  const std::int64_t token = token_at(middle, depth);
  find_changes(a, token_a, middle, token, depth, changes);
  find_changes(middle, token, b, token_b, depth, changes);
}

void SuffixTable::next_tokens(RankRange range, std::size_t depth, std::vector<NextToken>& out) const {
  if (range.begin == range.end) return;
  const std::size_t from = out.size();
  const std::size_t last = range.end - 1;
  out.push_back({token_at(range.begin, depth), std::int64_t(range.begin)});
  find_changes(range.begin, out.back().token, last, token_at(last, depth), depth, out);
  for (std::size_t i = from; i < out.size(); ++i) {  // from where each begins to how many there are
    const std::int64_t end = i + 1 < out.size() ? out[i + 1].count : std::int64_t(range.end);
    out[i].count = end - out[i].count;
  }
}

void SuffixTable::positions(RankRange range, std::int64_t* out) const {
  for (std::size_t rank = range.begin; rank < range.end; ++rank) {
    *out++ = std::int64_t(offset(rank) / token_bytes_);
  }
}

}  // namespace lodex
