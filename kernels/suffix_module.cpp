// lodex.kernels._suffix: searching suffix tables from Python. Arrays are checked here; the GIL is released while work
// is done.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "suffix_arrays.h"
#include "suffix_corpus.h"
#include "suffix_queries.h"
#include "suffix_search.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lodex {
namespace {

std::vector<std::uint64_t> to_vector(const Uint64s& array) { return {array.data(), array.data() + array.size()}; }

auto copy_to_numpy(const std::vector<std::uint64_t>& values) {
  auto copy = allocate<std::uint64_t>(values.size());
  std::copy(values.begin(), values.end(), copy.get());
  return to_numpy(std::move(copy), values.size());
}

/// Tokens and counts, side by side.
nb::tuple columns_of(const std::vector<NextToken>& found) {
  auto tokens = allocate<std::int64_t>(found.size()), counts = allocate<std::int64_t>(found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    tokens[i] = found[i].token;
    counts[i] = found[i].count;
  }
  return nb::make_tuple(to_numpy(std::move(tokens), found.size()), to_numpy(std::move(counts), found.size()));
}

nb::tuple columns_of(const std::vector<Continued>& found) {
  const std::size_t n = found.size();
  auto lengths = allocate<std::int64_t>(n), prompts = allocate<std::int64_t>(n), counts = allocate<std::int64_t>(n);
  for (std::size_t i = 0; i < n; ++i) {
    lengths[i] = found[i].suffix_length;
    prompts[i] = found[i].prompt_count;
    counts[i] = found[i].count;
  }
  return nb::make_tuple(to_numpy(std::move(lengths), n), to_numpy(std::move(prompts), n),
                        to_numpy(std::move(counts), n));
}

/// A SuffixTable together with the arrays it reads.
class PySuffixTable {
 public:
  PySuffixTable(TokenArray tokens, Bytes table, std::string label, const std::optional<std::pair<Uint64s, Uint64s>>& top,
                std::optional<Bytes> page_keys, bool few_reads)
      : tokens_(std::move(tokens)),
        table_(std::move(table)),
        page_keys_(std::move(page_keys)),
        suffixes_(static_cast<const std::uint8_t*>(tokens_.data()), tokens_.nbytes(), checked_token_bytes(tokens_),
                  table_.data(), table_.size(), std::move(label)) {
    const nb::gil_scoped_release unlocked;
    if (few_reads) suffixes_.read_few();
    if (page_keys_) suffixes_.set_page_keys(page_keys_->data(), page_keys_->size());
    if (top) {
      suffixes_.set_top(to_vector(top->first), to_vector(top->second));
    } else {
      suffixes_.build_top();
    }
  }

  const SuffixTable& suffixes() const { return suffixes_; }
  std::size_t size() const { return suffixes_.size(); }
  nb::tuple top() const {
    return nb::make_tuple(copy_to_numpy(suffixes_.top().starts()), copy_to_numpy(suffixes_.top().keys()));
  }

