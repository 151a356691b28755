"""The plain twin of suffix_corpus.cpp: the same answers by looking at every place of every stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]
Query = Sequence[int] | npt.NDArray[np.integer[Any]]


class Corpus:
    """Signed streams as one corpus, each a list of tokens. See `_suffix.pyi`; streams come in the place of tables."""

    def __init__(self, streams: Sequence[Tokens], signs: Sequence[int], closed: bool = True) -> None:
        self.dtype = streams[0].dtype
        self.separator = int(np.iinfo(self.dtype).max)
        self.closed = closed
        self._texts = [[*map(int, stream), self.separator] for stream in streams]
        self._signs = list(signs)
        # Tokens as characters: Python finds strings in strings faster than lists in lists.
        known = sorted({token for text in self._texts for token in text})
        self._characters = {token: chr(i + 1) for i, token in enumerate(known)}
        ends = None if closed else -1
        self._strings = ["".join(self._characters[token] for token in text[:ends]) for text in self._texts]

    def __len__(self) -> int:
        return sum(sign * (len(text) - 1) for sign, text in zip(self._signs, self._texts, strict=True))

    # ------------------------------------------------------------------------------------ one query

    def count(self, query: Query) -> int:
        """Occurrences, those of streams of sign -1 subtracted."""
        needle = [*map(int, query)]
        if self.closed and self.separator in needle[1:-1]:
            return 0
        string = "".join(self._characters.get(token, chr(0)) for token in needle)
        return sum(
            sign * _occurrences(text, string, len(tokens) - 1)
            for sign, text, tokens in zip(self._signs, self._strings, self._texts, strict=True)
        )

    def prob(self, prompt: Query, continuation: Query) -> tuple[int, int]:
        """Occurrences of the prompt, and of it with the continuation."""
        before = [*map(int, prompt)]
        if self.closed and self.separator in before[1:]:
            return 0, 0
        return self.count(before), self.count([*before, *map(int, continuation)])

    def next_tokens(self, prompt: Query) -> tuple[Int64s, Int64s]:
        """The tokens that follow, ascending, and their counts."""
        before = [*map(int, prompt)]
        found: Counter[int] = Counter()
        if not (self.closed and self.separator in before[1:]):
            for sign, text in zip(self._signs, self._texts, strict=True):
                for start in range(len(text) - 1):
                    if text[start : start + len(before)] == before and start + len(before) < len(text):
                        found[text[start + len(before)]] += sign
        kept = sorted((token, count) for token, count in found.items() if count)
        return np.array([t for t, _ in kept], np.int64), np.array([c for _, c in kept], np.int64)

    def longest_suffix(self, query: Query, min_support: int = 1, max_length: int | None = None) -> int:
        """Tokens of the longest suffix that occurs `min_support` times."""
        needle = [*map(int, query)]
        if self.closed:
            while self.separator in needle[1:]:
                needle = needle[1:]
        longest = len(needle) if max_length is None else min(max_length, len(needle))
        for length in range(longest, 0, -1):
            if self.count(needle[len(needle) - length :]) >= min_support:
                return length
        return 0

    def infgram_prob(
        self, prompt: Query, continuation: Query, min_support: int = 1, max_length: int | None = None
    ) -> tuple[int, int, int]:
        """The length of the longest suffix, its occurrences, and those with the continuation."""
        length = self.longest_suffix(prompt, min_support, max_length)
        before = [*map(int, prompt)][len(prompt) - length :]
        return (length, *self.prob(before, continuation))

    # ------------------------------------------------------------------------------------ every place of a text

    def longest_matches(self, tokens: Query, min_support: int = 1) -> tuple[Int64s, Int64s]:
        """From each token the length of the longest run that occurs, and its occurrences."""
        text = [*map(int, tokens)]
        lengths, counts = [], []
        for start in range(len(text)):
            length = 0
            while start + length < len(text) and self.count(text[start : start + length + 1]) >= min_support:
                length += 1
            lengths.append(length)
            counts.append(self.count(text[start : start + length]) if length else 0)
        return np.array(lengths, np.int64), np.array(counts, np.int64)

    def match_lengths(self, tokens: Query, min_support: int = 1) -> Int64s:
        """The lengths of `longest_matches` alone."""
        return self.longest_matches(tokens, min_support)[0]

    def score(
        self, tokens: Query, min_support: int = 1, max_length: int | None = None
    ) -> tuple[Int64s, Int64s, Int64s]:
        """For each token what `infgram_prob` gives it after all tokens before it."""
        text = [*map(int, tokens)]
        rows = [self.infgram_prob(text[:i], text[i : i + 1], min_support, max_length) for i in range(len(text))]
        table = np.array(rows, np.int64).reshape(-1, 3)
        return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()

    # ------------------------------------------------------------------------------------ batches

    def count_many(self, queries: Tokens, offsets: Int64s) -> Int64s:
        """`count` of each query."""
        return np.array([self.count(query) for query in _split(queries, offsets)], np.int64)

    def prob_many(self, queries: Tokens, offsets: Int64s, continuation_lengths: Int64s) -> tuple[Int64s, Int64s]:
        """`prob` of each query, whose last tokens are the continuation."""
        pairs = zip(_split(queries, offsets), continuation_lengths.tolist(), strict=True)
        rows = [self.prob(query[: len(query) - n], query[len(query) - n :]) for query, n in pairs]
        table = np.array(rows, np.int64).reshape(-1, 2)
        return table[:, 0].copy(), table[:, 1].copy()

    def infgram_prob_many(
        self,
        queries: Tokens,
        offsets: Int64s,
        continuation_lengths: Int64s,
        min_support: int = 1,
        max_length: int | None = None,
    ) -> tuple[Int64s, Int64s, Int64s]:
        """`infgram_prob` of each query, whose last tokens are the continuation."""
        pairs = zip(_split(queries, offsets), continuation_lengths.tolist(), strict=True)
        rows = [
            self.infgram_prob(query[: len(query) - n], query[len(query) - n :], min_support, max_length)
            for query, n in pairs
        ]
        table = np.array(rows, np.int64).reshape(-1, 3)
        return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()

    def next_tokens_many(self, queries: Tokens, offsets: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """`next_tokens` of each query: tokens, counts, and offsets into both."""
        found = [self.next_tokens(query) for query in _split(queries, offsets)]
        empty = [np.empty(0, np.int64)]
        bounds = np.cumsum([0, *(len(tokens) for tokens, _ in found)], dtype=np.int64)
        return np.concatenate(empty + [t for t, _ in found]), np.concatenate(empty + [c for _, c in found]), bounds

    def longest_suffix_many(
        self, queries: Tokens, offsets: Int64s, min_support: int = 1, max_length: int | None = None
    ) -> Int64s:
        """`longest_suffix` of each query."""
        return np.array(
            [self.longest_suffix(query, min_support, max_length) for query in _split(queries, offsets)], np.int64
        )


def _occurrences(text: str, needle: str, stop: int) -> int:
    """Places before `stop` where a needle stands, also where they overlap."""
    found, at = 0, text.find(needle)
    while 0 <= at < stop:
        found, at = found + 1, text.find(needle, at + 1)
    return found


def _split(queries: Tokens, offsets: Int64s) -> list[list[int]]:
    return [queries[begin:end].tolist() for begin, end in pairwise(offsets)]
