// Counting n-grams, and the distinct tokens before them, over several suffix tables as one corpus.
//
// The tables are walked together in the order of their suffixes, so equal n-grams of any length stand side by side. A
// suffix is compared by its first `order` tokens only, and by none behind the end of its document.

#include "continuations.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lodex {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "offsets and tokens are read as little-endian integers");

constexpr std::size_t kPrefetchAhead = 24;
constexpr char kSubtractedFromNowhere[] = "documents are subtracted that no table holds";

/// A token as a number that compares as its bytes do; its own inverse.
inline std::uint8_t in_byte_order(std::uint8_t token) { return token; }
inline std::uint16_t in_byte_order(std::uint16_t token) { return __builtin_bswap16(token); }
inline std::uint32_t in_byte_order(std::uint32_t token) { return __builtin_bswap32(token); }

/// A SignedTable whose tokens are of type T.
template <typename T>
class Reader {
 public:
  static constexpr T kSeparator = T(~T(0));

  explicit Reader(const SignedTable& table) : table_(&table) {}

  std::size_t size() const { return table_->num_tokens; }
  int sign() const { return table_->sign; }
  const std::string& label() const { return table_->label; }

  /// The token at a position; the end of the stream is the separator that ends its last document.
  T token(std::size_t position) const {
    if (position >= table_->num_tokens) return kSeparator;
    T value;
    std::memcpy(&value, table_->text + position * sizeof(T), sizeof(T));
    return value;
  }

  /// The token before a position; what a stream starts with stands behind a separator.
  T token_before(std::size_t position) const { return position ? token(position - 1) : kSeparator; }

  std::size_t position(std::size_t rank) const {
    const std::uint64_t value = offset(rank);
    if (value >= table_->num_tokens * sizeof(T) || value % sizeof(T) != 0) {
      throw CorruptContinuations(label() + ": entry " + std::to_string(rank) + " holds " + std::to_string(value) +
                                 ", which is not the offset of a token of " + std::to_string(sizeof(T)) +
                                 " bytes in a stream of " + std::to_string(size() * sizeof(T)) + " bytes");
    }
    return value / sizeof(T);
  }

  /// Fetches the text of a rank that will be read soon.
  void prefetch(std::size_t rank) const { __builtin_prefetch(table_->text + offset(rank)); }

 private:
  std::uint64_t offset(std::size_t rank) const {
    const std::uint8_t* const from = table_->table + rank * table_->offset_bytes;
    std::uint64_t value = 0;
    if (table_->offset_bytes == 4) {
      std::memcpy(&value, from, 4);
    } else {
      std::memcpy(&value, from, table_->offset_bytes);
    }
    return value;
  }

  const SignedTable* table_;
};

// ------------------------------------------------------------------------------------------ the order of suffixes

/// One place of a stream: its first tokens, at most `order` and none behind a separator that ends its document.
template <typename T>
struct Place {
  std::vector<T> key;  // the tokens in byte order
  std::size_t length = 0;
  T before = 0;
  int sign = 0;
  bool ends_document = false;    // a separator stands here, and a document before it
  bool starts_something = true;  // false for the end of the stream, behind which nothing stands
};

template <typename T>
void read_place(const Reader<T>& reader, std::size_t position, std::size_t order, Place<T>& place) {
  constexpr T separator = Reader<T>::kSeparator;
  place.key.resize(order);
  place.sign = reader.sign();
  place.before = reader.token_before(position);
  place.starts_something = position < reader.size();
  const T first = reader.token(position);
  place.key[0] = in_byte_order(first);
  place.ends_document = first == separator && position > 0;
  std::size_t n = 1;
  if (place.starts_something) {
    for (T last = 0; n < order && last != separator; ++n) {
      last = reader.token(position + n);
      place.key[n] = in_byte_order(last);
    }
  }
  place.length = n;
}

template <typename T>
std::size_t common_tokens(const Place<T>& a, const Place<T>& b) {
  const std::size_t limit = std::min(a.length, b.length);
  std::size_t n = 0;
  while (n < limit && a.key[n] == b.key[n]) ++n;
  return n;
}

template <typename T>
bool is_before(const Place<T>& a, const Place<T>& b) {
  const std::size_t n = common_tokens(a, b);
  if (n == a.length || n == b.length) return a.length < b.length;
  return a.key[n] < b.key[n];
}

