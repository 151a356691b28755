"""Suffix indexes: the suffix array of a token stream, one for each segment, in a folder that infini-gram opens too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError, ResourceExhaustedError
from lodex.index.deletions import Deletions
from lodex.index.jobs import TaskResult
from lodex.index.mapped_files import map_file
from lodex.index.ngram_queries import pack
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.index.stream_parts import stream_parts
from lodex.index.subtractive import open_subtractive, sort_deleted
from lodex.index.suffix_blocks import sorter
from lodex.index.suffix_memory import build_table
from lodex.index.suffix_sidecars import open_table, sidecars_of, write_sidecars
from lodex.index.tokenizer import DEFAULT_TOKENIZER, TokenIds
from lodex.index.tokens import OFFSETS, TOKENS, TokenStream
from lodex.kernels._suffix import Corpus, CorruptTableError, SuffixTable
from lodex.kernels._suffix_sort import MAX_TOKENS
from lodex.kernels.suffix_table import offset_width
from lodex.types import Progress

# infini-gram tells files apart by substrings of their names, so no other file of this folder may contain table,
# tokenized, offset, metadata, metaoff or unigram.
TABLE = "table.0"
_FEW_RANKS = 16

Int64s = npt.NDArray[np.int64]


class SuffixBuilder:
    """Sorts the suffixes of a stream. Memory: 6 to 9 bytes a token for u16 streams, 14 to 17 for u32.

    With `memory_bytes` the whole process keeps within so much, as far as it can: see `build_table`. Neither that nor
    `threads` is part of the configuration, for the table has the same bytes.
    """

    kind = "suffix"

    def __init__(
        self,
        stream: str = DEFAULT_TOKENIZER,
        *,
        page_keys: bool = False,
        memory_bytes: int | None = None,
        threads: int = 1,
    ) -> None:
        """With `page_keys` a file is written by which cold searches read few pages, of 1.002 bytes a token."""
        self.depends_on = (stream,)
        self.page_keys = page_keys
        self.config: Mapping[str, Any] = {"stream": stream, "page_keys": True} if page_keys else {"stream": stream}
        self._memory_bytes = memory_bytes
        self._threads = threads

    @classmethod
    def of(cls, config: Mapping[str, Any], *, memory_bytes: int | None = None, threads: int = 1) -> SuffixBuilder:
        """The builder of that configuration."""
        page_keys = config.get("page_keys", False)
        return cls(config["stream"], page_keys=page_keys, memory_bytes=memory_bytes, threads=threads)

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write `table.0`, what spares its readers work, and links to the stream's own `tokenized.0` and `offset.0`."""
        (artefact,) = inputs
        tokens = TokenStream(artefact).tokens
        if len(tokens) > MAX_TOKENS:
            raise ResourceExhaustedError(
                f"segment {segment.id} has {len(tokens)} tokens, a suffix array holds {MAX_TOKENS}; "
                "ingest it in smaller segments"
            )
        progress.start("suffixes", len(tokens), "tokens")
        build_table(tokens, out / TABLE, self._memory_bytes, sorter(self._threads), progress, f"segment {segment.id}")
        write_sidecars(out, tokens, out / TABLE, page_keys=self.page_keys)
        progress.finish()
        link_stream(artefact, out)
        return TaskResult(rows=len(tokens), details={"offset_bytes": offset_width(tokens.nbytes)})


def link_stream(stream: Artefact, out: Path) -> None:
    """Put links to a stream's own `tokenized.0` and `offset.0` beside a table."""
    for name in (TOKENS, OFFSETS):
        (out / name).symlink_to(os.path.relpath(stream.file(name), out))


@dataclass(frozen=True, slots=True)
class RankRuns:
    """Runs of ranks [begins[i], ends[i]) of one table at which sequence `owners[i]` of a batch stands, none empty."""

    begins: Int64s
    ends: Int64s
    owners: Int64s

    @property
    def lengths(self) -> Int64s:
        """Ranks in each run."""
        return self.ends - self.begins

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, chosen: npt.NDArray[Any] | slice) -> RankRuns:
        return RankRuns(self.begins[chosen], self.ends[chosen], self.owners[chosen])


