// lodex.kernels._suffix_merge: the merge of suffix arrays for Python. Arrays are checked here; the GIL is released while
// work is done.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "suffix_merge.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lodex {
namespace {

using TokenArray = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Uint32s = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using WritableBytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr std::size_t kPositionsPerStep = 4096;

/// The width of tokens of 8, 16 or 32 bits without sign.
std::size_t checked_token_bytes(const TokenArray& tokens) {
  const nb::dlpack::dtype type = tokens.dtype();
  if (type == nb::dtype<std::uint8_t>() || type == nb::dtype<std::uint16_t>() || type == nb::dtype<std::uint32_t>()) {
    return type.bits / 8;
  }
  throw nb::type_error("tokens must be uint8, uint16 or uint32");
}

/// SuffixEntries together with the array they are in.
class PySuffixEntries {
 public:
  PySuffixEntries(Bytes data, std::size_t width, std::size_t unit)
      : data_(std::move(data)), entries(data_.data(), data_.size(), width, unit) {}
  PySuffixEntries(const std::string& path, std::size_t width, std::size_t unit) : entries(path, width, unit) {}

  std::size_t size() const { return entries.size(); }

 private:
  Bytes data_;

 public:
  SuffixEntries entries;
};

std::size_t repeated_tail_of(const TokenArray& tokens, PySuffixEntries& sorted, std::size_t limit) {
  const std::size_t token_bytes = checked_token_bytes(tokens);
  const nb::gil_scoped_release unlocked;
  return repeated_tail(static_cast<const std::uint8_t*>(tokens.data()), tokens.size(), token_bytes, sorted.entries,
                       limit);
}

/// A SuffixMerge; the arrays and entries it reads are kept alive by `keep_alive` below.
class PySuffixMerge {
 public:
  PySuffixMerge(TokenArray tokens, std::size_t cut, PySuffixEntries& left, PySuffixEntries& right)
      : tokens_(std::move(tokens)) {
    const std::size_t token_bytes = checked_token_bytes(tokens_);
    if (tokens_.size() >= std::size_t{1} << 31) throw std::invalid_argument("a text of 2^31 tokens or more");
    const nb::gil_scoped_release unlocked;
    merge_ = std::make_unique<SuffixMerge>(static_cast<const std::uint8_t*>(tokens_.data()), tokens_.size(),
                                           token_bytes, cut, left.entries, right.entries);
  }

  std::size_t size() const { return merge_->size(); }

  auto tail_ranks(std::size_t length) {
    if (length > tokens_.size()) throw std::invalid_argument("there are no more tails than tokens");
    std::unique_ptr<std::uint32_t[]> ranks(new std::uint32_t[length + 1]);
    {
      const nb::gil_scoped_release unlocked;
      merge_->tail_ranks(length, ranks.get());
    }
    std::uint32_t* const raw = ranks.release();
    const nb::capsule owner(raw, [](void* p) noexcept { delete[] static_cast<std::uint32_t*>(p); });
    return nb::ndarray<nb::numpy, std::uint32_t, nb::ndim<1>>(raw, {length + 1}, owner);
  }

  void start(const Uint32s& order) {
    const nb::gil_scoped_release unlocked;
    merge_->start(order.data(), order.size());
  }

  std::size_t read(const WritableBytes& out, std::size_t width, std::size_t unit) {
    const nb::gil_scoped_release unlocked;
    if (width < 1 || width > 8) throw std::invalid_argument("entries are 1 to 8 bytes wide");
    std::vector<std::uint32_t> positions(kPositionsPerStep);
    std::size_t written = 0;
    while (const std::size_t wanted = std::min(kPositionsPerStep, out.size() / width - written)) {
      const std::size_t count = merge_->read(positions.data(), wanted);
      if (count == 0) break;
      encode_entries(positions.data(), count, width, unit, out.data() + written * width);
      written += count;
    }
    return written;
  }

 private:
  TokenArray tokens_;
  std::unique_ptr<SuffixMerge> merge_;
};

}  // namespace
}  // namespace lodex

// Arrays are never converted: positions of int64 cast to bytes would be other entries.
NB_MODULE(_suffix_merge, module) {
  using lodex::PySuffixEntries;
  using lodex::PySuffixMerge;

  nb::exception<lodex::CorruptEntries>(module, "CorruptEntriesError",
                                       nb::module_::import_("lodex.errors").attr("DataLossError"));
  nb::class_<PySuffixEntries>(module, "SuffixEntries")
      .def(nb::init<lodex::Bytes, std::size_t, std::size_t>(), "source"_a.noconvert(), "width"_a, "unit"_a)
      .def(nb::init<const std::string&, std::size_t, std::size_t>(), "source"_a, "width"_a, "unit"_a)
      .def("__len__", &PySuffixEntries::size);
  module.def("repeated_tail", &lodex::repeated_tail_of, "tokens"_a.noconvert(), "suffixes"_a, "limit"_a);
  nb::class_<PySuffixMerge>(module, "SuffixMerge")
      .def(nb::init<lodex::TokenArray, std::size_t, PySuffixEntries&, PySuffixEntries&>(), "tokens"_a.noconvert(),
           "cut"_a, "left"_a, "right"_a, nb::keep_alive<1, 4>(), nb::keep_alive<1, 5>())
      .def("__len__", &PySuffixMerge::size)
      .def("tail_ranks", &PySuffixMerge::tail_ranks, "length"_a)
      .def("start", &PySuffixMerge::start, "order"_a.noconvert())
      .def("read", &PySuffixMerge::read, "out"_a.noconvert(), "width"_a, "unit"_a);
}