  auto find(const TokenArray& queries, const Int64s& offsets) const {
    const PyQueries batch(queries, offsets, suffixes_.token_bytes());
    auto begins = allocate<std::int64_t>(batch.size()), ends = allocate<std::int64_t>(batch.size());
    {
      const nb::gil_scoped_release unlocked;
      std::vector<RankRange> ranges(batch.size());
      suffixes_.find_many(batch.data(), batch.size(), ranges.data());
      for (std::size_t i = 0; i < batch.size(); ++i) {
        begins[i] = std::int64_t(ranges[i].begin);
        ends[i] = std::int64_t(ranges[i].end);
      }
    }
    return nb::make_tuple(to_numpy(std::move(begins), batch.size()), to_numpy(std::move(ends), batch.size()));
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
    auto offsets = allocate<std::int64_t>(size + 1);
    offsets[0] = 0;
    {
      const nb::gil_scoped_release unlocked;
      for (std::size_t i = 0; i < size; ++i) {
        suffixes_.next_tokens({std::size_t(begins(i)), std::size_t(ends(i))}, std::size_t(depths(i)), found);
        offsets[i + 1] = std::int64_t(found.size());
      }
    }
    const nb::tuple columns = columns_of(found);
    return nb::make_tuple(columns[0], columns[1], to_numpy(std::move(offsets), size + 1));
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

  auto shared_bits(std::int64_t begin, std::int64_t end) const {
    check_range(begin, end);
    const std::size_t size = std::size_t(end - begin);
    auto out = allocate<std::uint8_t>(size);
    {
      const nb::gil_scoped_release unlocked;
      suffixes_.shared_bits(std::size_t(begin), std::size_t(end), out.get());
    }
    return to_numpy(std::move(out), size);
  }

 private:
  void check_range(std::int64_t begin, std::int64_t end) const {
    if (begin < 0 || begin > end || end > std::int64_t(size())) {
      throw std::invalid_argument("ranks [" + std::to_string(begin) + ", " + std::to_string(end) +
                                  ") are not in a table of " + std::to_string(size()));
    }
  }

  TokenArray tokens_;
  Bytes table_;
  std::optional<Bytes> page_keys_;
  SuffixTable suffixes_;
};

/// What a long sweep calls now and then, without the GIL; it raises what a Python function raises.
Poll poll_of(const nb::object& check) {
  if (check.is_none()) return [] {};
  return [function = nb::handle(check), last = std::chrono::steady_clock::now()]() mutable {
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(20)) return;
    last = now;
    const nb::gil_scoped_acquire locked;
    function();
  };
}

/// A Corpus together with the tables it reads.
class PyCorpus {
 public:
  PyCorpus(const nb::sequence& tables, const std::vector<int>& signs, bool closed)
      : tables_(tables), corpus_(members(tables_, signs, closed), closed) {}

  std::int64_t size() const { return corpus_.size(); }

  std::int64_t count(nb::handle ids) const {
    const PyQuery query(ids, corpus_.token_bytes());
    const nb::gil_scoped_release unlocked;
    return corpus_.count(query.query());
  }

  auto prob(nb::handle prompt, nb::handle continuation) const {
    PyQuery query(prompt, corpus_.token_bytes());
    const std::size_t prompt_bytes = query.size();
    query.append(continuation);
    Continued found;
    {
      const nb::gil_scoped_release unlocked;
      found = corpus_.prob(query.query(), prompt_bytes);
    }
    return std::make_pair(found.prompt_count, found.count);
  }

  auto infgram_prob(nb::handle prompt, nb::handle continuation, std::int64_t min_support,
                    std::optional<std::int64_t> max_length) const {
    PyQuery query(prompt, corpus_.token_bytes());
    const std::size_t prompt_bytes = query.size();
    query.append(continuation);
    const std::size_t longest = checked_limits(min_support, max_length);
    Continued found;
    {
      const nb::gil_scoped_release unlocked;
      found = corpus_.infgram_prob(query.query(), prompt_bytes, min_support, longest);
    }
    return nb::make_tuple(found.suffix_length, found.prompt_count, found.count);
  }

  auto next_tokens(nb::handle prompt) const {
    const PyQuery query(prompt, corpus_.token_bytes());
    std::vector<NextToken> found;
    {
      const nb::gil_scoped_release unlocked;
      corpus_.next_tokens(query.query(), found);
    }
    return columns_of(found);
  }

  std::int64_t longest_suffix(nb::handle ids, std::int64_t min_support, std::optional<std::int64_t> max_length) const {
    const PyQuery query(ids, corpus_.token_bytes());
    const std::size_t longest = checked_limits(min_support, max_length);
    const Query one = query.query();
    std::int64_t length = 0;
    const nb::gil_scoped_release unlocked;
    corpus_.longest_suffixes(&one, 1, min_support, longest, &length);
    return length;
  }

