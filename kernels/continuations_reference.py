"""The plain twin of continuations.cpp: the same counts by looking at every place of every document."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Ngram = tuple[int, ...]


class Continuations:
    """Signed streams as one corpus. Every document reads separator, tokens, separator. See `_continuations.pyi`."""

    def __init__(self, streams: Sequence[Tokens], signs: Sequence[int]) -> None:
        self.separator = int(np.iinfo(streams[0].dtype).max)
        self._documents: Counter[Ngram] = Counter()
        for stream, sign in zip(streams, signs, strict=True):
            for document in self._split(stream):
                self._documents[document] += sign
        assert min(self._documents.values(), default=0) >= 0

    def _split(self, stream: Tokens) -> list[Ngram]:
        starts = np.flatnonzero(stream == self.separator).tolist()
        return [(*map(int, stream[start:end]), self.separator) for start, end in pairwise([*starts, len(stream)])]

    def occurrences(self, n: int) -> Counter[Ngram]:
        """How often each n-gram occurs. As a single token the separator is the one that ends a document."""
        found: Counter[Ngram] = Counter()
        for document, times in self._documents.items():
            for start in range(1 if n == 1 else 0, len(document) - n + 1):
                found[document[start : start + n]] += times
        return +found

    def counts(self, n: int, order: int) -> Counter[Ngram]:
        """The count of each n-gram in a model of an order: its occurrences, or the distinct tokens before it."""
        occurrences = self.occurrences(n)
        if n == order:
            return occurrences
        before = Counter(longer[1:] for longer in self.occurrences(n + 1))
        at_start = {g: times for g, times in occurrences.items() if n > 1 and g[0] == self.separator}
        return before | Counter(at_start)

    def counts_of_counts(self, order: int) -> list[list[int]]:
        """For each order how many n-grams have the counts 1, 2, 3 and 4."""
        return [
            [sum(value == wanted for value in self.counts(n, order).values()) for wanted in (1, 2, 3, 4)]
            for n in range(1, order + 1)
        ]

    def followers(self, length: int, order: int) -> dict[Ngram, dict[int, int]]:
        """What follows each context of a length, with the counts in a model of an order."""
        found: dict[Ngram, dict[int, int]] = defaultdict(dict)
        for ngram, count in sorted(self.counts(length + 1, order).items()):
            found[ngram[:-1]][ngram[-1]] = count
        return dict(found)
