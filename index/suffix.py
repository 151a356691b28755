"""Suffix indexes: the suffix array of a token stream, one for each segment, in a folder that infini-gram opens too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError, ResourceExhaustedError
from lodex.index.jobs import TaskResult
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.tokenizer import DEFAULT_TOKENIZER, TokenIds
from lodex.index.tokens import OFFSETS, TOKENS, TokenStream
from lodex.kernels._suffix import END_OF_STREAM, MAX_TOKENS, SuffixTable, suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width
from lodex.types import Progress

# infini-gram tells files apart by substrings of their names, so no other file of this folder may contain table,
# tokenized, offset, metadata, metaoff or unigram.
TABLE = "table.0"
_ENTRIES_PER_WRITE = 1 << 20


class SuffixBuilder:
    """Sorts the suffixes of a stream. Memory: 6 to 9 bytes a token for u16 streams, 14 to 17 for u32."""

    kind = "suffix"

    def __init__(self, stream: str = DEFAULT_TOKENIZER) -> None:
        self.depends_on = (stream,)
        self.config: Mapping[str, Any] = {"stream": stream}

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
        positions = suffix_array(tokens)
        width = offset_width(tokens.nbytes)
        with (out / TABLE).open("wb") as file:
            for start in range(0, len(positions), _ENTRIES_PER_WRITE):
                entries = positions[start : start + _ENTRIES_PER_WRITE]
                file.write(encode_offsets(entries, tokens.itemsize, width).tobytes())
                progress.advance(len(entries))
        progress.finish()
        for name in (TOKENS, OFFSETS):
            (out / name).symlink_to(os.path.relpath(artefact.file(name), out))
        return TaskResult(rows=len(tokens), details={"offset_bytes": width})


@dataclass(frozen=True, slots=True)
class Needles:
    """A batch of token sequences to look for, as the stream writes them: its dtype, its separator.

    Needle i is `tokens[offsets[i]:offsets[i + 1]]`.
    """

    tokens: TokenIds
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequence[TokenIds], dtype: np.dtype[Any]) -> Needles:
        """Pack sequences of `dtype`, any number of them and of any length."""
        offsets = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum([len(sequence) for sequence in sequences], out=offsets[1:])
        return cls(np.concatenate([np.empty(0, dtype), *sequences]), offsets)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each needle."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> TokenIds:
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]


class SuffixSegment:
    """One segment of a suffix index: its token stream and sorted suffixes, mapped.

    The stream has a separator before each document and none after the last, whose end counts as one all the same:
    every document reads separator, tokens, separator, whatever stands beside it. A needle holds the separator at its
    ends only: inside of one it would match two documents that merely stand side by side.
    """

    def __init__(self, segment: Segment, stream: TokenStream, artefact: Artefact) -> None:
        self.segment = segment
        self.stream = stream
        path = artefact.file(TABLE)
        if stream.num_documents != segment.num_documents or artefact.receipt.rows != len(stream.tokens):
            raise DataLossError(f"{path} is not of segment {segment.id} and its {stream.tokenizer_name} stream")
        table = np.memmap(path, np.uint8, "r") if len(stream.tokens) else np.empty(0, np.uint8)
        self._suffixes = SuffixTable(stream.tokens, table, str(path))

    def count(self, needles: Needles) -> npt.NDArray[np.int64]:
        """How often each needle occurs, (needles,); an empty one occurs once at every token and separator."""
        begins, ends = self._suffixes.find(needles.tokens, needles.offsets)
        counts = ends - begins
        longer = np.flatnonzero(needles.lengths > 1)
        for i in longer[needles.tokens[needles.offsets[longer + 1] - 1] == self.stream.separator]:
            counts[i] += self._closes(needles[i])
        return counts

    def longest_suffixes(self, needles: Needles) -> npt.NDArray[np.int64]:
        """Tokens of the longest suffix of each needle that occurs, (needles,). No needle of two or more ends in one."""
        return self._suffixes.longest_suffixes(needles.tokens, needles.offsets)

    def next_tokens(self, needles: Needles) -> tuple[npt.NDArray[np.int64], ...]:
        """What follows each needle: tokens, their counts, and offsets (needles + 1,) into both.

        The separator may be given twice for a needle: where the last document ends, and where others do.
        """
        begins, ends = self._suffixes.find(needles.tokens, needles.offsets)
        tokens, counts, offsets = self._suffixes.next_tokens(begins, ends, needles.lengths)
        return np.where(tokens == END_OF_STREAM, self.stream.separator, tokens), counts, offsets

    def positions(self, needle: TokenIds) -> npt.NDArray[np.int64]:
        """Where in the stream a needle occurs, in no order."""
        begins, ends = self._suffixes.find(needle, np.array([0, len(needle)], np.int64))
        positions = self._suffixes.positions(int(begins[0]), int(ends[0]))
        return np.append(positions, len(self.stream.tokens) - len(needle) + 1) if self._closes(needle) else positions

    def _closes(self, needle: TokenIds) -> bool:
        """Whether the end of the stream is the separator with which a needle of two tokens or more ends."""
        before = len(needle) - 1
        return bool(
            0 < before <= len(self.stream.tokens)
            and needle[-1] == self.stream.separator
            and np.array_equal(self.stream.tokens[-before:], needle[:-1])
        )
