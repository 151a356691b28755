"""Queries made of passages: a title, a sentence, some words; what is shown of the passage beside them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lodex.rerank.training.pool import PooledPassage

_MAX_WORDS = 24
_MAX_CHARACTERS = 160
_MIN_WORDS = 4
_SHOWN_CHARACTERS = 600
_SHARE_BEFORE = 0.25


class Kind(IntEnum):
    """Where a query comes from."""

    TITLE = 0
    """The title of the document, which is not shown."""
    REMOVED = 1
    """A sentence of the passage, which is taken out of it (inverse cloze: Lee et al. 2019, arXiv:1906.00300)."""
    KEPT = 2
    """A sentence of the passage, which stays in it."""
    WORDS = 3
    """Some words of a sentence that stays in the passage, in their order."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A passage as it is shown, and a query that it answers."""

    shown: str
    query: str
    kind: Kind


# How often each kind is drawn, in the order of `Kind`.
EASY = (0.0, 0.0, 0.5, 0.5)
MIXED = (0.25, 0.25, 0.15, 0.35)


def draw(passage: PooledPassage, shares: tuple[float, ...], rng: np.random.Generator) -> Drawn:
    """Draw a query of a passage, and where the passage is cut, by the same rule for every passage.

    Kinds that a passage does not allow (no title, no second sentence) become `WORDS`.
    """
    kind = Kind(int(rng.choice(len(shares), p=shares)))
    sentences = passage.sentences
    long = [i for i, sentence in enumerate(sentences) if len(sentence.split()) >= _MIN_WORDS]
    chosen = int(rng.choice(long)) if long else 0
    if kind is Kind.TITLE and passage.title:
        rest = " ".join(sentences).removeprefix(passage.title).lstrip(" ():,.-")
        if len(rest.split()) >= _MIN_WORDS:
            return Drawn(rest[:_SHOWN_CHARACTERS], first_words(passage.title), kind)
    # Passages are cut short: with more before it, the sentence itself would often not be shown.
    begin = max(0, chosen - int(rng.random() < _SHARE_BEFORE))
    if kind is Kind.REMOVED:
        around = [*sentences[begin:chosen], *sentences[chosen + 1 :]] or list(sentences[:chosen])
        if sum(len(sentence.split()) for sentence in around) >= _MIN_WORDS:
            return Drawn(" ".join(around)[:_SHOWN_CHARACTERS], first_words(sentences[chosen]), kind)
    shown = " ".join(sentences[begin:])[:_SHOWN_CHARACTERS]
    if kind is Kind.KEPT:
        return Drawn(shown, first_words(sentences[chosen]), kind)
    return Drawn(shown, some_words(sentences[chosen], rng), Kind.WORDS)


def first_words(sentence: str) -> str:
    """The sentence, at most 24 words and 160 characters of it."""
    return " ".join(sentence[:_MAX_CHARACTERS].split()[:_MAX_WORDS])


def some_words(text: str, rng: np.random.Generator) -> str:
    """Two to seven words of a text in their order, long ones where there are enough."""
    words = [word.strip(".,;:!?\"'()[]") for word in text[:_MAX_CHARACTERS].split()[:_MAX_WORDS]]
    words = list(dict.fromkeys(word for word in words if word)) or [text.strip()]
    long = [word for word in words if len(word) > 3]
    usable = long if len(long) >= 2 else words
    count = min(len(usable), int(rng.integers(2, 8)))
    chosen = np.sort(rng.choice(len(usable), count, replace=False))
    return " ".join(usable[i] for i in chosen)
