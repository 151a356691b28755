#include "suffix_corpus.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <utility>

namespace lodex {
namespace {

// Lengths of a suffix that are tried at once while few queries are open: between two bounds, and while there is none.
constexpr std::size_t kProbes = 8;
constexpr std::size_t kGrowingProbes = 3;
// Most that occur are short, and a prompt that was taken from the corpus occurs as a whole.
constexpr std::size_t kFirstLengths[] = {3, 4, 6};
constexpr std::size_t kProbesInAll = 24;
// Most texts that are matched share short runs with a corpus. Longer ones are followed one by one.
constexpr std::size_t kShortMatch = 64;
// Tokens from one match that is looked for to the next, while ends of matches are the same.
constexpr std::size_t kMatchStep = 8;
// Searches between two calls of who may end a sweep.
constexpr std::size_t kAtOnce = 4096;
constexpr std::size_t kBytesAtOnce = std::size_t{1} << 23;

/// Sorts tokens that are in the order of their bytes by their value.
void sort_by_value(std::vector<NextToken>& tokens, std::size_t from, std::size_t token_bytes) {
  const auto begin = tokens.begin() + std::ptrdiff_t(from);
  if (token_bytes == 1) return;
  if (token_bytes == 2 && tokens.size() - from > 64) {
    // Their low bytes ascend already: one stable pass by the high byte.
    std::size_t places[257] = {};
    for (auto it = begin; it != tokens.end(); ++it) ++places[(it->token >> 8 & 0xff) + 1];
    for (std::size_t i = 1; i < 257; ++i) places[i] += places[i - 1];
    std::vector<NextToken> sorted(tokens.size() - from);
    for (auto it = begin; it != tokens.end(); ++it) sorted[places[it->token >> 8 & 0xff]++] = *it;
    std::copy(sorted.begin(), sorted.end(), begin);
    return;
  }
  std::sort(begin, tokens.end(), [](const NextToken& a, const NextToken& b) { return a.token < b.token; });
}

}  // namespace

Corpus::Corpus(std::vector<Member> members, bool closed)
    : members_(std::move(members)), closed_(closed), token_bytes_(members_.empty() ? 1 : members_[0].table->token_bytes()) {
  for (const Member& member : members_) {
    size_ += member.sign * std::int64_t(member.table->size());
    subtracts_ |= member.sign < 0;
  }
}

// ------------------------------------------------------------------------------------ separators

bool Corpus::is_separator(const std::uint8_t* token) const {
  for (std::size_t i = 0; i < token_bytes_; ++i) {
    if (token[i] != 0xff) return false;
  }
  return true;
}

bool Corpus::has_separator(const std::uint8_t* begin, const std::uint8_t* end) const {
  for (const std::uint8_t* token = begin; token < end; token += token_bytes_) {
    if (is_separator(token)) return true;
  }
  return false;
}

bool Corpus::is_possible(const Query& query) const {
  if (!closed_ || query.size <= 2 * token_bytes_) return true;
  return !has_separator(query.bytes + token_bytes_, query.bytes + query.size - token_bytes_);
}

bool Corpus::can_be_followed(const Query& prompt) const {
  return !closed_ || prompt.size <= token_bytes_ ||
         !has_separator(prompt.bytes + token_bytes_, prompt.bytes + prompt.size);
}

int Corpus::closes(const SuffixTable& table, const Query& query) const {
  if (!closed_ || query.size <= token_bytes_) return 0;
  const std::size_t before = query.size - token_bytes_;
  const Text& text = table.text();
  return before <= text.size && is_separator(query.bytes + before) &&
         std::memcmp(text.bytes + text.size - before, query.bytes, before) == 0;
}

Query Corpus::last_document(const Query& query) const {
  if (!closed_) return query;
  for (std::size_t at = query.size; at > token_bytes_; at -= token_bytes_) {
    if (is_separator(query.bytes + at - token_bytes_)) {
      return {query.bytes + at - token_bytes_, query.size - (at - token_bytes_)};
    }
  }
  return query;
}

// ------------------------------------------------------------------------------------ counts

std::int64_t Corpus::count(const Query& query) const {
  if (!is_possible(query)) return 0;
  std::int64_t total = 0;
  for (const Member& member : members_) {
    const RankRange range = member.table->find(query);
    total += member.sign * (std::int64_t(range.end - range.begin) + closes(*member.table, query));
  }
  return total;
}

void Corpus::count_many(const Query* queries, std::size_t count, std::int64_t* out) const {
  std::fill_n(out, count, 0);
  std::vector<RankRange> ranges(count);
  for (const Member& member : members_) {
    member.table->find_many(queries, count, ranges.data());
    for (std::size_t i = 0; i < count; ++i) {
      out[i] += member.sign * (std::int64_t(ranges[i].end - ranges[i].begin) + closes(*member.table, queries[i]));
    }
  }
  if (!closed_) return;
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_possible(queries[i])) out[i] = 0;
  }
}