  auto longest_matches(nb::handle ids, std::int64_t min_support, const nb::object& check) const {
    const Poll poll = poll_of(check);
    const PyQuery text(ids, corpus_.token_bytes());
    checked_limits(min_support, std::nullopt);
    const std::size_t n = text.size() / corpus_.token_bytes();
    auto lengths = allocate<std::int64_t>(n), counts = allocate<std::int64_t>(n);
    {
      const nb::gil_scoped_release unlocked;
      corpus_.match_lengths(text.query(), min_support, lengths.get(), poll);
      corpus_.count_matches(text.query(), lengths.get(), counts.get(), poll);
    }
    return nb::make_tuple(to_numpy(std::move(lengths), n), to_numpy(std::move(counts), n));
  }

  auto match_lengths(nb::handle ids, std::int64_t min_support, const nb::object& check) const {
    const Poll poll = poll_of(check);
    const PyQuery text(ids, corpus_.token_bytes());
    checked_limits(min_support, std::nullopt);
    const std::size_t n = text.size() / corpus_.token_bytes();
    auto lengths = allocate<std::int64_t>(n);
    {
      const nb::gil_scoped_release unlocked;
      corpus_.match_lengths(text.query(), min_support, lengths.get(), poll);
    }
    return to_numpy(std::move(lengths), n);
  }

  auto score(nb::handle ids, std::int64_t min_support, std::optional<std::int64_t> max_length,
             const nb::object& check) const {
    const Poll poll = poll_of(check);
    const PyQuery text(ids, corpus_.token_bytes());
    const std::size_t longest = checked_limits(min_support, max_length);
    std::vector<Continued> found(text.size() / corpus_.token_bytes());
    {
      const nb::gil_scoped_release unlocked;
      corpus_.score(text.query(), min_support, longest, found.data(), poll);
    }
    return columns_of(found);
  }

  auto count_many(const TokenArray& queries, const Int64s& offsets) const {
    const PyQueries batch(queries, offsets, corpus_.token_bytes());
    auto counts = allocate<std::int64_t>(batch.size());
    {
      const nb::gil_scoped_release unlocked;
      corpus_.count_many(batch.data(), batch.size(), counts.get());
    }
    return to_numpy(std::move(counts), batch.size());
  }

  auto prob_many(const TokenArray& queries, const Int64s& offsets, const Int64s& continuation_lengths) const {
    const auto [batch, prompts] = split(queries, offsets, continuation_lengths);
    auto prompt_counts = allocate<std::int64_t>(batch.size()), counts = allocate<std::int64_t>(batch.size());
    {
      const nb::gil_scoped_release unlocked;
      corpus_.prob_many(batch.data(), prompts.data(), batch.size(), prompt_counts.get(), counts.get());
    }
    return nb::make_tuple(to_numpy(std::move(prompt_counts), batch.size()),
                          to_numpy(std::move(counts), batch.size()));
  }

  auto infgram_prob_many(const TokenArray& queries, const Int64s& offsets, const Int64s& continuation_lengths,
                         std::int64_t min_support, std::optional<std::int64_t> max_length) const {
    const auto [batch, prompts] = split(queries, offsets, continuation_lengths);
    const std::size_t longest = checked_limits(min_support, max_length), n = batch.size();
    auto lengths = allocate<std::int64_t>(n), prompt_counts = allocate<std::int64_t>(n);
    auto counts = allocate<std::int64_t>(n);
    {
      const nb::gil_scoped_release unlocked;
      corpus_.longest_suffixes(prompts.data(), n, min_support, longest, lengths.get());
      std::vector<Query> suffixes(n), continued(n);
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t skipped = prompts[i].size - std::size_t(lengths[i]) * corpus_.token_bytes();
        suffixes[i] = {prompts[i].bytes + skipped, prompts[i].size - skipped};
        continued[i] = {batch[i].bytes + skipped, batch[i].size - skipped};
      }
      corpus_.prob_many(continued.data(), suffixes.data(), n, prompt_counts.get(), counts.get());
    }
    return nb::make_tuple(to_numpy(std::move(lengths), n), to_numpy(std::move(prompt_counts), n),
                          to_numpy(std::move(counts), n));
  }

