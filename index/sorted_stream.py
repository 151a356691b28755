"""A token stream and its sorted suffixes: where token sequences occur, how often, and what follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.index.tokenizer import TokenIds
from lodex.kernels._suffix import END_OF_STREAM, SuffixTable

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Needles:
    """A batch of token sequences to look for, as the stream writes them: its dtype, its separator.

    Needle i is `tokens[offsets[i]:offsets[i + 1]]`.
    """

    tokens: TokenIds
    offsets: Int64s

    @classmethod
    def of(cls, sequences: Sequence[TokenIds], dtype: np.dtype[Any]) -> Needles:
        """Pack sequences of `dtype`, any number of them and of any length."""
        offsets = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum([len(sequence) for sequence in sequences], out=offsets[1:])
        return cls(np.concatenate([np.empty(0, dtype), *sequences]), offsets)

    @property
    def lengths(self) -> Int64s:
        """Tokens of each needle."""
        return np.diff(self.offsets)

    def suffixes(self, chosen: Int64s, lengths: Int64s) -> Needles:
        """The last `lengths[i]` tokens of each needle `chosen[i]`."""
        ends = self.offsets[chosen + 1].tolist()
        pairs = zip(ends, lengths.tolist(), strict=True)
        return Needles.of([self.tokens[end - length : end] for end, length in pairs], self.tokens.dtype)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> TokenIds:
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]


class SortedStream:
    """Documents as one run of tokens, with their suffixes in order.

    There is a separator before each document and none after the last, whose end counts as one all the same: every
    document reads separator, tokens, separator, whatever stands beside it. A needle holds the separator at its ends
    only: inside of one it would match two documents that merely stand side by side.
    """

    def __init__(self, tokens: TokenIds, table: npt.NDArray[np.uint8], label: str) -> None:
        self.tokens = tokens
        self.separator = int(np.iinfo(tokens.dtype).max)
        self._suffixes = SuffixTable(tokens, table, label)

    def count(self, needles: Needles) -> Int64s:
        """How often each needle occurs, (needles,); an empty one occurs once at every token and separator."""
        begins, ends = self._suffixes.find(needles.tokens, needles.offsets)
        counts: Int64s = ends - begins
        longer = np.flatnonzero(needles.lengths > 1)
        for i in longer[needles.tokens[needles.offsets[longer + 1] - 1] == self.separator]:
            counts[i] += self._closes(needles[i])
        return counts

    def longest_suffixes(self, needles: Needles) -> Int64s:
        """Tokens of the longest suffix of each needle that occurs, (needles,). No needle of two or more ends in one."""
        return self._suffixes.longest_suffixes(needles.tokens, needles.offsets)

    def next_tokens(self, needles: Needles) -> tuple[Int64s, Int64s, Int64s]:
        """What follows each needle: tokens, their counts, and offsets (needles + 1,) into both.

        The separator may be given twice for a needle: where the last document ends, and where others do.
        """
        begins, ends = self._suffixes.find(needles.tokens, needles.offsets)
        tokens, counts, offsets = self._suffixes.next_tokens(begins, ends, needles.lengths)
        return np.where(tokens == END_OF_STREAM, self.separator, tokens), counts, offsets

    def positions(self, needle: TokenIds) -> Int64s:
        """Where in the stream a needle occurs, in no order."""
        begins, ends = self._suffixes.find(needle, np.array([0, len(needle)], np.int64))
        positions = self._suffixes.positions(int(begins[0]), int(ends[0]))
        return np.append(positions, len(self.tokens) - len(needle) + 1) if self._closes(needle) else positions

    def _closes(self, needle: TokenIds) -> bool:
        """Whether the end of the stream is the separator with which a needle of two tokens or more ends."""
        before = len(needle) - 1
        return bool(
            0 < before <= len(self.tokens)
            and needle[-1] == self.separator
            and np.array_equal(self.tokens[-before:], needle[:-1])
        )