Continued Corpus::prob(const Query& query, std::size_t prompt_bytes) const {
  const Query prompt{query.bytes, prompt_bytes};
  Continued found{std::int64_t(prompt_bytes / token_bytes_), 0, 0};
  if (!can_be_followed(prompt)) return found;
  const bool is_possible_whole = is_possible(query);
  const Query both[2] = {prompt, query};
  RankRange ranges[2];
  for (const Member& member : members_) {
    member.table->find_many(both, is_possible_whole ? 2 : 1, ranges);
    found.prompt_count += member.sign * std::int64_t(ranges[0].end - ranges[0].begin);
    if (!is_possible_whole) continue;
    found.count += member.sign * (std::int64_t(ranges[1].end - ranges[1].begin) + closes(*member.table, query));
  }
  return found;
}

void Corpus::prob_many(const Query* queries, const Query* prompts, std::size_t count, std::int64_t* prompt_counts,
                       std::int64_t* counts) const {
  count_many(prompts, count, prompt_counts);
  count_many(queries, count, counts);
  for (std::size_t i = 0; i < count; ++i) {
    if (!can_be_followed(prompts[i])) prompt_counts[i] = counts[i] = 0;
  }
}

Continued Corpus::infgram_prob(const Query& query, std::size_t prompt_bytes, std::int64_t min_support,
                               std::size_t max_length) const {
  const Query prompt{query.bytes, prompt_bytes};
  std::int64_t length;
  longest_suffixes(&prompt, 1, min_support, max_length, &length);
  const std::size_t skipped = prompt_bytes - std::size_t(length) * token_bytes_;
  return prob({query.bytes + skipped, query.size - skipped}, prompt_bytes - skipped);
}

void Corpus::next_tokens(const Query& prompt, std::vector<NextToken>& out) const {
  if (!can_be_followed(prompt)) return;
  const std::size_t from = out.size();
  const std::int64_t separator = std::int64_t(~std::uint64_t{0} >> (64 - 8 * token_bytes_));
  for (const Member& member : members_) {
    const std::size_t first = out.size();
    member.table->next_tokens(member.table->find(prompt), prompt.size / token_bytes_, out);
    for (std::size_t i = first; i < out.size(); ++i) out[i].count *= member.sign;
    // The end of the stream comes first, as the smallest; the separator that it stands for is the greatest.
    if (first < out.size() && out[first].token == SuffixTable::kEndOfStream) {
      out[first].token = separator;
      std::rotate(out.begin() + std::ptrdiff_t(first), out.begin() + std::ptrdiff_t(first) + 1, out.end());
    }
  }
  if (members_.size() == 1) {
    sort_by_value(out, from, token_bytes_);
  } else {
    std::sort(out.begin() + std::ptrdiff_t(from), out.end(),
              [](const NextToken& a, const NextToken& b) { return a.token < b.token; });
  }
  std::size_t kept = from;
  for (std::size_t i = from; i < out.size();) {
    NextToken sum = out[i];
    for (++i; i < out.size() && out[i].token == sum.token; ++i) sum.count += out[i].count;
    if (sum.count != 0) out[kept++] = sum;
  }
  out.resize(kept);
}

// ------------------------------------------------------------------------------------ longest suffixes

