"""Suffix indexes: the suffix array of a token stream, one for each segment, in a folder that infini-gram opens too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lodex.errors import DataLossError, ResourceExhaustedError
from lodex.index.deletions import Deletions
from lodex.index.jobs import TaskResult
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.index.sorted_stream import Int64s, Needles, SortedStream
from lodex.index.stream_parts import stream_parts
from lodex.index.subtractive import open_subtractive, sort_deleted
from lodex.index.suffix_blocks import sorter
from lodex.index.suffix_memory import build_table
from lodex.index.tokenizer import DEFAULT_TOKENIZER, TokenIds
from lodex.index.tokens import OFFSETS, TOKENS, TokenStream
from lodex.kernels._suffix import MAX_TOKENS
from lodex.kernels.suffix_table import offset_width
from lodex.types import Progress

# infini-gram tells files apart by substrings of their names, so no other file of this folder may contain table,
# tokenized, offset, metadata, metaoff or unigram.
TABLE = "table.0"


class SuffixBuilder:
    """Sorts the suffixes of a stream. Memory: 6 to 9 bytes a token for u16 streams, 14 to 17 for u32.

    With `memory_bytes` the whole process keeps within so much, as far as it can: see `build_table`. Neither that nor
    `threads` is part of the configuration, for the table has the same bytes.
    """

    kind = "suffix"

    def __init__(self, stream: str = DEFAULT_TOKENIZER, *, memory_bytes: int | None = None, threads: int = 1) -> None:
        self.depends_on = (stream,)
        self.config: Mapping[str, Any] = {"stream": stream}
        self._memory_bytes = memory_bytes
        self._threads = threads

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write `table.0`, and links beside it to the stream's own `tokenized.0` and `offset.0`."""
        (artefact,) = inputs
        tokens = TokenStream(artefact).tokens
        if len(tokens) > MAX_TOKENS:
            raise ResourceExhaustedError(
                f"segment {segment.id} has {len(tokens)} tokens, a suffix array holds {MAX_TOKENS}; "
                "ingest it in smaller segments"
            )
        progress.start("suffixes", len(tokens), "tokens")
        build_table(tokens, out / TABLE, self._memory_bytes, sorter(self._threads), progress, f"segment {segment.id}")
        progress.finish()
        link_stream(artefact, out)
        return TaskResult(rows=len(tokens), details={"offset_bytes": offset_width(tokens.nbytes)})


def link_stream(stream: Artefact, out: Path) -> None:
    """Put links to a stream's own `tokenized.0` and `offset.0` beside a table."""
    for name in (TOKENS, OFFSETS):
        (out / name).symlink_to(os.path.relpath(stream.file(name), out))


class SuffixSegment:
    """One segment of a suffix index: its token stream and sorted suffixes, mapped, without the documents deleted.

    See `SortedStream` for what a needle is. `minus` holds the deleted documents, None where there are none.
    """

    def __init__(
        self,
        segment: Segment,
        stream: TokenStream,
        artefact: Artefact,
        deletions: Deletions,
        minus: SortedStream | None = None,
    ) -> None:
        self.segment = segment
        self.stream = stream
        self._deletions = deletions
        path = artefact.file(TABLE)
        if stream.num_documents != segment.num_documents or artefact.receipt.rows != len(stream.tokens):
            raise DataLossError(f"{path} is not of segment {segment.id} and its {stream.tokenizer_name} stream")
        table = np.memmap(path, np.uint8, "r") if len(stream.tokens) else np.empty(0, np.uint8)
        self._whole = SortedStream(stream.tokens, table, str(path))
        self._minus = minus or (sort_deleted(stream, deletions) if len(deletions) else None)

    def count(self, needles: Needles) -> Int64s:
        """How often each needle occurs, (needles,); an empty one occurs once at every token and separator."""
        counts = self._whole.count(needles)
        return counts if self._minus is None else counts - self._minus.count(needles)

    def longest_suffixes(self, needles: Needles) -> Int64s:
        """Tokens of the longest suffix of each needle that occurs, (needles,). No needle of two or more ends in one."""
        longest = self._whole.longest_suffixes(needles)
        if self._minus is None:
            return longest
        # A suffix that occurs only in deleted documents is cut down to one that does not: where it occurs, so do its
        # own suffixes, and the length is found by bisection.
        occurring, failing = np.zeros_like(longest), longest + 1
        tried = longest
        while len(open_ones := np.flatnonzero(failing - occurring > 1)):
            found = self.count(needles.suffixes(open_ones, tried[open_ones])) > 0
            occurring[open_ones[found]] = tried[open_ones[found]]
            failing[open_ones[~found]] = tried[open_ones[~found]]
            tried = (occurring + failing) // 2
        return occurring

    def next_tokens(self, needles: Needles) -> Iterator[tuple[Int64s, Int64s, Int64s]]:
        """What follows each needle: tokens, their counts, and offsets (needles + 1,) into both, in terms to be summed.

        Those of deleted documents have negative counts. A token may be given several times for a needle.
        """
        yield self._whole.next_tokens(needles)
        if self._minus is not None:
            tokens, counts, offsets = self._minus.next_tokens(needles)
            yield tokens, -counts, offsets

    def positions(self, needle: TokenIds) -> Int64s:
        """Where in the stream a needle occurs, in no order."""
        positions = self._whole.positions(needle)
        if not len(self._deletions):
            return positions
        kept: Int64s = positions[~self._deletions.mask[self.stream.rows_of(positions)]]
        return kept


def suffix_parts(snapshot: Snapshot, name: str, stream_name: str) -> Iterator[SuffixSegment]:
    """The parts of a suffix index, each opened once for all versions that share it."""
    for segment, stream, artefact in stream_parts(snapshot, name, stream_name):
        deletions = snapshot.deletions(segment)
        minus = snapshot.minus(name, segment)
        open = partial(_open_part, segment, stream, artefact, deletions, minus)
        ids = (artefact.id, deletions.id) if len(deletions) else (artefact.id,)
        yield snapshot.shared(SuffixSegment, ids, open)


def _open_part(
    segment: Segment, stream: TokenStream, artefact: Artefact, deletions: Deletions, minus: Artefact | None
) -> SuffixSegment:
    subtracted = None if minus is None else open_subtractive(minus, stream, deletions)
    return SuffixSegment(segment, stream, artefact, deletions, subtracted)
