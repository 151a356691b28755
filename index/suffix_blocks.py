"""Sorted blocks of a stream: runs of its tokens with their suffix arrays in files, and merging two into a third."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.kernels._suffix_merge import SuffixEntries
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_merge import MERGE_NS, SORT_NS, Sort, merged_entries
from lodex.kernels.suffix_table import decode_offsets, encode_offsets, offset_width
from lodex.types import Progress, Silent

Tokens = npt.NDArray[np.unsignedinteger[Any]]

ENTRIES_PER_WRITE = 1 << 16


@dataclass(frozen=True, slots=True)
class SortedBlock:
    """The suffix array of tokens [begin, end) of a stream, in a file; `is_scratch` where it may go once it is read.

    Entries are `width` bytes wide and `unit` times a position that is counted from `begin`. Without a path the block is
    yet to be sorted.
    """

    begin: int
    end: int
    path: Path | None = None
    width: int = 4
    unit: int = 1
    is_scratch: bool = False

    def __len__(self) -> int:
        return self.end - self.begin

    def entries(self) -> SuffixEntries:
        """What a merge reads."""
        assert self.path is not None, "a block is merged before it is sorted; this is a bug"
        return SuffixEntries(str(self.path), self.width, self.unit)

    def discard(self) -> None:
        """Remove the file of a scratch block."""
        if self.is_scratch and self.path is not None:
            self.path.unlink()


def sorter(threads: int) -> Sort:
    """What sorts the suffixes of a block that is sorted whole."""
    return partial(suffix_array, threads=threads)


class BlockMerger:
    """Sorts and merges the blocks of one stream; what it writes on the way are files in `folder`, gone in the end.

    Memory of a merge: the text of both blocks (mapped, read at random), 4 bytes for each token of the right one, 1/32
    byte for each of the left one, and some MB. Tables are read and written in pieces.
    """

    def __init__(self, tokens: Tokens, folder: Path, sort: Sort = suffix_array) -> None:
        self._tokens = tokens
        self._folder = folder
        self._sort = sort
        self._scratch = 0

    def sorted_block(self, block: SortedBlock) -> SortedBlock:
        """The block in a file, sorted if it is not."""
        if block.path is not None:
            return block
        path = self.new_path()
        write_positions(self._sort(self._tokens[block.begin : block.end]), 1, 4, path)
        return SortedBlock(block.begin, block.end, path, is_scratch=True)

    def merge_all(self, blocks: Sequence[SortedBlock], out: Path, progress: Progress) -> None:
        """Write the table of the whole stream, which neighbouring `blocks` make up."""
        blocks = [block for block in blocks if len(block)]
        unit = self._tokens.itemsize
        width = offset_width(self._tokens.nbytes)
        if len(blocks) < 2:
            for block in blocks or [SortedBlock(0, 0)]:
                write_pieces(self._pieces(block, unit, width), width, out, progress)
                block.discard()
            return
        at = balanced_split(blocks)
        left, right = self._merged(blocks[:at]), self._merged(blocks[at:])
        self.merge(left, right, out, width, unit, progress)

    def merge(
        self, left: SortedBlock, right: SortedBlock, out: Path, width: int, unit: int, progress: Progress | None = None
    ) -> SortedBlock:
        """Write what two neighbours are together, and remove their files if they are scratch."""
        tokens, cut = self._tokens[left.begin : right.end], len(left)
        pieces = merged_entries(tokens, cut, left.entries(), right.entries(), width, unit, self._sort)
        write_pieces(pieces, width, out, progress or Silent())
        left.discard()
        right.discard()
        return SortedBlock(left.begin, right.end, out, width, unit, is_scratch=True)

    def _pieces(self, block: SortedBlock, unit: int, width: int) -> Iterator[npt.NDArray[np.uint8]]:
        """The entries of one block, sorted if it is not, in another form."""
        if block.path is None:
            yield from encoded(self._sort(self._tokens[block.begin : block.end]), unit, width)
            return
        with block.path.open("rb") as file:
            while piece := file.read(ENTRIES_PER_WRITE * block.width):
                yield encode_offsets(
                    decode_offsets(np.frombuffer(piece, np.uint8), block.unit, block.width), unit, width
                )

    def _merged(self, blocks: Sequence[SortedBlock]) -> SortedBlock:
        if len(blocks) == 1:
            return self.sorted_block(blocks[0])
        at = balanced_split(blocks)
        return self.merge(self._merged(blocks[:at]), self._merged(blocks[at:]), self.new_path(), 4, 1)

    def new_path(self) -> Path:
        """A file of scratch that is not there yet."""
        self._scratch += 1
        return self._folder / f"block-{self._scratch}.sorted"


def balanced_split(blocks: Sequence[SortedBlock]) -> int:
    """Before which of several blocks to part them, so that the larger part is as small as can be."""
    ends = np.cumsum([len(block) for block in blocks])
    return 1 + int(np.argmin(np.maximum(ends[:-1], ends[-1] - ends[:-1])))


def merging_ns(blocks: Sequence[SortedBlock]) -> int:
    """What `BlockMerger.merge_all` takes, in nanoseconds: each token once for every merge that it goes through."""
    blocks = [block for block in blocks if len(block)]
    if len(blocks) < 2:
        return sum(SORT_NS * len(block) for block in blocks if block.path is None)
    at = balanced_split(blocks)
    return MERGE_NS * sum(map(len, blocks)) + merging_ns(blocks[:at]) + merging_ns(blocks[at:])


def write_positions(
    positions: npt.NDArray[np.int32], unit: int, width: int, path: Path, progress: Progress | None = None
) -> None:
    """Write a suffix array as entries, a chunk at a time."""
    write_pieces(encoded(positions, unit, width), width, path, progress or Silent())


def encoded(positions: npt.NDArray[np.int32], unit: int, width: int) -> Iterator[npt.NDArray[np.uint8]]:
    """A suffix array as entries, a chunk at a time."""
    for start in range(0, len(positions), ENTRIES_PER_WRITE):
        yield encode_offsets(positions[start : start + ENTRIES_PER_WRITE], unit, width)


def write_pieces(pieces: Iterable[npt.NDArray[np.uint8]], width: int, path: Path, progress: Progress) -> None:
    """Write entries of `width` bytes as they come."""
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece.data)
            progress.advance(len(piece) // width)