void Corpus::have_support(const Query* queries, std::size_t count, std::int64_t min_support, bool* out) const {
  if (min_support > 1 || subtracts_) {
    std::vector<std::int64_t> counts(count);
    count_many(queries, count, counts.data());
    for (std::size_t i = 0; i < count; ++i) out[i] = counts[i] >= min_support;
    return;
  }
  std::fill_n(out, count, false);
  std::vector<Query> open(queries, queries + count);
  std::vector<std::size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::unique_ptr<bool[]> found(new bool[count]);
  for (const Member& member : members_) {
    member.table->occur_many(open.data(), open.size(), found.get());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < open.size(); ++i) {
      out[numbers[i]] = found[i] || closes(*member.table, open[i]);
      if (out[numbers[i]]) continue;
      open[kept] = open[i];
      numbers[kept++] = numbers[i];
    }
    open.resize(kept);
  }
}

void Corpus::longest_suffixes(const Query* queries, std::size_t count, std::int64_t min_support,
                              std::size_t max_length, std::int64_t* out) const {
  // If a suffix occurs often enough, every shorter one does: lengths between `occurring` and `missing` are open.
  struct Search {
    Query query;
    std::size_t occurring, missing, number;
    bool bounded;  // some length was missing
  };
  std::vector<Search> open;
  for (std::size_t i = 0; i < count; ++i) {
    const Query query = last_document(queries[i]);
    const std::size_t longest = std::min(max_length, query.size / token_bytes_);
    out[i] = 0;
    if (longest) open.push_back({query, 0, longest + 1, i, false});
  }
  std::vector<Query> probes;
  std::vector<std::size_t> lengths;
  std::vector<std::size_t> firsts;
  while (!open.empty()) {
    const std::size_t each = std::clamp<std::size_t>(kProbesInAll / open.size(), 1, kProbes);
    probes.clear();
    lengths.clear();
    firsts.clear();
    for (const Search& search : open) {
      firsts.push_back(lengths.size());
      const std::size_t gap = search.missing - search.occurring - 1;
      const bool grows = !search.bounded && gap > each;
      const std::size_t tried = std::min(grows ? std::min(each, kGrowingProbes) : each, gap);
      std::size_t length = search.occurring;
      const auto probe = [&](std::size_t length) {
        lengths.push_back(length);
        const std::size_t bytes = length * token_bytes_;
        probes.push_back({search.query.bytes + search.query.size - bytes, bytes});
      };
      if (grows && each == kProbes && search.occurring == 0) {
        for (const std::size_t first : kFirstLengths) {
          if (first + 1 < search.missing) probe(first);
        }
        probe(search.missing - 1);
        continue;
      }
      for (std::size_t i = 0; i < tried; ++i) {
        if (grows) {
          // Most that occur are short: 3, 5, 8, 13, ...
          length = std::min(std::max<std::size_t>(3, length + (2 * length + 2) / 3), search.missing - 1);
        } else {
          length = search.occurring + (gap * (i + 1) + tried) / (tried + 1);
        }
        if (lengths.size() > firsts.back() && lengths.back() >= length) break;
        probe(length);
      }
    }
    firsts.push_back(lengths.size());
    const std::unique_ptr<bool[]> found(new bool[probes.size()]);
    have_support(probes.data(), probes.size(), min_support, found.get());
    std::size_t kept = 0;
    for (std::size_t s = 0; s < open.size(); ++s) {
      Search search = open[s];
      for (std::size_t i = firsts[s]; i < firsts[s + 1]; ++i) {
        if (found[i]) {
          search.occurring = lengths[i];
        } else {
          search.missing = lengths[i];
          search.bounded = true;
          break;
        }
      }
      if (search.missing - search.occurring > 1) {
        open[kept++] = search;
      } else {
        out[search.number] = std::int64_t(search.occurring);
      }
    }
    open.resize(kept);
  }
}

// ------------------------------------------------------------------------------------ every place of a text

/// For each token where a run beginning there must end: behind the next separator, or at the end.
std::vector<std::size_t> Corpus::limits(const Query& text) const {
  const std::size_t n = text.size / token_bytes_;
  std::vector<std::size_t> limits(n);
  std::size_t limit = n;
  for (std::size_t i = n; i-- > 0;) {
    limits[i] = limit;
    if (closed_ && is_separator(text.bytes + i * token_bytes_)) limit = i + 1;
  }
  return limits;
}