/// The places of a table in order, but for the last ones of the stream: a suffix that ends sorts before all that begin
/// with it, where the separator that stands for the end would sort behind them.
template <typename T>
class Cursor {
 public:
  Cursor(const Reader<T>& reader, std::size_t order) : reader_(reader), order_(order) {}

  Place<T> place;

  const std::string& label() const { return reader_.label(); }

  bool advance() {
    while (rank_ < reader_.size()) {
      if (rank_ + kPrefetchAhead < reader_.size()) reader_.prefetch(rank_ + kPrefetchAhead);
      const std::size_t position = reader_.position(rank_++);
      if (position + order_ > reader_.size()) continue;
      swap_keys();
      read_place(reader_, position, order_, place);
      if (has_previous_ && is_before(place, previous_)) {
        throw CorruptContinuations(label() + ": entry " + std::to_string(rank_ - 1) + " is out of order");
      }
      has_previous_ = true;
      return true;
    }
    return false;
  }

 private:
  void swap_keys() {
    std::swap(place.key, previous_.key);
    std::swap(place.length, previous_.length);
  }

  Reader<T> reader_;
  std::size_t order_;
  std::size_t rank_ = 0;
  Place<T> previous_;
  bool has_previous_ = false;
};

/// The places that cursors pass over: the last ones of every stream, and its end.
template <typename T>
std::vector<Place<T>> last_places(const std::vector<Reader<T>>& readers, std::size_t order) {
  std::vector<Place<T>> places;
  for (const Reader<T>& reader : readers) {
    if (reader.size() == 0) continue;
    for (std::size_t p = reader.size() - std::min(reader.size(), order - 1); p <= reader.size(); ++p) {
      places.emplace_back();
      read_place(reader, p, order, places.back());
    }
  }
  std::sort(places.begin(), places.end(), is_before<T>);
  return places;
}

// ------------------------------------------------------------------------------------------ counting

/// Sums by token, of which only those touched are looked at again.
class Sums {
 public:
  explicit Sums(std::size_t slots) : sums_(slots) {}

  void add(std::uint32_t slot, std::int64_t value) {
    if (sums_[slot] == 0) touched_.push_back(slot);
    sums_[slot] += value;
  }

  /// Adds everything to the other, if there is one, and starts again from zero. Returns how many sums were above it.
  std::int64_t move_to(Sums* other) {
    std::int64_t positive = 0;
    for (const std::uint32_t slot : touched_) {
      const std::int64_t sum = sums_[slot];
      if (sum == 0) continue;  // subtracted altogether, or touched twice because it had once come back to zero
      if (sum < 0) throw CorruptContinuations(kSubtractedFromNowhere);
      ++positive;
      sums_[slot] = 0;
      if (other != nullptr) other->add(slot, sum);
    }
    touched_.clear();
    return positive;
  }

 private:
  std::vector<std::int64_t> sums_;
  std::vector<std::uint32_t> touched_;
};

struct Follower {
  std::int64_t token;
  std::int64_t count;
};

void append(std::vector<Follower>& found, Followers& out) {
  std::sort(found.begin(), found.end(), [](const Follower& a, const Follower& b) { return a.token < b.token; });
  for (const Follower& follower : found) {
    out.tokens.push_back(follower.token);
    out.counts.push_back(follower.count);
  }
  out.offsets.push_back(std::int64_t(out.tokens.size()));
}

/// Counts n-grams of all orders while places come in order.
///
/// Of the present place each n-gram has a run of places that begin with it. A run of order n ends where one of order
/// n - 1 does at the latest, and hands its sums over to it.
template <typename T>
class Surveyor {
 public:
  Surveyor(std::size_t order, std::size_t vocab_size, std::int64_t frequent)
      : order_(order), vocab_size_(vocab_size), frequent_(frequent), occurrences_(order + 1), followers_(order + 1) {
    for (std::size_t n = 1; n < order; ++n) before_.emplace_back(vocab_size + 1);
    survey_.counts_of_counts.resize(order * 4);
  }

