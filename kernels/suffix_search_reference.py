"""The plain twin of suffix_search.cpp: the same answers by looking at every suffix."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.kernels.suffix_table import decode_offsets

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]

END_OF_STREAM = -1


class SuffixTable:
    """The sorted suffixes of a stream of little-endian tokens, as byte strings in a list. See `_suffix.pyi`."""

    def __init__(self, tokens: Tokens, table: npt.NDArray[np.uint8]) -> None:
        self._width = tokens.itemsize
        self._starts = decode_offsets(table, self._width, len(table) // max(len(tokens), 1) or 1)
        data = tokens.tobytes()
        self._suffixes = [data[start * self._width :] for start in self._starts]

    def __len__(self) -> int:
        return len(self._suffixes)

    def find(self, queries: Tokens, offsets: Int64s) -> tuple[Int64s, Int64s]:
        """The ranks [begin, end) of the suffixes that begin with each query."""
        found = [self._find(query) for query in _split(queries, offsets)]
        begins, ends = zip(*found, strict=True) if found else ((), ())
        return np.array(begins, np.int64), np.array(ends, np.int64)

    def _find(self, query: bytes) -> tuple[int, int]:
        begin = bisect_left(self._suffixes, query)
        return begin, begin + sum(suffix.startswith(query) for suffix in self._suffixes)

    def next_tokens(self, begins: Int64s, ends: Int64s, depths: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """The distinct tokens at a depth of the suffixes of each range, in byte order, with counts and offsets."""
        tokens: list[int] = []
        counts: list[int] = []
        offsets = [0]
        for begin, end, depth in zip(begins, ends, depths, strict=True):
            at = depth * self._width
            found = Counter(suffix[at : at + self._width] for suffix in self._suffixes[begin:end])
            for token in sorted(found):  # b"", where the stream ends, comes first
                tokens.append(int.from_bytes(token, "little") if token else END_OF_STREAM)
                counts.append(found[token])
            offsets.append(len(tokens))
        return np.array(tokens, np.int64), np.array(counts, np.int64), np.array(offsets, np.int64)

    def positions(self, begin: int, end: int) -> Int64s:
        """Where the suffixes of ranks [begin, end) start, in rank order."""
        return self._starts[begin:end]


def _split(queries: Tokens, offsets: Int64s) -> list[bytes]:
    return [queries[begin:end].tobytes() for begin, end in pairwise(offsets)]