/// The longest prefix of each query that occurs in any table that adds, in tokens, whatever others subtract.
void Corpus::match_prefixes(const std::vector<Query>& queries, std::int64_t* lengths) const {
  std::vector<std::size_t> bytes(queries.size());
  std::fill_n(lengths, queries.size(), 0);
  for (const Member& member : members_) {
    if (member.sign < 0) continue;
    member.table->match_many(queries.data(), queries.size(), bytes.data());
    for (std::size_t i = 0; i < queries.size(); ++i) {
      std::int64_t length = std::int64_t(bytes[i] / token_bytes_);
      const std::int64_t whole = std::int64_t(queries[i].size / token_bytes_);
      if (length + 1 == whole && closes(*member.table, queries[i])) length = whole;
      lengths[i] = std::max(lengths[i], length);
    }
  }
}

/// Shortens prefixes of these lengths that do not occur often enough.
void Corpus::lower_to_support(const std::vector<Query>& queries, std::int64_t min_support,
                              std::int64_t* lengths) const {
  std::vector<std::int64_t> occurring(queries.size(), 0), missing(queries.size());
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    missing[i] = lengths[i] + 1;
    if (lengths[i] > 0) open.push_back(i);
  }
  std::vector<Query> probes;
  for (bool first = true; !open.empty(); first = false) {
    probes.clear();
    for (const std::size_t i : open) {
      const std::int64_t tried = first ? lengths[i] : (occurring[i] + missing[i]) / 2;
      probes.push_back({queries[i].bytes, std::size_t(tried) * token_bytes_});
    }
    const std::unique_ptr<bool[]> found(new bool[open.size()]);
    have_support(probes.data(), probes.size(), min_support, found.get());
    std::size_t kept = 0;
    for (std::size_t k = 0; k < open.size(); ++k) {
      const std::size_t i = open[k];
      (found[k] ? occurring[i] : missing[i]) = std::int64_t(probes[k].size / token_bytes_);
      if (missing[i] - occurring[i] > 1) open[kept++] = i;
    }
    open.resize(kept);
  }
  std::copy(occurring.begin(), occurring.end(), lengths);
}

/// How far the run from `begin`, which occurs often enough up to `end`, goes on doing so; at most to `limit`.
std::size_t Corpus::furthest_end(const Query& text, std::size_t begin, std::size_t end, std::size_t limit,
                                 std::int64_t min_support) const {
  const auto run_to = [&](std::size_t stop) {
    return Query{text.bytes + begin * token_bytes_, (stop - begin) * token_bytes_};
  };
  if (is_plain(min_support)) {  // one search tells
    std::int64_t length;
    match_prefixes({run_to(limit)}, &length);
    return begin + std::size_t(length);
  }
  std::size_t missing = limit + 1;
  for (std::size_t step = 1; missing - end > 1;) {
    const std::size_t stop = missing > limit ? std::min(end + step, limit) : end + (missing - end) / 2;
    const Query run = run_to(stop);
    bool found;
    have_support(&run, 1, min_support, &found);
    (found ? end : missing) = stop;
    step *= 2;
  }
  return end;
}

void Corpus::match_lengths(const Query& text, std::int64_t min_support, std::int64_t* lengths,
                           const Poll& poll) const {
  const std::size_t n = text.size / token_bytes_;
  const std::vector<std::size_t> limits = this->limits(text);

  // Ends of matches never go back. So every few tokens are looked at first: where two of these end in one place, all
  // between do.
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < n; i += kMatchStep) starts.push_back(i);
  match_starts(text, limits, starts, min_support, lengths, poll);
  follow_long_matches(text, limits, starts, min_support, lengths, poll);
  const std::vector<std::size_t> known = std::move(starts);
  starts.clear();
  for (std::size_t k = 0; k < known.size(); ++k) {
    const std::size_t begin = known[k], end = begin + std::size_t(lengths[begin]);
    const std::size_t next = k + 1 < known.size() ? known[k + 1] : n;
    const bool is_same = next < n && end == next + std::size_t(lengths[next]);
    for (std::size_t i = begin + 1; i < next; ++i) {
      if (is_same) {
        lengths[i] = std::int64_t(end - i);
      } else {
        starts.push_back(i);
      }
    }
  }
  match_starts(text, limits, starts, min_support, lengths, poll);
  follow_long_matches(text, limits, starts, min_support, lengths, poll);
}

