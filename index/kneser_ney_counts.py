"""The counts that Kneser-Ney smoothing is made of, over several suffix tables as one corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lodex.errors import FailedPreconditionError, InvalidArgumentError
from lodex.index.ngram_queries import Vocabulary
from lodex.index.tokenizer import TokenIds
from lodex.kernels._continuations import SignedTable, followers, survey
from lodex.kernels._suffix import SuffixTable

Int64s = npt.NDArray[np.int64]
_ROW_BITS = 32


@dataclass(frozen=True)
class SortedPart:
    """A stream with a separator (all bits set) before each document, and its suffix table as bytes.

    What a part of sign -1 holds is subtracted: documents that parts of sign 1 hold too. `label` names it in errors.
    """

    tokens: TokenIds
    table: npt.NDArray[np.uint8]
    sign: int = 1
    label: str = "table"


@dataclass(frozen=True)
class Followers:
    """What follows each of several contexts, in rows: tokens, ascending, with their counts, all above 0.

    Row i is `tokens[offsets[i]:offsets[i + 1]]`, and so with `counts`.
    """

    tokens: Int64s
    counts: Int64s
    offsets: Int64s

    @cached_property
    def totals(self) -> Int64s:
        """The sum of the counts of each row, (rows,)."""
        return self._sum_rows(self.counts)

    @cached_property
    def numbers(self) -> Int64s:
        """Of each row how many tokens have a count of 1, of 2, and of 3 or more, (rows, 3)."""
        return np.stack([self._sum_rows(np.minimum(self.counts, 3) == count) for count in (1, 2, 3)], axis=1)

    def count(self, rows: Int64s, tokens: Int64s) -> Int64s:
        """The counts of tokens behind contexts, (n,); 0 for one that does not follow."""
        if not len(self.tokens):
            return np.zeros(len(rows), np.int64)
        wanted = rows << _ROW_BITS | tokens
        places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.where(self._keys[places] == wanted, self.counts[places], 0)

    def row(self, i: int) -> tuple[Int64s, Int64s]:
        """Tokens and counts of one row."""
        begin, end = self.offsets[i], self.offsets[i + 1]
        return self.tokens[begin:end], self.counts[begin:end]

    @cached_property
    def _keys(self) -> Int64s:
        rows = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        return np.asarray(rows << _ROW_BITS | self.tokens, np.int64)

    def _sum_rows(self, values: npt.NDArray[np.generic]) -> Int64s:
        sums = np.zeros(len(values) + 1, np.int64)
        np.cumsum(values, out=sums[1:])
        return np.diff(sums[self.offsets])


class ContinuationCounts:
    """The counts of all n-grams of 1 to `order` tokens, as an interpolated Kneser-Ney model of that order uses them.

    Those of the highest order, and those that begin with the end of a document, are counted by their occurrences; the
    others by how many distinct tokens stand before them. One pass over all parts finds how many n-grams have the counts
    1 to 4 (`counts_of_counts`, (order, 4)) and counts what follows the empty context and those contexts that occur
    `frequent` times or more; what follows others is counted when it is asked for, from their occurrences.
    """

    def __init__(self, parts: Sequence[SortedPart], vocabulary: Vocabulary, order: int, frequent: int) -> None:
        if not 1 <= order <= 255:
            raise InvalidArgumentError(f"order is {order}, expected 1 to 255", "order")
        if not parts:
            raise InvalidArgumentError("a Kneser-Ney model needs one part of a suffix index or more", "parts")
        self.order = order
        self.vocabulary = vocabulary
        self._signed = [SignedTable(part.tokens, part.table, part.sign, part.label) for part in parts]
        self._suffixes = [SuffixTable(part.tokens, part.table, part.label) for part in parts]
        found = survey(self._signed, vocabulary.size, order, frequent)
        self.counts_of_counts = found[0].reshape(order, 4)
        self._frequent = Followers(*found[3:])
        rows = enumerate(_split(found[1].astype(vocabulary.dtype), found[2]))
        self._frequent_rows = {context: row for row, context in rows}
        self._check_ends()

    @property
    def unigrams(self) -> tuple[Int64s, Int64s]:
        """What follows the empty context: tokens of the stream, the separator for the end of a document, and counts."""
        return self._frequent.row(self._frequent_rows[b""])

    def followers(self, contexts: TokenIds) -> Iterator[tuple[Int64s, Int64s, Followers]]:
        """What follows each of `contexts` (n, length), 1 <= length < order: in groups, of which each context is in one.

        Yields of each group which contexts they are, the row of each, and the rows.
        """
        n, length = contexts.shape
        # As bytes a context is found at once, whatever its length.
        keys = _split(contexts.reshape(-1), np.arange(n + 1) * length)
        rows = np.fromiter((self._frequent_rows.get(key, -1) for key in keys), np.int64, n)
        known, others = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
        if len(known):
            yield known, rows[known], self._frequent
        if len(others):
            yield others, np.arange(len(others)), self._count(contexts[others])

    def _count(self, contexts: TokenIds) -> Followers:
        n, length = contexts.shape
        flat, offsets = np.ascontiguousarray(contexts).reshape(-1), np.arange(n + 1) * length
        ranges = [suffixes.find(flat, offsets) for suffixes in self._suffixes]
        by_occurrence = (contexts[:, 0] == self.vocabulary.separator) | (length == self.order - 1)
        begins, ends = (np.stack([pair[side] for pair in ranges]) for side in (0, 1))
        return Followers(*followers(self._signed, begins, ends, np.diff(offsets), by_occurrence))

    def _check_ends(self) -> None:
        """Callers name the end of a document by an id that documents cannot hold."""
        eos_id = self.vocabulary.eos_id
        if eos_id != self.vocabulary.separator and eos_id in self.unigrams[0]:
            raise FailedPreconditionError(f"token {eos_id} stands inside of a document, where it means the end of one")


def _split(tokens: TokenIds, offsets: Int64s) -> Iterator[bytes]:
    data, bounds = tokens.tobytes(), (offsets * tokens.itemsize).tolist()
    return (data[begin:end] for begin, end in pairwise(bounds))
