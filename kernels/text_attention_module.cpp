// lodex.kernels._text_attention: attention over texts end to end in bfloat16. Arrays are checked here.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "text_attention.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lodex {
namespace {

using Rows = nb::ndarray<const std::uint16_t, nb::ndim<3>, nb::device::cpu>;
using Out = nb::ndarray<std::uint16_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Offsets = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

HeadRows rows_of(const Rows& x, const char* name) {
  if (x.stride(2) != 1 || (x.shape(1) > 1 && x.stride(1) != static_cast<std::int64_t>(x.shape(2))) || x.stride(0) < 0) {
    throw std::invalid_argument(std::string(name) + ": the numbers of a row must stand together");
  }
  return {x.data(), static_cast<std::size_t>(x.stride(0))};
}

void attend_checked(const Rows& queries, const Rows& keys, const Rows& values, const Offsets& offsets, float scale,
                    Out& out) {
  const std::size_t tokens = queries.shape(0), heads = queries.shape(1), width = queries.shape(2);
  const std::size_t key_heads = keys.shape(1);
  if (!can_attend()) throw std::invalid_argument("this processor has no tiles of bfloat16");
  if (!has_width(width)) throw std::invalid_argument("heads are 32, 64 or 128 wide, not " + std::to_string(width));
  if (out.shape(0) != tokens || out.shape(1) != heads || out.shape(2) != width) {
    throw std::invalid_argument("out must have the shape of the queries");
  }
  for (const Rows* x : {&keys, &values}) {
    if (x->shape(0) != tokens || x->shape(1) != key_heads || x->shape(2) != width) {
      throw std::invalid_argument("keys and values must have as many rows as the queries, and heads of their width");
    }
  }
  if (!key_heads || heads % key_heads) throw std::invalid_argument("heads must be a multiple of those of the keys");
  if (!(scale > 0)) throw std::invalid_argument("scale must be above 0");
  if (!offsets.size() || offsets.data()[0] < 0) throw std::invalid_argument("offsets must begin at 0 or above");
  for (std::size_t text = 0; text + 1 < offsets.size(); ++text) {
    if (offsets.data()[text + 1] <= offsets.data()[text]) throw std::invalid_argument("offsets must rise");
  }
  if (static_cast<std::size_t>(offsets.data()[offsets.size() - 1]) > tokens) {
    throw std::invalid_argument("offsets lead beyond the rows");
  }
  const TextAttention task{rows_of(queries, "queries"), rows_of(keys, "keys"), rows_of(values, "values"), out.data(),
                           offsets.data(), offsets.size() - 1, heads, key_heads, width, scale};
  const nb::gil_scoped_release release;
  attend(task);
}

}  // namespace
}  // namespace lodex

NB_MODULE(_text_attention, m) {
  m.def("can_attend", &lodex::can_attend);
  m.def("attend", &lodex::attend_checked, "queries"_a, "keys"_a, "values"_a, "offsets"_a, "scale"_a, "out"_a);
}