/// Writes the lengths of the matches that begin at `starts`, up to kShortMatch.
void Corpus::match_starts(const Query& text, const std::vector<std::size_t>& limits,
                          const std::vector<std::size_t>& starts, std::int64_t min_support, std::int64_t* lengths,
                          const Poll& poll) const {
  std::vector<Query> queries;
  std::vector<std::int64_t> found;
  for (std::size_t from = 0; from < starts.size(); from += kAtOnce) {
    const std::size_t to = std::min(starts.size(), from + kAtOnce);
    queries.clear();
    for (std::size_t k = from; k < to; ++k) {
      const std::size_t begin = starts[k], end = std::min(limits[begin], begin + kShortMatch);
      queries.push_back({text.bytes + begin * token_bytes_, (end - begin) * token_bytes_});
    }
    found.resize(queries.size());
    match_prefixes(queries, found.data());
    if (!is_plain(min_support)) lower_to_support(queries, min_support, found.data());
    for (std::size_t k = from; k < to; ++k) lengths[starts[k]] = found[k - from];
    poll();
  }
}

/// Finds where the matches at `starts` end that are longer than was looked at.
///
/// The ends of those that begin soon after a long one are mostly the same. The next one that goes further is found by
/// doubling and bisection, so a text that stands in the corpus is read a few times and not once for each token.
void Corpus::follow_long_matches(const Query& text, const std::vector<std::size_t>& limits,
                                 const std::vector<std::size_t>& starts, std::int64_t min_support,
                                 std::int64_t* lengths, const Poll& poll) const {
  for (std::size_t k = 0; k < starts.size();) {
    std::size_t begin = starts[k];
    if (lengths[begin] != std::int64_t(kShortMatch) || limits[begin] == begin + kShortMatch) {
      ++k;
      continue;
    }
    poll();
    const std::size_t end = furthest_end(text, begin, begin + kShortMatch, limits[begin], min_support);
    lengths[begin] = std::int64_t(end - begin);
    std::size_t same = begin, further = end - kShortMatch + 1;  // begins of matches to `end` exactly, and beyond
    bool is_known = false;                                      // that one from `further` goes beyond
    for (std::size_t step = 1; end < limits[begin] && further - same > 1; step *= 2) {
      const std::size_t middle = is_known ? same + (further - same) / 2 : std::min(same + step, further - 1);
      const Query longer{text.bytes + middle * token_bytes_, (end + 1 - middle) * token_bytes_};
      bool found;
      have_support(&longer, 1, min_support, &found);
      (found ? further : same) = middle;
      is_known |= found;
    }
    for (++begin; begin < further; ++begin) lengths[begin] = std::int64_t(end - begin);
    while (k < starts.size() && starts[k] < further) ++k;
  }
}

namespace {

/// Counts of runs of a text that are nested, each in the one before: of equal counts all between are equal.
class NestedCounts {
 public:
  explicit NestedCounts(std::int64_t* out) : out_(out) {}

  /// Runs `first` to `last`, both counted.
  void add(std::size_t first, std::size_t last) {
    if (last - first > 1) open_.push_back({first, last});
  }

  /// Counts all that are open; count(places) fills out[place] for each.
  template <typename Count>
  void close(const Count& count) {
    std::vector<std::size_t> middles;
    std::vector<std::pair<std::size_t, std::size_t>> next;
    while (!open_.empty()) {
      middles.clear();
      next.clear();
      for (const auto& [first, last] : open_) {
        if (out_[first] == out_[last]) {
          std::fill(out_ + first + 1, out_ + last, out_[first]);
        } else {
          middles.push_back(first + (last - first) / 2);
          next.push_back({first, last});
        }
      }
      if (!middles.empty()) count(middles);
      open_.clear();
      for (std::size_t i = 0; i < next.size(); ++i) {
        add(next[i].first, middles[i]);
        add(middles[i], next[i].second);
      }
    }
  }

 private:
  std::int64_t* out_;
  std::vector<std::pair<std::size_t, std::size_t>> open_;
};

}  // namespace

/// Counts some queries at a time. Those of long runs are read from their beginning at every step, and take their time.
void Corpus::count_in_turn(const std::vector<Query>& queries, std::int64_t* out, const Poll& poll) const {
  for (std::size_t from = 0; from < queries.size();) {
    std::size_t to = from, bytes = 0;
    for (; to < queries.size() && to - from < kAtOnce && bytes < kBytesAtOnce; ++to) bytes += queries[to].size;
    count_many(queries.data() + from, to - from, out + from);
    from = to;
    poll();
  }
}

