// What the suffix modules share: arrays from and for Python.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace lodex {

namespace nb = nanobind;

using TokenArray = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Int64s = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Uint64s = nb::ndarray<const std::uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// A new NumPy array that owns what it shows.
template <typename T>
auto to_numpy(std::unique_ptr<T[]> data, std::size_t size) {
  T* const raw = data.release();
  const nb::capsule owner(raw, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::ndarray<nb::numpy, T, nb::ndim<1>>(raw, {size}, owner);
}

template <typename T>
std::unique_ptr<T[]> allocate(std::size_t size) {
  return std::unique_ptr<T[]>(new T[size]);  // not value-initialised: every element will be written
}

/// The width of tokens of 8, 16 or 32 bits without sign.
inline std::size_t checked_token_bytes(const TokenArray& tokens) {
  const nb::dlpack::dtype type = tokens.dtype();
  if (type == nb::dtype<std::uint8_t>() || type == nb::dtype<std::uint16_t>() || type == nb::dtype<std::uint32_t>()) {
    return type.bits / 8;
  }
  throw nb::type_error("tokens must be uint8, uint16 or uint32");
}

}  // namespace lodex
