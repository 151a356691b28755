"""Merging the suffix arrays of two blocks of a text, exactly, whatever repeats across the cut.

A suffix of the left block that is a prefix of another one of it (a tail) may stand elsewhere once the right block
follows. All such tails are the last suffixes, up to the longest that occurs twice. Three ways, each linear:

few tails      they are ranked in the right block, sorted by themselves, and merged along with it
more           the cut moves to where they begin, and all that is right of it is sorted again
most of it     sorting everything again takes less time
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.kernels._suffix_merge import SuffixEntries, SuffixMerge, repeated_tail
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Sort = Callable[[Tokens], npt.NDArray[np.int32]]

SORT_NS, MERGE_NS = 60, 22
"""What sorting and merging take for a token, in nanoseconds: docs/adr/0014-suffix-merge.md. Only the ratio matters."""
TAIL_SHARE = 64
"""A tail takes as long to rank in the right block as this many tokens of it take to sort again, or less."""
_ENTRIES_PER_READ = 1 << 16


def merged_entries(
    tokens: Tokens,
    cut: int,
    left: SuffixEntries,
    right: SuffixEntries,
    width: int = 4,
    unit: int = 1,
    sort: Sort = suffix_array,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The suffix array of `tokens` (n,) in pieces: 2^16 entries or less of `width` bytes, `unit` times a position each.

    `left` and `right` are those of `tokens[:cut]` and of `tokens[cut:]`. A piece is good until the next one.
    """
    few = 1024 + (len(tokens) - cut) // TAIL_SHARE
    worth_moving = cut - len(tokens) * MERGE_NS // SORT_NS
    tail = repeated_tail(tokens[:cut], left, max(few, worth_moving) + 1)
    if tail <= few:
        return merged_with_tails(tokens, cut, left, right, tail, width, unit, sort)
    if tail <= worth_moving:
        again = entries_of(sort(tokens[cut - tail :]))
        return merged_with_tails(tokens, cut - tail, left, again, 0, width, unit, sort)
    return _encoded(sort(tokens), width, unit)


def merged_with_tails(
    tokens: Tokens,
    cut: int,
    left: SuffixEntries,
    right: SuffixEntries,
    tail: int,
    width: int,
    unit: int,
    sort: Sort = suffix_array,
) -> Iterator[npt.NDArray[np.uint8]]:
    """`merged_entries` where it is known that the last `tail` suffixes on the left are all that occur there twice.

    Or none are, because the cut was moved back by as many: then `left` is that of the longer block. Sorting the tails
    takes some 40 bytes of memory for each.
    """
    merge = SuffixMerge(tokens, cut, left, right)
    ranks = merge.tail_ranks(tail)
    merge.start(sort_before(tokens[cut - tail : cut], tokens[cut : cut + 1], ranks, sort))
    return _read(merge, width, unit)


def merge_positions(
    tokens: Tokens, cut: int, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], sort: Sort = suffix_array
) -> npt.NDArray[np.int32]:
    """The suffix array of `tokens` (n,) from those of `tokens[:cut]` and of `tokens[cut:]`, all in memory."""
    pieces = merged_entries(tokens, cut, entries_of(left), entries_of(right), sort=sort)
    merged, begin = np.empty(len(tokens), np.int32), 0
    for piece in pieces:
        positions = piece.view(np.int32)
        merged[begin : begin + len(positions)] = positions
        begin += len(positions)
    return merged


def entries_of(positions: npt.NDArray[np.int32]) -> SuffixEntries:
    """A suffix array in memory as what a merge reads."""
    return SuffixEntries(np.ascontiguousarray(positions).view(np.uint8), 4, 1)


def sort_before(tokens: Tokens, following: Tokens, ranks: npt.NDArray[np.uint32], sort: Sort) -> npt.NDArray[np.uint32]:
    """Sort the suffixes of `tokens` (n,) as they go on in a block that begins with the token `following` (1,) or ends.

    `ranks` (n + 1,) says how many suffixes of that block are smaller than each of them, and than the block itself.
    """
    if not len(following):
        return sort(tokens).astype(np.uint32)
    # The block is one symbol. Where `tokens` have the token that it begins with they get a smaller symbol or a greater,
    # as the suffix there is smaller or greater than the block; no other symbol comes between these three.
    swapped = np.concatenate([tokens, following]).byteswap()  # compares as the bytes do
    _, codes = np.unique(swapped, return_inverse=True)
    symbols = codes.astype(np.uint32) * 4
    symbols[:-1] += np.where(ranks[:-1] > ranks[-1], 2, 0).astype(np.uint32)
    symbols[-1] += 1
    order = sort(symbols.byteswap())
    kept: npt.NDArray[np.uint32] = order[order != len(tokens)].astype(np.uint32)
    return kept


def _read(merge: SuffixMerge, width: int, unit: int) -> Iterator[npt.NDArray[np.uint8]]:
    piece = np.empty(min(len(merge), _ENTRIES_PER_READ) * width, np.uint8)
    while count := merge.read(piece, width, unit) if len(piece) else 0:
        yield piece[: count * width]


def _encoded(positions: npt.NDArray[np.int32], width: int, unit: int) -> Iterator[npt.NDArray[np.uint8]]:
    for begin in range(0, len(positions), _ENTRIES_PER_READ):
        yield encode_offsets(positions[begin : begin + _ENTRIES_PER_READ], unit, width)
