"""What the longest match in a corpus says of the next token.

Liu et al. 2024, Infini-gram (arXiv:2401.17377), section 2: the longest suffix of the context that occurs at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lodex.index.ngrams import NgramIndex
from lodex.types import InfgramProbability, TokenDistribution

Ids = npt.NDArray[np.int64]
Prompts = Sequence[Sequence[Ids]]
Found = TypeVar("Found", TokenDistribution, InfgramProbability)

# Suffixes are short: one that fills this many tokens is looked for again among more.
_FIRST_TOKENS = 32
_GROWTH = 8


@dataclass(frozen=True, slots=True)
class Continuation:
    """What the longest suffix says of the token that came: its probability, 0 where it never follows.

    `is_single` tells that the suffix has one continuation alone, `is_known` that the corpus has any token at all.
    """

    probability: float
    suffix_length: int
    is_single: bool
    is_known: bool


def next_distributions(index: NgramIndex, ids: Sequence[int], places: Sequence[int]) -> list[TokenDistribution]:
    """The distribution of token i of a document after its tokens before, for each i of `places`.

    The document begins with an EOS: at its start that is the longest suffix, and what begins documents is given.
    """
    document = _document(index, ids)
    return _widening(document, places, lambda prompts, _: index.infgram_ntd(prompts))


def score_continuations(index: NgramIndex, ids: Sequence[int], places: Sequence[int]) -> list[Continuation]:
    """What `next_distributions` gives the very tokens of the document, at the cost of counting them alone."""
    document = _document(index, ids)

    def ask(prompts: Prompts, at: Sequence[int]) -> list[InfgramProbability]:
        return index.infgram_prob(prompts, [[document[i + 1 : i + 2]] for i in at])

    found = dict(zip(places, _widening(document, places, ask), strict=True))
    # A token that came is the only one or not by its count; where it never came, the others must be looked at.
    unseen = [i for i, one in found.items() if one.prompt_count > 1 and not one.continuation_count]
    suffixes = [[document[i + 1 - found[i].suffix_length : i + 1]] for i in unseen]
    singles = dict(zip(unseen, (d.distinct == 1 for d in index.ntd(suffixes, top_k=1)), strict=True))
    return [
        Continuation(
            probability=one.probability or 0.0,
            suffix_length=one.suffix_length,
            is_single=singles.get(i, one.prompt_count in (1, one.continuation_count)),
            is_known=one.prompt_count > 0,
        )
        for i, one in found.items()
    ]


def _document(index: NgramIndex, ids: Sequence[int]) -> Ids:
    return np.concatenate([np.array([index.tokenizer.eos_id], np.int64), np.asarray(ids, np.int64)])


def _widening(
    document: Ids, places: Sequence[int], ask: Callable[[Prompts, Sequence[int]], list[Found]]
) -> list[Found]:
    """What `ask` gives for the context of each place, of which it sees more only where a match may be longer."""
    answers: dict[int, Found] = {}
    waiting = list(places)
    longest = _FIRST_TOKENS
    while waiting:
        # Token i of the text stands at i + 1 of the document, behind its context.
        prompts = [[document[max(0, i + 1 - longest) : i + 1]] for i in waiting]
        unsure = []
        for i, (prompt,), found in zip(waiting, prompts, ask(prompts, waiting), strict=True):
            answers[i] = found
            if found.suffix_length == len(prompt) < i + 1:
                unsure.append(i)
        waiting, longest = unsure, longest * _GROWTH
    return [answers[i] for i in places]


def is_empty(distribution: TokenDistribution) -> bool:
    """Whether nothing is known: an index without tokens."""
    return distribution.prompt_count == 0


def is_single(distribution: TokenDistribution) -> bool:
    """Whether the suffix has one continuation alone: Liu et al. call such an estimate sparse."""
    return distribution.distinct == 1