  void visit(const Place<T>& place) {
    const std::size_t common = common_tokens(run_, place);
    close_runs(common);
    run_.key.resize(order_);
    std::copy(place.key.begin() + std::ptrdiff_t(common), place.key.begin() + std::ptrdiff_t(place.length),
              run_.key.begin() + std::ptrdiff_t(common));
    run_.length = place.length;
    slot(in_byte_order(place.key[0]));  // every token is the first of some place, so all are checked
    if (place.starts_something) occurrences_[place.length] += place.sign;
    if (order_ == 1) return;
    if (in_byte_order(place.key[0]) != Reader<T>::kSeparator) {
      sums(std::min(place.length, order_ - 1)).add(slot(place.before), place.sign);
    } else if (place.ends_document) {
      sums(1).add(slot(place.before), place.sign);
    }
  }

  Survey finish() {
    close_runs(0);
    append(followers_[0], survey_.followers);
    survey_.context_offsets.push_back(std::int64_t(survey_.contexts.size()));
    return std::move(survey_);
  }

 private:
  Sums& sums(std::size_t n) { return before_[n - 1]; }

  std::uint32_t slot(T token) const {
    if (token == Reader<T>::kSeparator) return std::uint32_t(vocab_size_);
    if (token < vocab_size_) return token;
    throw CorruptContinuations("token " + std::to_string(token) + " is in the stream, the vocabulary has the ids [0, " +
                               std::to_string(vocab_size_) + ")");
  }

  /// Ends the runs that are longer than `common`, the longest first.
  void close_runs(std::size_t common) {
    for (std::size_t n = run_.length; n > common; --n) close_run(n);
    run_.length = std::min(run_.length, common);
  }

  void close_run(std::size_t n) {
    const std::int64_t occurrences = std::exchange(occurrences_[n], 0);
    if (occurrences < 0) throw CorruptContinuations(kSubtractedFromNowhere);
    const std::int64_t distinct_before = n < order_ ? sums(n).move_to(n > 1 ? &sums(n - 1) : nullptr) : 0;
    // Nothing stands before the start of a document: n-grams that hold it are counted by their occurrences.
    const bool at_start = n > 1 && in_byte_order(run_.key[0]) == Reader<T>::kSeparator;
    const std::int64_t count = n == order_ || at_start ? occurrences : distinct_before;
    if (count > 0) {
      if (count <= 4) ++survey_.counts_of_counts[(n - 1) * 4 + std::size_t(count) - 1];
      followers_[n - 1].push_back({std::int64_t(in_byte_order(run_.key[n - 1])), count});
    }
    if (n > 1) occurrences_[n - 1] += occurrences;
    if (occurrences >= frequent_ && !followers_[n].empty()) emit_context(n);
    followers_[n].clear();
  }

  void emit_context(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) survey_.contexts.push_back(std::int64_t(in_byte_order(run_.key[i])));
    survey_.context_offsets.push_back(std::int64_t(survey_.contexts.size()));
    append(followers_[n], survey_.followers);
  }

  std::size_t order_, vocab_size_;
  std::int64_t frequent_;
  Place<T> run_;
  std::vector<std::int64_t> occurrences_;         // of the open run of each order
  std::vector<Sums> before_;                      // by token, what stands before the open runs of orders 1 .. order - 1
  std::vector<std::vector<Follower>> followers_;  // of the open run of each order
  Survey survey_;
};

/// Calls `visit` with every place of every table, in order.
template <typename T, typename Visit>
void visit_places(const std::vector<SignedTable>& tables, std::size_t order, const Visit& visit) {
  const std::vector<Reader<T>> readers(tables.begin(), tables.end());
  const std::vector<Place<T>> last = last_places(readers, order);
  std::vector<Cursor<T>> cursors;
  for (const Reader<T>& reader : readers) cursors.emplace_back(reader, order);
  std::vector<Cursor<T>*> heap;
  for (Cursor<T>& cursor : cursors) {
    if (cursor.advance()) heap.push_back(&cursor);
  }
  const auto is_later = [](const Cursor<T>* a, const Cursor<T>* b) { return is_before(b->place, a->place); };
  std::make_heap(heap.begin(), heap.end(), is_later);
  auto next_last = last.begin();
  while (!heap.empty()) {
    Cursor<T>* const first = heap.front();
    for (; next_last != last.end() && is_before(*next_last, first->place); ++next_last) visit(*next_last);
    visit(first->place);
    const bool goes_on = first->advance();
    if (goes_on && heap.size() == 1) continue;
    std::pop_heap(heap.begin(), heap.end(), is_later);
    if (goes_on) {
      std::push_heap(heap.begin(), heap.end(), is_later);
    } else {
      heap.pop_back();
    }
  }
  for (; next_last != last.end(); ++next_last) visit(*next_last);
}

