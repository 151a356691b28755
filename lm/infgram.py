"""What the longest match in a corpus says of the next token.

Liu et al. 2024, Infini-gram (arXiv:2401.17377), section 2: the longest suffix of the context that occurs at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lodex.index.ngrams import NgramIndex
from lodex.types import TokenDistribution

# Suffixes are short: one that fills this many tokens is looked for again among more.
_FIRST_TOKENS = 32
_GROWTH = 8


def next_distributions(index: NgramIndex, ids: Sequence[int], places: Sequence[int]) -> list[TokenDistribution]:
    """The distribution of token i of a document after its tokens before, for each i of `places`.

    The document begins with an EOS: at its start that is the longest suffix, and what begins documents is given.
    """
    eos = index.tokenizer.eos_id
    document = np.concatenate([np.array([eos], np.int64), np.asarray(ids, np.int64)])
    answers: dict[int, TokenDistribution] = {}
    waiting = list(places)
    longest = _FIRST_TOKENS
    while waiting:
        # Token i of the text stands at i + 1 of the document, behind its context.
        prompts = [[document[max(0, i + 1 - longest) : i + 1]] for i in waiting]
        unsure = []
        for i, (prompt,), found in zip(waiting, prompts, index.infgram_ntd(prompts), strict=True):
            answers[i] = found
            if found.suffix_length == len(prompt) < i + 1:
                unsure.append(i)
        waiting, longest = unsure, longest * _GROWTH
    return [answers[i] for i in places]


def probability_of(distribution: TokenDistribution, token: int) -> float:
    """The probability of one token, 0 where it never follows."""
    places = np.flatnonzero(distribution.token_ids == token)
    if not len(places) or not distribution.prompt_count:
        return 0.0
    return int(distribution.counts[places[0]]) / distribution.prompt_count


def is_empty(distribution: TokenDistribution) -> bool:
    """Whether nothing is known: an index without tokens."""
    return distribution.prompt_count == 0


def is_single(distribution: TokenDistribution) -> bool:
    """Whether the suffix has one continuation alone: Liu et al. call such an estimate sparse."""
    return distribution.distinct == 1