void Corpus::count_matches(const Query& text, const std::int64_t* lengths, std::int64_t* counts,
                           const Poll& poll) const {
  const std::size_t n = text.size / token_bytes_;
  std::vector<Query> queries;
  std::vector<std::int64_t> found;
  const auto count = [&](const std::vector<std::size_t>& places) {
    queries.clear();
    for (const std::size_t i : places) {
      queries.push_back({text.bytes + i * token_bytes_, std::size_t(lengths[i]) * token_bytes_});
    }
    found.resize(places.size());
    count_in_turn(queries, found.data(), poll);
    for (std::size_t k = 0; k < places.size(); ++k) counts[places[k]] = lengths[places[k]] ? found[k] : 0;
  };
  std::vector<std::size_t> places;
  NestedCounts nested(counts);
  for (std::size_t begin = 0; begin < n;) {
    // Long runs that end in one place are nested.
    std::size_t last = begin;
    while (last + 1 < n && lengths[last + 1] > std::int64_t(kShortMatch) &&
           last + 1 + std::size_t(lengths[last + 1]) == begin + std::size_t(lengths[begin])) {
      ++last;
    }
    places.push_back(begin);
    if (last > begin) places.push_back(last);
    nested.add(begin, last);
    begin = last + 1;
  }
  count(places);
  nested.close(count);
}

void Corpus::score(const Query& text, std::int64_t min_support, std::size_t max_length, Continued* out,
                   const Poll& poll) const {
  const std::size_t n = text.size / token_bytes_;
  std::vector<std::int64_t> lengths(n);
  match_lengths(text, min_support, lengths.data(), poll);

  // Ends of longest runs never go back, so the longest suffix that ends at i is the first run that reaches it.
  std::vector<std::size_t> begins(n);
  std::vector<bool> is_cut(n);  // a longer suffix occurs, but is not asked for
  std::size_t begin = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (closed_ && i > 0 && is_separator(text.bytes + (i - 1) * token_bytes_)) begin = i - 1;
    while (begin < i && begin + std::size_t(lengths[begin]) < i) ++begin;
    is_cut[i] = i - begin > max_length;
    begins[i] = is_cut[i] ? i - max_length : begin;
  }

  // Prompts, then continuations that are not the prompt of the next token: text[begins[i], i + 1).
  std::vector<std::int64_t> prompts(n, 0);
  std::vector<std::size_t> places;
  std::vector<Query> queries;
  std::vector<std::int64_t> found;
  const auto count_runs = [&](const std::vector<std::size_t>& at, std::size_t behind, std::vector<std::int64_t>& to) {
    queries.clear();
    for (const std::size_t i : at) {
      queries.push_back({text.bytes + begins[i] * token_bytes_, (i + behind - begins[i]) * token_bytes_});
    }
    found.resize(at.size());
    count_in_turn(queries, found.data(), poll);
    for (std::size_t k = 0; k < at.size(); ++k) to[at[k]] = found[k];
  };
  NestedCounts nested(prompts.data());
  for (std::size_t i = 0; i < n;) {
    std::size_t last = i;
    if (i - begins[i] >= kShortMatch) {  // long prompts that begin in one place are nested
      while (last + 1 < n && begins[last + 1] == begins[i]) ++last;
    }
    places.push_back(i);
    if (last > i) places.push_back(last);
    nested.add(i, last);
    i = last + 1;
  }
  const auto count_prompts = [&](const std::vector<std::size_t>& at) { count_runs(at, 0, prompts); };
  count_prompts(places);
  nested.close(count_prompts);

  std::vector<std::int64_t> continued(n, 0);
  places.clear();
  for (std::size_t i = 0; i < n; ++i) {
    if (i + 1 < n && begins[i + 1] == begins[i] && i >= begins[i]) {
      continued[i] = prompts[i + 1];
    } else if (min_support > 1 || is_cut[i] || i == begins[i] || begins[i] + std::size_t(lengths[begins[i]]) > i) {
      places.push_back(i);
    }  // else the run ends here because it does not go on with this token
  }
  count_runs(places, 1, continued);
  for (std::size_t i = 0; i < n; ++i) out[i] = {std::int64_t(i - begins[i]), prompts[i], continued[i]};
}

}  // namespace lodex