template <typename T>
Survey survey_typed(const std::vector<SignedTable>& tables, std::size_t vocab_size, std::size_t order,
                    std::int64_t frequent) {
  Surveyor<T> surveyor(order, vocab_size, frequent);
  visit_places<T>(tables, order, [&](const Place<T>& place) { surveyor.visit(place); });
  return surveyor.finish();
}

// ------------------------------------------------------------------------------------------ one context

/// Reads the token behind each place of a context, as the upper half of a number, and that before it as the lower.
template <typename T>
void read_sides(const Reader<T>& reader, std::size_t begin, std::size_t end, Context context,
                std::vector<std::uint64_t>& out) {
  for (std::size_t rank = begin; rank < end; ++rank) {
    if (rank + kPrefetchAhead < end) reader.prefetch(rank + kPrefetchAhead);
    const std::size_t position = reader.position(rank);
    const std::uint64_t behind = reader.token(position + context.depth);
    const std::uint64_t before = context.counts_occurrences ? 0 : reader.token_before(position);
    out.push_back(behind << 32 | before);
  }
}

template <typename T>
void append_followers_typed(const std::vector<SignedTable>& tables, const std::int64_t* begins,
                            const std::int64_t* ends, std::size_t stride, Context context,
                            std::vector<std::uint64_t> (&sides)[2], Followers& out) {
  auto& [added, subtracted] = sides;
  added.clear();
  subtracted.clear();
  for (std::size_t t = 0; t < tables.size(); ++t) {
    read_sides(Reader<T>(tables[t]), std::size_t(begins[t * stride]), std::size_t(ends[t * stride]), context,
               tables[t].sign > 0 ? added : subtracted);
  }
  std::sort(added.begin(), added.end());
  std::sort(subtracted.begin(), subtracted.end());
  const std::size_t from = out.tokens.size();
  std::size_t i = 0, j = 0;
  while (i < added.size()) {
    const std::uint64_t pair = added[i];
    std::int64_t sum = 0;
    for (; i < added.size() && added[i] == pair; ++i) ++sum;
    for (; j < subtracted.size() && subtracted[j] == pair; ++j) --sum;
    if (sum < 0 || (j < subtracted.size() && subtracted[j] < pair)) throw CorruptContinuations(kSubtractedFromNowhere);
    if (sum == 0) continue;
    const std::int64_t token = std::int64_t(pair >> 32), count = context.counts_occurrences ? sum : 1;
    if (out.tokens.size() > from && out.tokens.back() == token) {
      out.counts.back() += count;
    } else {
      out.tokens.push_back(token);
      out.counts.push_back(count);
    }
  }
  if (j < subtracted.size()) throw CorruptContinuations(kSubtractedFromNowhere);
  out.offsets.push_back(std::int64_t(out.tokens.size()));
}

}  // namespace

Survey survey(const std::vector<SignedTable>& tables, std::size_t token_bytes, std::size_t vocab_size,
              std::size_t order, std::int64_t frequent) {
  switch (token_bytes) {
    case 1: return survey_typed<std::uint8_t>(tables, vocab_size, order, frequent);
    case 2: return survey_typed<std::uint16_t>(tables, vocab_size, order, frequent);
    default: return survey_typed<std::uint32_t>(tables, vocab_size, order, frequent);
  }
}

void append_followers(const std::vector<SignedTable>& tables, std::size_t token_bytes, const std::int64_t* begins,
                      const std::int64_t* ends, std::size_t stride, Context context,
                      std::vector<std::uint64_t> (&scratch)[2], Followers& out) {
  switch (token_bytes) {
    case 1: return append_followers_typed<std::uint8_t>(tables, begins, ends, stride, context, scratch, out);
    case 2: return append_followers_typed<std::uint16_t>(tables, begins, ends, stride, context, scratch, out);
    default: return append_followers_typed<std::uint32_t>(tables, begins, ends, stride, context, scratch, out);
  }
}

}  // namespace lodex
