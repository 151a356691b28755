"""What the longest match in a corpus says of the next token.

Liu et al. 2024, Infini-gram (arXiv:2401.17377), section 2: the longest suffix of the context that occurs at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.index.ngrams import NgramIndex
from lodex.index.pacing import Check
from lodex.types import TokenDistribution

Ids = npt.NDArray[np.int64]

# Suffixes are short: one that fills this many tokens is looked for again among more.
_FIRST_TOKENS = 32
_GROWTH = 8


@dataclass(frozen=True, slots=True)
class Continuations:
    """What the longest suffixes say of the tokens that came, (n,).

    `probabilities` float64 are 0 where a token never follows, `suffix_lengths` int64 the tokens of the suffix.
    `is_single` tells where the suffix has one continuation alone, `is_known` where the corpus has any token at all.
    """

    probabilities: npt.NDArray[np.float64]
    suffix_lengths: Ids
    is_single: npt.NDArray[np.bool_]
    is_known: npt.NDArray[np.bool_]


def next_distribution(index: NgramIndex, ids: Sequence[int]) -> TokenDistribution:
    """The distribution of the token that follows the tokens of a document.

    The document begins with an EOS: at its start that is the longest suffix, and what begins documents is given.
    """
    document = _document(index, ids)
    longest = _FIRST_TOKENS
    while True:
        prompt = document[-longest:]
        (found,) = index.infgram_ntd([[prompt]])
        if found.suffix_length < len(prompt) or len(prompt) == len(document):
            return found
        longest *= _GROWTH


def score_continuations(index: NgramIndex, ids: Sequence[int], check: Check | None = None) -> Continuations:
    """What `next_distribution` gives each token of a document after those before it, in one sweep over it."""
    document = _document(index, ids)
    lengths, wholes, parts = index.infgram_counts(ids, check=check)
    is_single = (wholes == 1) | ((wholes > 0) & (wholes == parts))
    # A token that came is the only one or not by its count; where it never came, the others must be looked at.
    unseen = np.flatnonzero((wholes > 1) & (parts == 0))
    suffixes = [[document[i + 1 - lengths[i] : i + 1]] for i in unseen.tolist()]
    is_single[unseen] = [found.distinct == 1 for found in index.ntd(suffixes, top_k=1)]
    return Continuations(parts / np.maximum(wholes, 1), lengths, is_single, wholes > 0)


def _document(index: NgramIndex, ids: Sequence[int]) -> Ids:
    return np.concatenate([np.array([index.tokenizer.eos_id], np.int64), np.asarray(ids, np.int64)])


def is_empty(distribution: TokenDistribution) -> bool:
    """Whether nothing is known: an index without tokens."""
    return distribution.prompt_count == 0


def is_single(distribution: TokenDistribution) -> bool:
    """Whether the suffix has one continuation alone: Liu et al. call such an estimate sparse."""
    return distribution.distinct == 1
