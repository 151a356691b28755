// lodex.kernels._suffix_sort: suffix sorting for Python. Arrays are checked here; work is done without the GIL.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "suffix_array.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lodex {
namespace {

using TokenArray = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

const char* route_name(SortRoute route) {
  switch (route) {
    case SortRoute::kInduced: return "induced";
    case SortRoute::kTwoStage: return "two-stage";
    case SortRoute::kReduced: return "reduced";
  }
  return "";
}

template <typename Token>
SortRoute build(const TokenArray& tokens, std::int32_t* positions, int threads) {
  return build_suffix_array(static_cast<const Token*>(tokens.data()), std::int32_t(tokens.size()), positions, threads);
}

auto suffix_array_and_route(const TokenArray& tokens, int threads) {
  const std::size_t n = tokens.size();
  if (n > std::size_t(kMaxTokens)) {
    throw std::invalid_argument("a stream of " + std::to_string(n) + " tokens is too long to sort: at most " +
                                std::to_string(kMaxTokens));
  }
  if (threads < 1) throw std::invalid_argument("threads must be at least 1, got " + std::to_string(threads));
  const nb::dlpack::dtype type = tokens.dtype();
  const auto sort = type == nb::dtype<std::uint8_t>()    ? build<std::uint8_t>
                    : type == nb::dtype<std::uint16_t>() ? build<std::uint16_t>
                    : type == nb::dtype<std::uint32_t>() ? build<std::uint32_t>
                                                         : nullptr;
  if (sort == nullptr) throw nb::type_error("tokens must be uint8, uint16 or uint32");
  std::unique_ptr<std::int32_t[]> positions(new std::int32_t[n]);  // not value-initialised: all will be written
  SortRoute route;
  {
    const nb::gil_scoped_release unlocked;
    route = sort(tokens, positions.get(), threads);
  }
  std::int32_t* const raw = positions.release();
  const nb::capsule owner(raw, [](void* p) noexcept { delete[] static_cast<std::int32_t*>(p); });
  return std::pair(nb::ndarray<nb::numpy, std::int32_t, nb::ndim<1>>(raw, {n}, owner), route);
}

auto suffix_array(const TokenArray& tokens, int threads) { return suffix_array_and_route(tokens, threads).first; }

auto route(const TokenArray& tokens, int threads) {
  return route_name(suffix_array_and_route(tokens, threads).second);
}

}  // namespace
}  // namespace lodex

// Arrays are never converted: suffixes of another dtype have another order.
NB_MODULE(_suffix_sort, module) {
  module.attr("MAX_TOKENS") = lodex::kMaxTokens;
  module.def("suffix_array", &lodex::suffix_array, "tokens"_a.noconvert(), "threads"_a = 1);
  module.def("route", &lodex::route, "tokens"_a.noconvert(), "threads"_a = 1);
}
