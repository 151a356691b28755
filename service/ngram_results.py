"""Answers about n-grams, written into the results of a reply."""

from __future__ import annotations

import numpy as np

from lodex.service import messages
from lodex.types import (
    Count,
    Found,
    InfgramProbability,
    InfgramScores,
    LongestMatches,
    Occurrence,
    Occurrences,
    Probability,
    TokenDistribution,
    Trace,
)
from lodex.v1 import ngram_pb2


def write_count(found: Count, result: ngram_pb2.CountResult) -> None:
    """How often a query occurs, and the sequences that were counted."""
    result.count = found.count
    for token_ids in found.token_ids:
        result.variants.add().token_ids.extend(token_ids)
    result.approximate = found.approximate
    result.standard_error = found.standard_error


def write_probability(found: Probability, result: ngram_pb2.ProbResult) -> None:
    """A probability, absent where it is undefined."""
    if found.probability is not None:
        result.probability = found.probability
    result.prompt_count = found.prompt_count
    result.continuation_count = found.continuation_count


def write_infgram_probability(found: InfgramProbability, result: ngram_pb2.InfgramProbResult) -> None:
    """A probability after the longest suffix of a prompt."""
    if found.probability is not None:
        result.probability = found.probability
    result.prompt_count = found.prompt_count
    result.continuation_count = found.continuation_count
    result.suffix_length = found.suffix_length


def write_distribution(found: TokenDistribution, message: ngram_pb2.TokenDistribution) -> None:
    """What follows a prompt: its tokens and their counts as tensors."""
    message.token_ids.CopyFrom(messages.tensor(found.token_ids.astype(np.uint32)))
    message.counts.CopyFrom(messages.tensor(found.counts.astype(np.int64)))
    message.prompt_count = found.prompt_count
    message.distinct = found.distinct
    message.suffix_length = found.suffix_length
    message.complete = len(found.token_ids) == found.distinct


def write_occurrences(found: Occurrences, result: ngram_pb2.SearchDocsResult) -> None:
    """One page of documents that hold an n-gram."""
    result.count = found.count
    result.occurrences.extend(map(messages.occurrence, found.occurrences))
    result.next_page_token = found.next_page_token
    if found.documents is not None:
        result.documents = found.documents
    result.documents_approximate = found.documents_approximate


def write_scores(found: InfgramScores, result: ngram_pb2.InfgramScoreResult) -> None:
    """The ∞-gram log-probability of each token of a text."""
    result.token_ids.CopyFrom(messages.tensor(found.token_ids.astype(np.uint32)))
    result.log_probabilities.CopyFrom(messages.tensor(found.log_probabilities))
    result.suffix_lengths.CopyFrom(messages.tensor(found.suffix_lengths.astype(np.int32)))
    result.suffix_counts.CopyFrom(messages.tensor(found.suffix_counts.astype(np.int64)))


def write_longest_matches(found: LongestMatches, result: ngram_pb2.LongestMatchesResult) -> None:
    """The longest match from each token of a text."""
    result.token_ids.CopyFrom(messages.tensor(found.token_ids.astype(np.uint32)))
    result.lengths.CopyFrom(messages.tensor(found.lengths.astype(np.int32)))
    result.counts.CopyFrom(messages.tensor(found.counts.astype(np.int64)))


def write_trace(found: Trace, result: ngram_pb2.TraceResult) -> None:
    """The spans of a text, each with its documents."""
    result.token_ids.CopyFrom(messages.tensor(found.token_ids.astype(np.uint32)))
    for span in found.spans:
        result.spans.add(
            begin=span.begin,
            end=span.end,
            begin_byte=span.begin_byte,
            end_byte=span.end_byte,
            text=span.text,
            count=span.count,
            unigram_log_probability=span.unigram_log_probability,
            occurrences=map(messages.occurrence, span.occurrences),
        )


def write_ranks(found: Found, result: ngram_pb2.FindResult) -> None:
    """Where an n-gram stands in the suffix array of each segment."""
    result.count = found.count
    for ranks in found.ranges:
        result.ranges.add(segment_id=ranks.segment_id, begin=ranks.begin, end=ranks.end)


def write_located(found: Occurrence, result: ngram_pb2.LocateResult) -> None:
    """The place in a document that a rank stands for."""
    result.occurrence.CopyFrom(messages.occurrence(found))
