// Texts as the suffix sorters read them: symbols that compare as bytes do, and several of them as one key.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

namespace lodex {

using Index = std::int32_t;

inline void prefetch_read(const void* address) { __builtin_prefetch(address, 0); }
inline void prefetch_write(const void* address) { __builtin_prefetch(address, 1); }

inline std::uint8_t swap_bytes(std::uint8_t token) { return token; }
inline std::uint16_t swap_bytes(std::uint16_t token) { return __builtin_bswap16(token); }
inline std::uint32_t swap_bytes(std::uint32_t token) { return __builtin_bswap32(token); }

/// 96 bits of key above 32 bits of position: compares by key, equal keys by position.
__extension__ typedef unsigned __int128 KeyedPosition;

inline KeyedPosition keyed_position(std::uint64_t first, std::uint32_t second, Index position) {
  return KeyedPosition{first} << 64 | (std::uint64_t{second} << 32 | std::uint32_t(position));
}

/// A text of small unsigned tokens, read through a byte swap so that symbols compare as bytes do.
template <typename Token>
struct TokenText {
  using Stored = Token;
  static constexpr Index alphabet = Index{std::numeric_limits<Token>::max()} + 1;
  const Token* tokens;

  Index operator[](Index i) const { return swap_bytes(tokens[i]); }

  /// The key of the 12 bytes at `from`: the machine is little-endian, so a swap makes the first byte the highest.
  static KeyedPosition key(const Token* from, Index position) {
    std::uint64_t first;
    std::uint32_t second;
    std::memcpy(&first, from, sizeof first);
    std::memcpy(&second, reinterpret_cast<const char*>(from) + sizeof first, sizeof second);
    return keyed_position(__builtin_bswap64(first), __builtin_bswap32(second), position);
  }
};

/// A text whose symbols are ranks in [0, alphabet).
struct RankText {
  using Stored = Index;
  const Index* tokens;
  Index alphabet;

  Index operator[](Index i) const { return tokens[i]; }

  static KeyedPosition key(const Index* from, Index position) {
    return keyed_position(std::uint64_t(from[0]) << 32 | std::uint32_t(from[1]), std::uint32_t(from[2]), position);
  }
};

/// How many symbols make a key.
template <typename Text>
constexpr Index kSymbolsOfKey = 12 / sizeof(typename Text::Stored);

/// The key of the symbols from p + depth on, zeros where the text of n symbols has ended.
template <typename Text>
inline KeyedPosition load_key(const Text& text, Index n, Index p, Index depth) {
  constexpr Index size = kSymbolsOfKey<Text>;
  const Index left = n - p - size;  // p + depth may be more than an Index holds
  if (__builtin_expect(left >= depth, 1)) return Text::key(text.tokens + p + depth, p);
  typename Text::Stored padded[size] = {};
  const Index missing = depth - left;
  if (missing < size) std::memcpy(padded, text.tokens + p + depth, std::size_t(size - missing) * sizeof padded[0]);
  return Text::key(padded, p);
}

}  // namespace lodex
