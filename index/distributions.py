"""Distributions of the next token after groups of token sequences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lodex.index.ngram_queries import Vocabulary, pack, require
from lodex.index.tokenizer import TokenIds
from lodex.kernels._suffix import Corpus
from lodex.types import TokenDistribution

Int64s = npt.NDArray[np.int64]
Group = Sequence[TokenIds]
"""Token sequences that are counted together, as streams write them."""


def distributions(
    corpus: Corpus, vocabulary: Vocabulary, groups: Sequence[Group], lengths: Sequence[int], top_k: int | None
) -> list[TokenDistribution]:
    """What follows each group, most frequent first, equal counts by id: all, or the `top_k` first.

    `lengths` are the lengths that the answers give to the groups.
    """
    require(top_k is None or top_k > 0, f"top_k must be positive, got {top_k}", "top_k")
    sequences = [tokens for group in groups for tokens in group]
    tokens, counts, offsets = corpus.next_tokens_many(*pack(sequences, vocabulary.dtype))
    ids = np.where(tokens == vocabulary.separator, vocabulary.eos_id, tokens)
    of_sequence = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    owner = np.repeat(of_sequence, np.diff(offsets))
    if len(sequences) > len(groups):
        owner, ids, counts = _sum_equal(owner, ids, counts)
    bounds = np.searchsorted(owner, np.arange(len(groups) + 1)).tolist()
    answers = []
    for length, (begin, end) in zip(lengths, pairwise(bounds), strict=True):
        kept = begin + np.lexsort((ids[begin:end], -counts[begin:end]))[:top_k]
        total = int(counts[begin:end].sum())
        answers.append(TokenDistribution(ids[kept], counts[kept], total, end - begin, length))
    return answers


def _sum_equal(owner: Int64s, ids: Int64s, counts: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Add up the counts of equal (owner, id), sorted by both."""
    order = np.lexsort((ids, owner))
    owner, ids, counts = owner[order], ids[order], counts[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (owner[1:] != owner[:-1]) | (ids[1:] != ids[:-1])
    firsts = np.flatnonzero(is_first)
    return owner[firsts], ids[firsts], np.add.reduceat(counts, firsts) if len(firsts) else counts
