// Suffix tables as one corpus: sums of signed counts, longest suffixes, and every place of a text in one sweep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "suffix_search.h"

namespace lodex {

/// Tokens as bytes, with what a Query needs behind them.
using QueryBytes = std::vector<std::uint8_t>;

/// Called now and then by what may take long; it may throw to end it.
using Poll = std::function<void()>;

/// The longest suffix of a context, how often it occurs, and how often with what came next.
struct Continued {
  std::int64_t suffix_length, prompt_count, count;
};

/// Tables of which each adds (+1) or subtracts (-1) what it holds; they are borrowed, and have tokens of one width.
///
/// `closed`: each stream reads as if a separator (all bits set) stood at its end, and a run that has one inside of it
/// occurs nowhere. Lengths are in tokens.
class Corpus {
 public:
  struct Member {
    const SuffixTable* table;
    int sign;
  };

  Corpus(std::vector<Member> members, bool closed);

  std::size_t token_bytes() const { return token_bytes_; }
  std::int64_t size() const { return size_; }

  std::int64_t count(const Query& query) const;
  void count_many(const Query* queries, std::size_t count, std::int64_t* out) const;

  /// Counts of the first `prompt_bytes` of a query, and of all of it.
  Continued prob(const Query& query, std::size_t prompt_bytes) const;
  void prob_many(const Query* queries, const Query* prompts, std::size_t count, std::int64_t* prompt_counts,
                 std::int64_t* counts) const;
  /// The same after the longest suffix of the prompt.
  Continued infgram_prob(const Query& query, std::size_t prompt_bytes, std::int64_t min_support,
                         std::size_t max_length) const;

  /// How often each token follows, ascending, those that do.
  void next_tokens(const Query& prompt, std::vector<NextToken>& out) const;

  void longest_suffixes(const Query* queries, std::size_t count, std::int64_t min_support, std::size_t max_length,
                        std::int64_t* out) const;

  /// From each token the length of the longest run that occurs.
  void match_lengths(const Query& text, std::int64_t min_support, std::int64_t* lengths, const Poll& poll) const;
  /// Occurrences of the runs of these lengths that begin at each token; 0 for a run of none.
  void count_matches(const Query& text, const std::int64_t* lengths, std::int64_t* counts, const Poll& poll) const;
  /// For each token the longest suffix of what stands before it.
  void score(const Query& text, std::int64_t min_support, std::size_t max_length, Continued* out,
             const Poll& poll) const;

 private:
  bool is_separator(const std::uint8_t* token) const;
  bool has_separator(const std::uint8_t* begin, const std::uint8_t* end) const;
  /// Whether a query can match at all.
  bool is_possible(const Query& query) const;
  /// Whether something can follow a prompt.
  bool can_be_followed(const Query& prompt) const;
  /// 1 if the end of the stream is the separator that the query ends with.
  int closes(const SuffixTable& table, const Query& query) const;
  /// What stands behind the last separator, itself included.
  Query last_document(const Query& query) const;
  void have_support(const Query* queries, std::size_t count, std::int64_t min_support, bool* out) const;
  std::vector<std::size_t> limits(const Query& text) const;
  bool is_plain(std::int64_t min_support) const { return min_support <= 1 && !subtracts_; }
  void match_starts(const Query& text, const std::vector<std::size_t>& limits, const std::vector<std::size_t>& starts,
                    std::int64_t min_support, std::int64_t* lengths, const Poll& poll) const;
  void follow_long_matches(const Query& text, const std::vector<std::size_t>& limits,
                           const std::vector<std::size_t>& starts, std::int64_t min_support, std::int64_t* lengths,
                           const Poll& poll) const;
  void match_prefixes(const std::vector<Query>& queries, std::int64_t* lengths) const;
  void lower_to_support(const std::vector<Query>& queries, std::int64_t min_support, std::int64_t* lengths) const;
  void count_in_turn(const std::vector<Query>& queries, std::int64_t* out, const Poll& poll) const;
  std::size_t furthest_end(const Query& text, std::size_t begin, std::size_t end, std::size_t limit,
                           std::int64_t min_support) const;

  std::vector<Member> members_;
  bool closed_;
  bool subtracts_ = false;
  std::size_t token_bytes_;
  std::int64_t size_ = 0;
};

}  // namespace lodex
