#include "suffix_pages.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace lodex {
namespace {

constexpr std::uint8_t kMagic[8] = {'L', 'O', 'D', 'E', 'X', 'P', 'G', 'K'};
constexpr std::uint64_t kVersion = 1;

/// Sixteen keys at once.
typedef std::uint8_t Keys16 __attribute__((vector_size(16)));

}  // namespace

std::size_t SuffixBits::shared(std::size_t common, std::uint8_t different, std::size_t token_bytes) {
  const std::size_t bits = of_tokens(common, token_bytes);
  return different ? bits + 1 + 8 * (common % token_bytes) + std::size_t(__builtin_clz(different)) - 24 : bits;
}

QueryBits::QueryBits(const Query& query, std::size_t token_bytes)
    : size_(SuffixBits::of_tokens(query.size, token_bytes)) {
  const auto put = [&](std::size_t bit, std::uint64_t value) {
    if (bit < SuffixBits::kClip) words_[bit / 64] |= value << (bit % 64);
  };
  std::size_t bit = 0;
  for (std::size_t i = 0; i < query.size && bit < SuffixBits::kClip; ++i) {
    if (i % token_bytes == 0) put(bit++, 1);
    for (int shift = 7; shift >= 0; --shift) put(bit++, query.bytes[i] >> shift & 1);
  }
}

PageKeys::PageKeys(const std::uint8_t* bytes, std::size_t size, std::size_t token_bytes, std::size_t num_tokens) {
  const std::size_t expected = kHeader + num_tokens + TopLevel::num_keys(num_tokens);
  if (size != expected) {
    throw std::invalid_argument("page keys of " + std::to_string(size) + " bytes cannot belong to a table of " +
                                std::to_string(num_tokens) + " tokens, which takes " + std::to_string(expected));
  }
  if (std::memcmp(bytes, kMagic, sizeof kMagic) != 0) throw std::invalid_argument("these are no page keys");
  const std::uint64_t fields[] = {kVersion, token_bytes, num_tokens, TopLevel::kPage};
  const char* const names[] = {"version", "bytes of a token", "tokens", "suffixes of a page"};
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint64_t found = load(bytes + sizeof kMagic + 8 * i, 8);
    if (found != fields[i]) {
      throw std::invalid_argument("page keys of " + std::string(names[i]) + " " + std::to_string(found) +
                                  ", expected " + std::to_string(fields[i]));
    }
  }
  suffixes_ = bytes + kHeader;
  pages_ = suffixes_ + num_tokens;
}

std::size_t PageKeys::next_at_most(const std::uint8_t* keys, std::size_t from, std::size_t to, std::uint8_t limit) {
  const Keys16 limits = Keys16{} + limit;
  for (; from + 16 <= to; from += 16) {
    Keys16 here;
    std::memcpy(&here, keys + from, 16);
    const auto found = here <= limits;  // all bits of those that are
    std::uint64_t halves[2];
    std::memcpy(halves, &found, 16);
    if (halves[0]) return from + std::size_t(__builtin_ctzll(halves[0])) / 8;
    if (halves[1]) return from + 8 + std::size_t(__builtin_ctzll(halves[1])) / 8;
  }
  while (from < to && keys[from] > limit) ++from;
  return from;
}

std::size_t PageKeys::candidate(const std::uint8_t* keys, std::size_t from, std::size_t to, const QueryBits& query) {
  std::size_t found = from;
  std::uint8_t limit = SuffixBits::kClip;  // those that share more with the last one left behind are behind it too
  for (std::size_t i = from + 1; (i = next_at_most(keys, i, to, limit)) < to; ++i) {
    if (query[keys[i]]) {
      found = i;
      limit = SuffixBits::kClip;
    } else {
      limit = keys[i];
    }
  }
  return found;
}

}  // namespace lodex
