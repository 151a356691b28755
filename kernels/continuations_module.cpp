// lodex.kernels._continuations: counts for Kneser-Ney. Arrays are checked here; the GIL is released while work is done.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "continuations.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lodex {
namespace {

using TokenArray = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ranks = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Int64s = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bools = nb::ndarray<const bool, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// A new NumPy array that owns what it shows.
auto to_numpy(std::vector<std::int64_t>&& values) {
  auto* const kept = new std::vector<std::int64_t>(std::move(values));
  const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<std::int64_t>*>(p); });
  return nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>>(kept->data(), {kept->size()}, owner);
}

/// A SignedTable together with the arrays it reads.
class PySignedTable {
 public:
  PySignedTable(TokenArray tokens, Bytes table, int sign, std::string label)
      : tokens_(std::move(tokens)), table_(std::move(table)) {
    const nb::dlpack::dtype type = tokens_.dtype();
    if (type != nb::dtype<std::uint8_t>() && type != nb::dtype<std::uint16_t>() && type != nb::dtype<std::uint32_t>()) {
      throw nb::type_error("tokens must be uint8, uint16 or uint32");
    }
    if (sign != 1 && sign != -1) throw std::invalid_argument("sign must be 1 or -1");
    token_bytes_ = type.bits / 8;
    const std::size_t n = tokens_.size(), offset_bytes = n ? table_.size() / n : 1;
    if (offset_bytes < 1 || offset_bytes > 8 || offset_bytes * n != table_.size()) {
      throw CorruptContinuations(label + ": a table of " + std::to_string(table_.size()) +
                                 " bytes cannot belong to a stream of " + std::to_string(n) + " tokens");
    }
    view_ = {static_cast<const std::uint8_t*>(tokens_.data()), n, table_.data(), offset_bytes, sign, std::move(label)};
  }

  std::size_t size() const { return view_.num_tokens; }
  std::size_t token_bytes() const { return token_bytes_; }
  const SignedTable& view() const { return view_; }

 private:
  TokenArray tokens_;
  Bytes table_;
  std::size_t token_bytes_;
  SignedTable view_;
};

using Tables = std::vector<const PySignedTable*>;

std::size_t token_bytes_of(const Tables& tables) {
  if (tables.empty()) throw std::invalid_argument("at least one table is needed");
  for (const PySignedTable* table : tables) {
    if (table->token_bytes() != tables[0]->token_bytes()) throw nb::type_error("tables must have tokens of one dtype");
  }
  return tables[0]->token_bytes();
}

std::vector<SignedTable> views_of(const Tables& tables) {
  std::vector<SignedTable> views;
  for (const PySignedTable* table : tables) views.push_back(table->view());
  return views;
}

auto survey_tables(const Tables& tables, std::int64_t vocab_size, std::int64_t order, std::int64_t frequent) {
  const std::size_t token_bytes = token_bytes_of(tables);
  const std::vector<SignedTable> views = views_of(tables);
  if (vocab_size < 0 || vocab_size > std::int64_t(UINT32_MAX)) {
    throw std::invalid_argument("vocab_size must be between 0 and 4294967295");
  }
  if (order < 1 || order > 255) throw std::invalid_argument("order must be between 1 and 255");
  Survey found;
  {
    const nb::gil_scoped_release unlocked;
    found = survey(views, token_bytes, std::size_t(vocab_size), std::size_t(order), frequent);
  }
  return nb::make_tuple(to_numpy(std::move(found.counts_of_counts)), to_numpy(std::move(found.contexts)),
                        to_numpy(std::move(found.context_offsets)), to_numpy(std::move(found.followers.tokens)),
                        to_numpy(std::move(found.followers.counts)), to_numpy(std::move(found.followers.offsets)));
}

void check_ranks(const Tables& tables, const Ranks& begins, const Ranks& ends, const Int64s& depths,
                 const Bools& occurrences) {
  const std::size_t contexts = depths.size();
  if (begins.shape(0) != tables.size() || ends.shape(0) != tables.size() || begins.shape(1) != contexts ||
      ends.shape(1) != contexts || occurrences.size() != contexts) {
    throw std::invalid_argument("begins and ends must be (tables, contexts), depths and occurrences (contexts,)");
  }
  for (std::size_t t = 0; t < tables.size(); ++t) {
    for (std::size_t i = 0; i < contexts; ++i) {
      const std::int64_t begin = begins(t, i), end = ends(t, i);
      if (begin < 0 || begin > end || end > std::int64_t(tables[t]->size())) {
        throw std::invalid_argument("ranks [" + std::to_string(begin) + ", " + std::to_string(end) +
                                    ") are not in a table of " + std::to_string(tables[t]->size()));
      }
    }
  }
  for (std::size_t i = 0; i < contexts; ++i) {
    if (depths(i) < 0) throw std::invalid_argument("depths must not be negative");
  }
}

auto followers(const Tables& tables, const Ranks& begins, const Ranks& ends, const Int64s& depths,
               const Bools& occurrences) {
  const std::size_t token_bytes = token_bytes_of(tables);
  check_ranks(tables, begins, ends, depths, occurrences);
  const std::vector<SignedTable> views = views_of(tables);
  Followers found;
  {
    const nb::gil_scoped_release unlocked;
    std::vector<std::uint64_t> scratch[2];
    for (std::size_t i = 0; i < depths.size(); ++i) {
      append_followers(views, token_bytes, begins.data() + i, ends.data() + i, depths.size(),
                       {std::size_t(depths(i)), occurrences(i)}, scratch, found);
    }
  }
  return nb::make_tuple(to_numpy(std::move(found.tokens)), to_numpy(std::move(found.counts)),
                        to_numpy(std::move(found.offsets)));
}

}  // namespace
}  // namespace lodex

// Arrays are never converted: a table of uint16 cast to bytes would be another table.
NB_MODULE(_continuations, module) {
  using lodex::PySignedTable;

  nb::exception<lodex::CorruptContinuations>(module, "CorruptContinuationsError",
                                             nb::module_::import_("lodex.errors").attr("DataLossError"));
  nb::class_<PySignedTable>(module, "SignedTable")
      .def(nb::init<lodex::TokenArray, lodex::Bytes, int, std::string>(), "tokens"_a.noconvert(),
           "table"_a.noconvert(), "sign"_a = 1, "label"_a = "table")
      .def("__len__", &PySignedTable::size);
  module.def("survey", &lodex::survey_tables, "tables"_a, "vocab_size"_a, "order"_a, "frequent"_a);
  module.def("followers", &lodex::followers, "tables"_a, "begins"_a.noconvert(), "ends"_a.noconvert(),
             "depths"_a.noconvert(), "occurrences"_a.noconvert());
}
