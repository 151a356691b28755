#include "suffix_top.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace lodex {
namespace {

// A table of first tokens takes 8 bytes for each; it is worth at most 0.0143 bytes for each token of the stream.
constexpr std::size_t kTokensPerStart = 560;

}  // namespace

std::size_t TopLevel::num_starts(std::size_t token_bytes, std::size_t num_tokens) {
  if (token_bytes > 2) return 0;
  const std::size_t entries = (std::size_t{1} << (8 * token_bytes)) + 1;
  return num_tokens >= entries * kTokensPerStart ? entries : 0;
}

TopLevel::TopLevel(std::vector<std::uint64_t> starts, std::vector<std::uint64_t> keys, std::size_t token_bytes,
                   std::size_t num_tokens)
    : starts_(std::move(starts)), keys_(std::move(keys)), token_bytes_(token_bytes), num_tokens_(num_tokens) {
  if (starts_.size() != num_starts(token_bytes, num_tokens) || keys_.size() != num_keys(num_tokens)) {
    throw std::invalid_argument("a top level of " + std::to_string(starts_.size()) + " starts and " +
                                std::to_string(keys_.size()) + " keys is not of a table of " +
                                std::to_string(num_tokens) + " tokens");
  }
  std::size_t start = 0;  // keys ascend within the suffixes of one first token
  for (std::size_t i = 0; i + 1 < starts_.size(); ++i) {
    if (starts_[i] > starts_[i + 1]) throw std::invalid_argument("first tokens of the top level are out of order");
  }
  if (!starts_.empty() && (starts_.front() != 0 || starts_.back() != num_tokens)) {
    throw std::invalid_argument("first tokens of the top level do not cover the table");
  }
  for (std::size_t page = 1; page < keys_.size(); ++page) {
    const std::size_t rank = page * kPage, before = rank - kPage;
    while (start + 1 < starts_.size() && starts_[start + 1] <= rank) ++start;
    const bool same_start = starts_.empty() || starts_[start] <= before;
    if (same_start && keys_[page - 1] > keys_[page]) {
      throw std::invalid_argument("keys of the top level are out of order");
    }
  }
}

std::size_t TopLevel::lower_bound(const std::uint64_t* keys, std::size_t from, std::size_t to, std::uint64_t key) {
  const std::uint64_t* base = keys + from;
  std::size_t size = to - from;
  while (size > 1) {  // which way is not predictable, so there is no branch
    const std::size_t half = size / 2;
    base += base[half - 1] < key ? half : 0;
    size -= half;
  }
  return std::size_t(base - keys) + (size == 1 && *base < key);
}

std::size_t TopLevel::upper_bound(const std::uint64_t* keys, std::size_t from, std::size_t to, std::uint64_t key) {
  std::size_t step = 1;  // most queries cover few pages
  while (from + step <= to && keys[from + step - 1] <= key) {
    from += step;
    step *= 2;
  }
  const std::size_t end = std::min(to, from + step - 1);
  return key == ~std::uint64_t{0} ? end : lower_bound(keys, from, end, key + 1);
}

}  // namespace lodex
