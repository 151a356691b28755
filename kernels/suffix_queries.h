// Queries from Python, as the bytes that streams hold.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "suffix_arrays.h"
#include "suffix_text.h"

namespace lodex {

/// One query: a list, a tuple or an array of token ids, checked and written as tokens of one width.
class PyQuery {
 public:
  PyQuery(nb::handle ids, std::size_t token_bytes) : token_bytes_(token_bytes) { append(ids); }

  /// Adds the ids of what follows.
  void append(nb::handle ids) {
    if (PyList_CheckExact(ids.ptr()) && append_ints(ids)) return;
    if (PyList_Check(ids.ptr()) || PyTuple_Check(ids.ptr())) {
      append_items(ids);
    } else {
      append_array(ids);
    }
  }

  Query query() const { return {data(), size_}; }
  std::size_t size() const { return size_; }

 private:
  /// Room for n more tokens; returns where they go.
  std::uint8_t* grow(std::size_t n) {
    const std::size_t from = size_;
    size_ += n * token_bytes_;
    if (size_ + kQueryPadding > kSmall) {
      const bool was_small = large_.empty();
      large_.resize(size_ + kQueryPadding);
      if (was_small) std::memcpy(large_.data(), small_, from);
    }
    return (large_.empty() ? small_ : large_.data()) + from;
  }

  /// Adds the items of a list if all are plain ints: no code of theirs runs that could change the list meanwhile.
  bool append_ints(nb::handle list) {
    const Py_ssize_t n = PyList_GET_SIZE(list.ptr());
    for (Py_ssize_t i = 0; i < n; ++i) {
      if (!PyLong_CheckExact(PyList_GET_ITEM(list.ptr(), i))) return false;
    }
    std::uint8_t* to = grow(std::size_t(n));
    for (Py_ssize_t i = 0; i < n; ++i) to = put(PyList_GET_ITEM(list.ptr(), i), to);
    return true;
  }

  /// Adds the items of any sequence, from a copy that nobody else knows.
  void append_items(nb::handle sequence) {
    const nb::object items = nb::steal(PySequence_Tuple(sequence.ptr()));
    if (!items.is_valid()) throw nb::python_error();
    const Py_ssize_t n = PyTuple_GET_SIZE(items.ptr());
    std::uint8_t* to = grow(std::size_t(n));
    for (Py_ssize_t i = 0; i < n; ++i) to = put(PyTuple_GET_ITEM(items.ptr(), i), to);
  }

  std::uint8_t* put(PyObject* item, std::uint8_t* to) {
    const long long id = PyLong_AsLongLong(item);
    if (id == -1 && PyErr_Occurred()) throw nb::python_error();
    return put(id, to);
  }

  std::uint8_t* put(long long id, std::uint8_t* to) {
    if (id < 0 || id >> (8 * token_bytes_)) {
      throw nb::value_error((std::to_string(id) + " is no token of " + std::to_string(8 * token_bytes_) + " bits").c_str());
    }
    std::memcpy(to, &id, token_bytes_);
    return to + token_bytes_;
  }

  template <typename T, typename Array>
  bool append_of(const Array& array) {
    if (array.dtype() != nb::dtype<T>()) return false;
    const auto* const ids = static_cast<const std::uint8_t*>(array.data());
    const std::int64_t step = array.stride(0) * std::int64_t(sizeof(T));
    std::uint8_t* to = grow(array.size());
    for (std::size_t i = 0; i < array.size(); ++i) {
      T id;
      std::memcpy(&id, ids + std::int64_t(i) * step, sizeof(T));
      if (sizeof(T) == 8 && !std::is_signed_v<T> && std::uint64_t(id) >> 63) throw nb::value_error("an id is no token");
      to = put(static_cast<long long>(id), to);
    }
    return true;
  }

  void append_array(nb::handle ids) {
    using Array = nb::ndarray<nb::ro, nb::ndim<1>, nb::device::cpu>;
    Array array;
    if (nb::try_cast<Array>(ids, array)) {
      if (append_of<std::int64_t>(array) || append_of<std::uint16_t>(array) || append_of<std::int32_t>(array) ||
          append_of<std::uint32_t>(array) || append_of<std::uint8_t>(array) || append_of<std::int16_t>(array) ||
          append_of<std::int8_t>(array) || append_of<std::uint64_t>(array)) {
        return;
      }
      if (array.size() == 0) return;
      throw nb::type_error("token ids must be integers");
    }
    append_items(ids);
  }

  const std::uint8_t* data() const { return large_.empty() ? small_ : large_.data(); }

  static constexpr std::size_t kSmall = 256;
  std::size_t token_bytes_, size_ = 0;
  std::uint8_t small_[kSmall];
  std::vector<std::uint8_t> large_;
};

/// A checked batch: query i is tokens [offsets[i], offsets[i + 1]) of a flat array of the stream's dtype.
class PyQueries {
 public:
  PyQueries(const TokenArray& tokens, const Int64s& offsets, std::size_t token_bytes)
      : bytes_(tokens.nbytes() + kQueryPadding) {
    if (checked_token_bytes(tokens) != token_bytes) throw nb::type_error("queries must have the dtype of the stream");
    const std::int64_t* const starts = offsets.data();
    if (offsets.size() == 0 || starts[0] < 0 || starts[offsets.size() - 1] > std::int64_t(tokens.size())) {
      throw std::invalid_argument("offsets must hold one more than there are queries, inside the flat tokens");
    }
    if (tokens.nbytes()) std::memcpy(bytes_.data(), tokens.data(), tokens.nbytes());
    queries_.resize(offsets.size() - 1);
    for (std::size_t i = 0; i < queries_.size(); ++i) {
      if (starts[i] > starts[i + 1]) throw std::invalid_argument("offsets must not decrease");
      queries_[i] = {bytes_.data() + std::size_t(starts[i]) * token_bytes,
                     std::size_t(starts[i + 1] - starts[i]) * token_bytes};
    }
  }

  const Query* data() const { return queries_.data(); }
  std::size_t size() const { return queries_.size(); }
  const Query& operator[](std::size_t i) const { return queries_[i]; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::vector<Query> queries_;
};

}  // namespace lodex
