// lodex.kernels._suffix: searching in suffix arrays, for Python. Arrays are checked here; work is done without the GIL.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "suffix_search.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lodex {
namespace {

using TokenArray = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Int64s = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

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
std::size_t checked_token_bytes(const TokenArray& tokens) {
  const nb::dlpack::dtype type = tokens.dtype();
  if (type == nb::dtype<std::uint8_t>() || type == nb::dtype<std::uint16_t>() || type == nb::dtype<std::uint32_t>()) {
    return type.bits / 8;
  }
  throw nb::type_error("tokens must be uint8, uint16 or uint32");
}

/// A SuffixTable together with the arrays it reads.
class PySuffixTable {
 public:
  PySuffixTable(TokenArray tokens, Bytes table, std::string label)
      : tokens_(std::move(tokens)),
        table_(std::move(table)),
        suffixes_(static_cast<const std::uint8_t*>(tokens_.data()), tokens_.nbytes(), checked_token_bytes(tokens_),
                  table_.data(), table_.size(), std::move(label)) {}

  std::size_t size() const { return suffixes_.size(); }

  auto find(const TokenArray& queries, const Int64s& offsets) const {
    const Queries batch(*this, queries, offsets);
    auto begins = allocate<std::int64_t>(batch.size), ends = allocate<std::int64_t>(batch.size);
    {
      const nb::gil_scoped_release unlocked;
      for (std::size_t i = 0; i < batch.size; ++i) {
        const RankRange range = suffixes_.find(batch.data(i), batch.length(i));
        begins[i] = std::int64_t(range.begin);
        ends[i] = std::int64_t(range.end);
      }
    }
    return nb::make_tuple(to_numpy(std::move(begins), batch.size), to_numpy(std::move(ends), batch.size));
  }

  auto longest_suffixes(const TokenArray& queries, const Int64s& offsets) const {
    const Queries batch(*this, queries, offsets);
    auto lengths = allocate<std::int64_t>(batch.size);
    {
      const nb::gil_scoped_release unlocked;
      for (std::size_t i = 0; i < batch.size; ++i) {
        lengths[i] = std::int64_t(suffixes_.longest_suffix(batch.data(i), batch.length(i)));
      }
    }
    return to_numpy(std::move(lengths), batch.size);
  }

  auto next_tokens(const Int64s& begins, const Int64s& ends, const Int64s& depths) const {
    const std::size_t size = begins.size();
    if (ends.size() != size || depths.size() != size) {
      throw std::invalid_argument("begins, ends and depths must have one length");
    }
    for (std::size_t i = 0; i < size; ++i) {
      check_range(begins(i), ends(i));
      if (depths(i) < 0) throw std::invalid_argument("depths must not be negative");
    }
    std::vector<NextToken> found;
    std::unique_ptr<std::int64_t[]> tokens, counts;
    auto offsets = allocate<std::int64_t>(size + 1);
    offsets[0] = 0;
    {
      const nb::gil_scoped_release unlocked;
      for (std::size_t i = 0; i < size; ++i) {
        suffixes_.next_tokens({std::size_t(begins(i)), std::size_t(ends(i))}, std::size_t(depths(i)), found);
        offsets[i + 1] = std::int64_t(found.size());
      }
      tokens = allocate<std::int64_t>(found.size());
      counts = allocate<std::int64_t>(found.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        tokens[i] = found[i].token;
        counts[i] = found[i].count;
      }
    }
    return nb::make_tuple(to_numpy(std::move(tokens), found.size()), to_numpy(std::move(counts), found.size()),
                          to_numpy(std::move(offsets), size + 1));
  }

  auto positions(std::int64_t begin, std::int64_t end) const {
    check_range(begin, end);
    const std::size_t size = std::size_t(end - begin);
    auto out = allocate<std::int64_t>(size);
    {
      const nb::gil_scoped_release unlocked;
      suffixes_.positions({std::size_t(begin), std::size_t(end)}, out.get());
    }
    return to_numpy(std::move(out), size);
  }

 private:
  /// A checked batch: query i is tokens [offsets[i], offsets[i + 1]) of a flat array.
  struct Queries {
    Queries(const PySuffixTable& table, const TokenArray& tokens, const Int64s& offsets)
        : token_bytes(table.suffixes_.token_bytes()),
          flat(static_cast<const std::uint8_t*>(tokens.data())),
          starts(offsets.data()),
          size(offsets.size() - 1) {
      if (tokens.dtype() != table.tokens_.dtype()) throw nb::type_error("queries must have the dtype of the stream");
      if (offsets.size() == 0 || starts[0] < 0 || starts[size] > std::int64_t(tokens.size())) {
        throw std::invalid_argument("offsets must hold one more than there are queries, inside the flat tokens");
      }
      for (std::size_t i = 0; i < size; ++i) {
        if (starts[i] > starts[i + 1]) throw std::invalid_argument("offsets must not decrease");
      }
    }
    const std::uint8_t* data(std::size_t i) const { return flat + std::size_t(starts[i]) * token_bytes; }
    std::size_t length(std::size_t i) const { return std::size_t(starts[i + 1] - starts[i]); }

    std::size_t token_bytes;
    const std::uint8_t* flat;
    const std::int64_t* starts;
    std::size_t size;
  };

  void check_range(std::int64_t begin, std::int64_t end) const {
    if (begin < 0 || begin > end || end > std::int64_t(size())) {
      throw std::invalid_argument("ranks [" + std::to_string(begin) + ", " + std::to_string(end) +
                                  ") are not in a table of " + std::to_string(size()));
    }
  }

  TokenArray tokens_;
  Bytes table_;
  SuffixTable suffixes_;
};

}  // namespace
}  // namespace lodex

// Arrays are never converted: a table of uint16 cast to bytes would be another table.
NB_MODULE(_suffix, module) {
  using lodex::PySuffixTable;

  nb::exception<lodex::CorruptTable>(module, "CorruptTableError",
                                     nb::module_::import_("lodex.errors").attr("DataLossError"));
  module.attr("END_OF_STREAM") = lodex::SuffixTable::kEndOfStream;
  nb::class_<PySuffixTable>(module, "SuffixTable")
      .def(nb::init<lodex::TokenArray, lodex::Bytes, std::string>(), "tokens"_a.noconvert(), "table"_a.noconvert(),
           "label"_a = "table")
      .def("__len__", &PySuffixTable::size)
      .def("find", &PySuffixTable::find, "queries"_a.noconvert(), "offsets"_a.noconvert())
      .def("longest_suffixes", &PySuffixTable::longest_suffixes, "queries"_a.noconvert(),
           "offsets"_a.noconvert())
      .def("next_tokens", &PySuffixTable::next_tokens, "begins"_a.noconvert(), "ends"_a.noconvert(),
           "depths"_a.noconvert())
      .def("positions", &PySuffixTable::positions, "begin"_a, "end"_a);
}
