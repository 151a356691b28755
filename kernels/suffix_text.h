// A token stream as bytes, and comparing its suffixes with a query.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lodex {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "offsets and tokens are read as little-endian integers");

inline void prefetch(const void* address) { __builtin_prefetch(address, 0); }

/// Reads an integer of 1 to 8 bytes.
inline std::uint64_t load(const std::uint8_t* from, std::size_t bytes) {
  std::uint64_t value = 0;
  switch (bytes) {  // the common widths as single loads
    case 1: return *from;
    case 2: std::memcpy(&value, from, 2); return value;
    case 4: std::memcpy(&value, from, 4); return value;
    case 5: std::memcpy(&value, from, 5); return value;
    case 8: std::memcpy(&value, from, 8); return value;
    default: std::memcpy(&value, from, bytes); return value;
  }
}

/// Eight bytes as a number that compares as they do.
inline std::uint64_t load_key(const std::uint8_t* from) {
  std::uint64_t value;
  std::memcpy(&value, from, 8);
  return __builtin_bswap64(value);
}

/// As many bytes of `from` as there are, zeros behind them.
inline std::uint64_t load_key_padded(const std::uint8_t* from, std::size_t bytes) {
  std::uint8_t padded[8] = {};
  std::memcpy(padded, from, std::min<std::size_t>(bytes, 8));
  return load_key(padded);
}

/// A run of tokens to look for, as bytes. kQueryPadding bytes behind them can be read, and are of no account.
struct Query {
  const std::uint8_t* bytes;
  std::size_t size;
};
constexpr std::size_t kQueryPadding = 8;

/// A stream of bytes. Suffixes compare byte by byte; one that ends where another goes on is the smaller.
struct Text {
  const std::uint8_t* bytes;
  std::size_t size;

  /// Compares the suffix at `start` with a query: below 0 if it is smaller, 0 if it begins with the query, else above.
  /// `common` is how many leading bytes are known to be equal, and is set to how many are.
  int compare(std::size_t start, const Query& query, std::size_t& common) const {
    const std::size_t left = size - start;
    const std::size_t limit = std::min(query.size, left);
    const std::uint8_t* const suffix = bytes + start;
    std::size_t i = std::min(common, limit);  // only a table out of order could make it less
    for (; i + 8 <= left && i < limit; i += 8) {
      const std::uint64_t a = load_key(suffix + i), b = load_key(query.bytes + i);
      std::uint64_t different = a ^ b;
      if (limit - i < 8) different &= ~(~std::uint64_t{0} >> (8 * (limit - i)));
      if (different) {
        common = i + std::size_t(__builtin_clzll(different)) / 8;
        return a < b ? -1 : 1;
      }
    }
    for (; i < limit; ++i) {  // at the very end of the text
      if (suffix[i] != query.bytes[i]) {
        common = i;
        return int(suffix[i]) - int(query.bytes[i]);
      }
    }
    common = limit;
    return limit == query.size ? 0 : -1;  // the text ends inside the query
  }
};

}  // namespace lodex
