"""Answers about n-grams, written into the results of a reply."""

from __future__ import annotations

import numpy as np

from lodex.service import messages
from lodex.types import Count, InfgramProbability, Occurrences, Probability, TokenDistribution
from lodex.v1 import ngram_pb2


def write_count(found: Count, result: ngram_pb2.CountResult) -> None:
    """How often an n-gram occurs, and the sequences that were counted."""
    result.count = found.count
    for token_ids in found.token_ids:
        result.variants.add().token_ids.extend(token_ids)


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