  auto next_tokens_many(const TokenArray& queries, const Int64s& offsets) const {
    const PyQueries batch(queries, offsets, corpus_.token_bytes());
    std::vector<NextToken> found;
    auto bounds = allocate<std::int64_t>(batch.size() + 1);
    bounds[0] = 0;
    {
      const nb::gil_scoped_release unlocked;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        corpus_.next_tokens(batch[i], found);
        bounds[i + 1] = std::int64_t(found.size());
      }
    }
    const nb::tuple columns = columns_of(found);
    return nb::make_tuple(columns[0], columns[1], to_numpy(std::move(bounds), batch.size() + 1));
  }

  auto longest_suffix_many(const TokenArray& queries, const Int64s& offsets, std::int64_t min_support,
                           std::optional<std::int64_t> max_length) const {
    const PyQueries batch(queries, offsets, corpus_.token_bytes());
    const std::size_t longest = checked_limits(min_support, max_length);
    auto lengths = allocate<std::int64_t>(batch.size());
    {
      const nb::gil_scoped_release unlocked;
      corpus_.longest_suffixes(batch.data(), batch.size(), min_support, longest, lengths.get());
    }
    return to_numpy(std::move(lengths), batch.size());
  }

 private:
  static std::vector<Corpus::Member> members(const nb::list& tables, const std::vector<int>& signs,
                                              bool closed) {
    std::vector<Corpus::Member> members;
    for (nb::handle table : tables) {
      if (!nb::isinstance<PySuffixTable>(table)) throw nb::type_error("tables must be SuffixTables");
      members.push_back({&nb::cast<const PySuffixTable&>(table).suffixes(), 0});
    }
    if (members.empty()) throw std::invalid_argument("a corpus needs a table");
    if (members.size() != signs.size()) throw std::invalid_argument("tables and signs must have one length");
    for (std::size_t i = 0; i < signs.size(); ++i) {
      if (signs[i] != 1 && signs[i] != -1) throw std::invalid_argument("signs must be 1 or -1");
      // What crosses from one document into the next is not what it was when a document between them is gone.
      if (signs[i] < 0 && !closed) throw std::invalid_argument("signs of -1 need a closed corpus");
      if (members[i].table->token_bytes() != members[0].table->token_bytes()) {
        throw std::invalid_argument("tables must have one dtype");
      }
      members[i].sign = signs[i];
    }
    return members;
  }

  static std::size_t checked_limits(std::int64_t min_support, std::optional<std::int64_t> max_length) {
    if (min_support < 1) throw std::invalid_argument("min_support must be 1 or more");
    if (max_length && *max_length < 0) throw std::invalid_argument("max_length must not be negative");
    return max_length ? std::size_t(*max_length) : std::numeric_limits<std::size_t>::max();
  }

  /// A batch, and the prompt that each of its queries begins with.
  std::pair<PyQueries, std::vector<Query>> split(const TokenArray& queries, const Int64s& offsets,
                                                 const Int64s& continuation_lengths) const {
    PyQueries batch(queries, offsets, corpus_.token_bytes());
    if (continuation_lengths.size() != batch.size()) {
      throw std::invalid_argument("there must be one continuation length for each query");
    }
    std::vector<Query> prompts(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::int64_t length = continuation_lengths(i);
      if (length < 0 || std::size_t(length) * corpus_.token_bytes() > batch[i].size) {
        throw std::invalid_argument("a continuation must not be longer than its query");
      }
      prompts[i] = {batch[i].bytes, batch[i].size - std::size_t(length) * corpus_.token_bytes()};
    }
    return {std::move(batch), std::move(prompts)};
  }

  nb::list tables_;  // kept alive
  Corpus corpus_;
};

}  // namespace
}  // namespace lodex

