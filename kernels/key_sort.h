// Sorting of keys that carry 32 bits of payload: the larger the run, the less it compares.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lodex {

/// Whether two entries differ in nothing but their payload, the low 32 bits.
template <typename Entry>
inline bool same_key(Entry a, Entry b) {
  return (a ^ b) >> 32 == 0;
}

namespace key_sort {

constexpr std::size_t kMaxRanked = 20;
constexpr std::size_t kMaxPartitioned = 768;

/// Sorts by counting, for each entry, the smaller ones: quadratic, without a branch that could be mispredicted.
template <typename Entry>
inline void sort_by_rank(Entry* entries, std::size_t size, Entry* spare) {
  for (std::size_t i = 0; i < size; ++i) {
    const Entry entry = entries[i];
    std::size_t rank = 0;
    for (std::size_t j = 0; j < size; ++j) rank += entries[j] < entry;
    spare[rank] = entry;
  }
  std::copy_n(spare, size, entries);
}

template <typename Entry>
inline Entry median(Entry a, Entry b, Entry c) {
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

/// Quicksort whose partition writes each entry to both sides and advances one.
template <typename Entry>
void sort_by_partition(Entry* entries, std::size_t size, Entry* spare) {
  while (size > kMaxRanked) {
    const Entry pivot = median(entries[size / 4], entries[size / 2], entries[size - size / 4]);
    std::size_t smaller = 0, others = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const Entry entry = entries[i];
      const bool is_smaller = entry < pivot;
      entries[smaller] = entry;
      spare[others] = entry;
      smaller += is_smaller;
      others += !is_smaller;
    }
    std::copy_n(spare, others, entries + smaller);
    // Entries differ, so the pivot is a median of three with one on either side, and both parts are smaller.
    sort_by_partition(entries, smaller, spare);
    entries += smaller;
    size = others;
  }
  if (size > 1) sort_by_rank(entries, size, spare);
}

}  // namespace key_sort

/// Sorts entries that all differ and whose payloads ascend among equal keys; needs spare room for as many.
///
/// `shift` says where the highest byte of the key that differs may be. Runs that are equal in all bytes of the key keep
/// their order, which is that of the payload.
template <typename Entry>
void sort_keys(Entry* entries, std::size_t size, Entry* spare, int shift = int(sizeof(Entry)) * 8 - 8) {
  using namespace key_sort;
  if (size <= kMaxPartitioned) return sort_by_partition(entries, size, spare);
  constexpr int kPayloadBits = 32;
  std::uint32_t ends[256];
  for (;; shift -= 8) {
    if (shift < kPayloadBits) return;
    std::fill_n(ends, 256, 0u);
    for (std::size_t i = 0; i < size; ++i) ++ends[std::uint8_t(entries[i] >> shift)];
    if (ends[std::uint8_t(entries[0] >> shift)] < size) break;
  }
  std::uint32_t sum = 0;
  for (std::uint32_t& end : ends) {
    const std::uint32_t count = end;
    end = sum;
    sum += count;
  }
  for (std::size_t i = 0; i < size; ++i) spare[ends[std::uint8_t(entries[i] >> shift)]++] = entries[i];
  std::copy_n(spare, size, entries);
  std::uint32_t begin = 0;
  for (const std::uint32_t end : ends) {
    if (end - begin > 1) sort_keys(entries + begin, end - begin, spare, shift - 8);
    begin = end;
  }
}

}  // namespace lodex