class SuffixSegment:
    """One segment of a suffix index: its token stream and sorted suffixes, mapped.

    `table` holds the suffixes of all of the stream, `minus` those of the documents that are deleted, None where there
    are none. Ranks number the suffixes of `table` in their order.
    """

    def __init__(
        self,
        segment: Segment,
        stream: TokenStream,
        artefact: Artefact,
        deletions: Deletions,
        minus: SuffixTable | None = None,
    ) -> None:
        self.segment = segment
        self.stream = stream
        self.deletions = deletions
        self._path = artefact.file(TABLE)
        if stream.num_documents != segment.num_documents or artefact.receipt.rows != len(stream.tokens):
            raise DataLossError(f"{self._path} is not of segment {segment.id} and its {stream.tokenizer_name} stream")
        advice = artefact.guard.advice
        self._bytes = map_file(self._path, np.uint8, advice)
        self.table = open_table(stream.tokens, self._bytes, str(self._path), sidecars_of(artefact), advice)
        self.minus = minus or (sort_deleted(stream, deletions) if len(deletions) else None)

    def find(self, sequences: Sequence[TokenIds]) -> RankRuns:
        """Where each of some sequences stands, those in deleted documents among them, in the order of sequences.

        The end of the stream is no token of it, so the place where the last document ends with a sequence that ends
        with the separator has a run of its own: the suffix that ends there comes before all that go on.
        """
        tokens, offsets = pack(sequences, self.stream.dtype)
        begins, ends = self.table.find(tokens, offsets)
        runs = RankRuns(begins, ends, np.arange(len(sequences)))
        if closing := [i for i, sequence in enumerate(sequences) if self._closes(sequence)]:
            firsts, _ = self.table.find(*pack([sequences[i][:-1] for i in closing], self.stream.dtype))
            runs = RankRuns(
                np.concatenate([begins, firsts]),
                np.concatenate([ends, firsts + 1]),
                np.concatenate([runs.owners, np.array(closing, np.int64)]),
            )[np.argsort([*range(len(sequences)), *closing], kind="stable")]
        return runs[runs.ends > runs.begins]

    def positions(self, ranks: Int64s) -> Int64s:
        """Where the suffixes of some ranks start in the stream, (n,)."""
        if not len(ranks):
            return np.empty(0, np.int64)
        if len(ranks) > _FEW_RANKS and np.all(np.diff(ranks) == 1):
            return self.table.positions(int(ranks[0]), int(ranks[-1]) + 1)
        size, itemsize = len(self.stream.tokens), self.stream.dtype.itemsize
        width = len(self._bytes) // size
        offsets = np.zeros((len(ranks), 8), np.uint8)
        offsets[:, :width] = self._bytes.reshape(size, width)[ranks]
        places = offsets.reshape(-1).view("<u8")
        if np.any(places % itemsize) or np.any(places >= size * itemsize):
            raise CorruptTableError(f"{self._path} has an offset that is not one of a token")
        return np.asarray(places // itemsize, np.int64)

    def is_live(self, rows: Int64s) -> npt.NDArray[np.bool_]:
        """Which of some documents are not deleted."""
        return ~self.deletions.mask[rows] if len(self.deletions) else np.ones(len(rows), np.bool_)

    def _closes(self, sequence: TokenIds) -> bool:
        """Whether the end of the stream is the separator with which a sequence of two tokens or more ends."""
        before, tokens = len(sequence) - 1, self.stream.tokens
        return bool(
            0 < before <= len(tokens)
            and sequence[-1] == self.stream.separator
            and np.array_equal(tokens[-before:], sequence[:-1])
        )


def spread(begins: Int64s, lengths: Int64s) -> Int64s:
    """The numbers of runs of `lengths[i]` from `begins[i]` on, one run behind the other."""
    starts = np.cumsum(lengths) - lengths
    return np.asarray(np.repeat(begins - starts, lengths) + np.arange(int(lengths.sum())), np.int64)


def corpus_of(parts: Sequence[SuffixSegment]) -> Corpus:
    """The segments as one corpus, from which the deleted documents are subtracted."""
    signed = [(part.table, 1) for part in parts] + [(part.minus, -1) for part in parts if part.minus is not None]
    return Corpus([table for table, _ in signed], [sign for _, sign in signed])


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