// Arrays are never converted: a table of uint16 cast to bytes would be another table.
NB_MODULE(_suffix, module) {
  using lodex::PyCorpus;
  using lodex::PySuffixTable;

  nb::exception<lodex::CorruptTable>(module, "CorruptTableError",
                                     nb::module_::import_("lodex.errors").attr("DataLossError"));
  module.attr("END_OF_STREAM") = lodex::SuffixTable::kEndOfStream;
  nb::class_<PySuffixTable>(module, "SuffixTable")
      .def(nb::init<lodex::TokenArray, lodex::Bytes, std::string,
                    const std::optional<std::pair<lodex::Uint64s, lodex::Uint64s>>&, std::optional<lodex::Bytes>, bool>(),
           "tokens"_a.noconvert(), "table"_a.noconvert(), "label"_a = "table", "top"_a.none() = nb::none(),
           "page_keys"_a.noconvert().none() = nb::none(), "few_reads"_a = false)
      .def("__len__", &PySuffixTable::size)
      .def_prop_ro("top", &PySuffixTable::top)
      .def("find", &PySuffixTable::find, "queries"_a.noconvert(), "offsets"_a.noconvert())
      .def("next_tokens", &PySuffixTable::next_tokens, "begins"_a.noconvert(), "ends"_a.noconvert(),
           "depths"_a.noconvert())
      .def("positions", &PySuffixTable::positions, "begin"_a, "end"_a)
      .def("shared_bits", &PySuffixTable::shared_bits, "begin"_a, "end"_a);
  nb::class_<PyCorpus>(module, "Corpus")
      .def(nb::init<nb::sequence, std::vector<int>, bool>(), "tables"_a, "signs"_a, "closed"_a = true)
      .def("__len__", &PyCorpus::size)
      .def("count", &PyCorpus::count, "query"_a)
      .def("prob", &PyCorpus::prob, "prompt"_a, "continuation"_a)
      .def("infgram_prob", &PyCorpus::infgram_prob, "prompt"_a, "continuation"_a, "min_support"_a = 1,
           "max_length"_a.none() = nb::none())
      .def("next_tokens", &PyCorpus::next_tokens, "prompt"_a)
      .def("longest_suffix", &PyCorpus::longest_suffix, "query"_a, "min_support"_a = 1,
           "max_length"_a.none() = nb::none())
      .def("match_lengths", &PyCorpus::match_lengths, "tokens"_a, "min_support"_a = 1, "check"_a.none() = nb::none())
      .def("longest_matches", &PyCorpus::longest_matches, "tokens"_a, "min_support"_a = 1,
           "check"_a.none() = nb::none())
      .def("score", &PyCorpus::score, "tokens"_a, "min_support"_a = 1, "max_length"_a.none() = nb::none(),
           "check"_a.none() = nb::none())
      .def("count_many", &PyCorpus::count_many, "queries"_a.noconvert(), "offsets"_a.noconvert())
      .def("prob_many", &PyCorpus::prob_many, "queries"_a.noconvert(), "offsets"_a.noconvert(),
           "continuation_lengths"_a.noconvert())
      .def("infgram_prob_many", &PyCorpus::infgram_prob_many, "queries"_a.noconvert(), "offsets"_a.noconvert(),
           "continuation_lengths"_a.noconvert(), "min_support"_a = 1, "max_length"_a.none() = nb::none())
      .def("next_tokens_many", &PyCorpus::next_tokens_many, "queries"_a.noconvert(), "offsets"_a.noconvert())
      .def("longest_suffix_many", &PyCorpus::longest_suffix_many, "queries"_a.noconvert(), "offsets"_a.noconvert(),
           "min_support"_a = 1, "max_length"_a.none() = nb::none());
}
