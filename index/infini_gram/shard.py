"""One shard of an infini-gram index: its files mapped, checked against each other, and read.

`tokenized` has tokens, with a separator of all bits set before each document; `table` the byte offsets of its sorted
suffixes; `offset` the byte offset of each document, u64. Where there is metadata, `metadata` has a JSON line for each
document and `metaoff` the byte offset of each line, u64. `unigram` has lines of a token and its count. All integers are
little-endian. Lodex's own `top` and `pages`, see `suffix_sidecars`, are taken where they are there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.mapped_files import NORMAL, map_file
from lodex.index.suffix_sidecars import open_table, sidecars_beside
from lodex.kernels.suffix_table import decode_offsets, offset_width

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]

_OFFSETS_READ_WHOLE = 1 << 22
_SAMPLES = 512
_COMPARED_BYTES = (1 << 8, 1 << 16)
_COUNTED_TOKENS = 1 << 24


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files of one shard by kind. `number` is None where they have none."""

    folder: Path
    number: int | None
    paths: Mapping[str, Path]

    def path(self, kind: str) -> Path:
        """The file of a kind, whether it is there or not."""
        return self.paths.get(kind, self.folder / (kind if self.number is None else f"{kind}.{self.number}"))


class Shard:
    """One shard, mapped and checked. Pointers are byte offsets in `tokens`, as infini-gram's.

    `tokens` (n,) uint8, uint16 or uint32; a document ends where the next one begins.
    What is read later (a document, a line of metadata) is checked when it is read: DataLossError names the file.
    """

    def __init__(
        self, files: ShardFiles, dtype: np.dtype[Any], *, load_to_ram: bool = False, advise: str = NORMAL
    ) -> None:
        self.files = files
        self.width = dtype.itemsize
        self.separator = int(np.iinfo(dtype).max)
        self.tokens: Tokens = _read(files.path("tokenized"), dtype, load_to_ram, advise)
        self.entries: Bytes = _read(files.path("table"), np.dtype("u1"), load_to_ram, advise)
        self.entry_width = offset_width(self.tokens.nbytes) if len(self.tokens) else 1
        self.offsets: npt.NDArray[np.uint64] = _read(files.path("offset"), np.dtype("<u8"), load_to_ram)
        # Single entries are read through views: an array's item would be a numpy scalar, ten times as slow.
        self._entry_view, self._offset_view = self.entries.data, self.offsets.data
        self._check_documents()
        self._check_order()
        path = files.path("table")
        self.table = open_table(self.tokens, self.entries, str(path), sidecars_beside(path), advise)
        self._check_separators()
        self.metadata: Bytes | None = None
        if "metadata" in files.paths:
            self.metadata = _read(files.path("metadata"), np.dtype("u1"), load_to_ram)
            self.lines: npt.NDArray[np.uint64] = _read(files.path("metaoff"), np.dtype("<u8"), load_to_ram)
            self._check_metadata(self.metadata)

    @property
    def num_documents(self) -> int:
        """Documents, empty ones included."""
        return len(self.offsets)

    def documents_of(self, positions: Int64s) -> Int64s:
        """The numbers of the documents that hold tokens, or begin with separators, (n,)."""
        bytes_at = positions.astype(np.uint64) * np.uint64(self.width)
        numbers: Int64s = np.searchsorted(self.offsets, bytes_at, side="right") - 1
        return numbers

    def document_bounds(self, positions: Int64s) -> tuple[Int64s, Int64s]:
        """Where the documents that hold tokens begin, with their separators, and end, (n,) each, in tokens."""
        numbers = self._documents_of_many(positions)
        is_last = numbers + 1 == self.num_documents
        begins = self.offsets[numbers].astype(np.int64) // self.width
        ends = self.offsets[np.where(is_last, numbers, numbers + 1)].astype(np.int64) // self.width
        return begins, np.where(is_last, len(self.tokens), ends)

    def _documents_of_many(self, positions: Int64s) -> Int64s:
        """`documents_of`; where documents are fewer than ascending places, each of them is looked for instead."""
        if self.num_documents > len(positions) or (positions[1:] < positions[:-1]).any():
            return self.documents_of(positions)
        begins = self.offsets.astype(np.int64) // self.width
        firsts = np.append(np.searchsorted(positions, begins), len(positions))
        return np.repeat(np.arange(len(begins)), np.diff(firsts))

    def document_of(self, position: int) -> int:
        """The number of the document that holds a token, or begins with a separator."""
        return bisect_right(self._offset_view, position * self.width) - 1

    def document(self, number: int) -> tuple[int, int]:
        """Where the tokens of a document begin and end, its separator left out."""
        begin = self._offset_view[number]
        end = self._offset_view[number + 1] if number + 1 < len(self.offsets) else self.tokens.nbytes
        if begin % self.width or end % self.width or not begin < end <= self.tokens.nbytes:
            raise self._damage("offset", f"document {number} cannot be bytes [{begin}, {end})")
        if self.tokens[begin // self.width] != self.separator:
            raise self._damage("offset", f"document {number} does not begin with a separator at byte {begin}")
        return begin // self.width + 1, end // self.width

    def line(self, number: int) -> str:
        """The metadata of a document as it is written, its newline included; "" where there is none."""
        if self.metadata is None:
            return ""
        begin = int(self.lines[number])
        end = int(self.lines[number + 1]) if number + 1 < len(self.lines) else len(self.metadata)
        if not begin < end <= len(self.metadata):
            raise self._damage("metaoff", f"line {number} cannot be bytes [{begin}, {end})")
        line = self.metadata[begin:end].tobytes()
        if line.find(b"\n") != len(line) - 1:
            raise self._damage("metadata", f"bytes [{begin}, {end}) are not line {number}")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise self._damage("metadata", f"line {number} is not UTF-8: {error}") from error

    def position(self, rank: int) -> int:
        """Where the suffix of a rank starts, in tokens. DataLossError for an entry that is not a token's."""
        at = rank * self.entry_width
        start = int.from_bytes(self._entry_view[at : at + self.entry_width], "little")
        if start >= self.tokens.nbytes or start % self.width:
            raise self._no_offset(rank, start)
        return start // self.width

    def positions(self, ranks: Int64s) -> Int64s:
        """Where the suffixes of these ranks start, in tokens. DataLossError for an entry that is not a token's."""
        rows = self.entries.reshape(-1, self.entry_width)[ranks]
        starts = decode_offsets(rows.reshape(-1), 1, self.entry_width)
        wrong = np.flatnonzero((starts < 0) | (starts >= self.tokens.nbytes) | (starts % self.width != 0))
        if len(wrong):
            raise self._no_offset(int(ranks[wrong[0]]), int(starts[wrong[0]]))
        positions: Int64s = starts // self.width
        return positions

    def positions_between(self, begin: int, end: int) -> npt.NDArray[np.integer[Any]]:
        """Where the suffixes of ranks [begin, end) start, in tokens; of 32 bits where entries have as many."""
        if self.entry_width == 4:
            starts = self.entries[4 * begin : 4 * end].view("<u4")
            if not len(starts) or (starts.max() < self.tokens.nbytes and not (starts % self.width).any()):
                return starts // np.uint32(self.width)
        return self.table.positions(begin, end)  # which says what is wrong

    def unigrams(self) -> tuple[Int64s, Int64s]:
        """The tokens of the shard, separators included, ascending, and their counts: of its file, or counted.

        A file that is not of this stream is DataLossError.
        """
        if "unigram" not in self.files.paths:
            return _count_tokens(self.tokens)
        ids, counts = _read_unigrams(self.files.path("unigram"))
        if counts.sum() != len(self.tokens) or (len(ids) and (ids[0] < 0 or ids[-1] > self.separator)):
            raise self._damage("unigram", f"its counts do not add up to the {len(self.tokens)} tokens of the stream")
        some = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _SAMPLES)).astype(np.int64))
        begins, ends = self.table.find(ids[some].astype(self.tokens.dtype), np.arange(len(some) + 1))
        if len(wrong := np.flatnonzero(ends - begins != counts[some])):
            token = ids[some[wrong[0]]]
            raise self._damage("unigram", f"token {token} occurs {(ends - begins)[wrong[0]]} times in the stream")
        return ids, counts

    # ------------------------------------------------------------------------------------ checks when it is opened

    def _check_documents(self) -> None:
        """Offsets ascend from 0 by whole tokens, and a separator stands at each; of very many, a sample."""
        if (len(self.offsets) == 0) != (len(self.tokens) == 0):
            raise self._damage("offset", f"{len(self.offsets)} documents for a stream of {len(self.tokens)} tokens")
        if not len(self.offsets):
            return
        if self.offsets[0] != 0:
            raise self._damage("offset", f"the first document begins at byte {self.offsets[0]}, not 0")
        some = _sample(len(self.offsets), _OFFSETS_READ_WHOLE)
        offsets = self.offsets[some]
        if (offsets[1:] <= offsets[:-1]).any() or offsets[-1] >= self.tokens.nbytes or (offsets % self.width).any():
            raise self._damage("offset", f"offsets do not ascend by whole tokens within {self.tokens.nbytes} bytes")
        for number in _sample(len(self.offsets), _SAMPLES).tolist():
            self.document(number)

    def _check_order(self) -> None:
        """Each sampled suffix is smaller than the next one."""
        if len(self.entries) != len(self.tokens) * self.entry_width:
            raise self._damage(
                "table",
                f"{len(self.entries)} bytes, expected {self.entry_width} for each of {len(self.tokens)} tokens of "
                f"{self.files.path('tokenized').name}",
            )
        ranks = _sample(len(self.tokens) - 1, _SAMPLES)
        text = self.tokens.view(np.uint8)
        starts = self.positions(ranks) * self.width
        following = self.positions(ranks + 1) * self.width
        for rank, a, b in zip(ranks.tolist(), starts.tolist(), following.tolist(), strict=True):
            if not _is_smaller(text, a, b):
                raise self._damage("table", f"ranks {rank} and {rank + 1} are not in the order of the stream")

    def _check_separators(self) -> None:
        """There are as many documents as separators."""
        begins, ends = self.table.find(np.array([self.separator], self.tokens.dtype), np.array([0, 1]))
        if ends[0] - begins[0] != self.num_documents:
            raise self._damage(
                "offset",
                f"{self.num_documents} documents, {self.files.path('tokenized').name} has {ends[0] - begins[0]}",
            )

    def _check_metadata(self, metadata: Bytes) -> None:
        """A line for each document, one after the other."""
        if len(self.lines) != self.num_documents:
            raise self._damage("metaoff", f"{len(self.lines)} lines for {self.num_documents} documents")
        if not len(self.lines):
            return
        lines = self.lines[_sample(len(self.lines), _OFFSETS_READ_WHOLE)]
        if lines[0] != 0 or (lines[1:] <= lines[:-1]).any() or lines[-1] >= len(metadata):
            raise self._damage(
                "metaoff",
                f"offsets do not ascend from 0 within the {len(metadata)} bytes of {self.files.path('metadata').name}",
            )
        for number in _sample(len(self.lines), _SAMPLES).tolist():
            self.line(number)

    def _no_offset(self, rank: int, start: int) -> DataLossError:
        return self._damage("table", f"entry {rank} holds {start}, which is not the offset of a token")

    def _damage(self, kind: str, what: str) -> DataLossError:
        return DataLossError(f"{self.files.path(kind)}: {what}")


def _read(path: Path, dtype: np.dtype[Any], load_to_ram: bool, advise: str = NORMAL) -> npt.NDArray[Any]:
    """A file as an array, mapped unless it is to be loaded."""
    try:
        size = path.stat().st_size
        if size % dtype.itemsize:
            raise DataLossError(f"{path} has {size} bytes, which is not a multiple of {dtype.itemsize}")
        return np.fromfile(path, dtype) if load_to_ram else map_file(path, dtype, advise)
    except OSError as error:
        raise DataLossError(f"{path} cannot be read: {error}") from error


def _is_smaller(text: Bytes, a: int, b: int) -> bool:
    """Whether the suffix at byte `a` is smaller than the one at `b`, or at least not larger as far as is looked."""
    for compared in _COMPARED_BYTES:
        before, after = text[a : a + compared].tobytes(), text[b : b + compared].tobytes()
        if before != after:
            return before < after
    return a != b and len(before) == len(after) == compared


def _sample(count: int, at_most: int) -> Int64s:
    """Numbers below `count`: all of them, or so many spread evenly with both ends."""
    if count <= at_most:
        return np.arange(max(count, 0))
    return np.unique(np.linspace(0, count - 1, at_most).astype(np.int64))


def _count_tokens(tokens: Tokens) -> tuple[Int64s, Int64s]:
    """The ids that occur, ascending, and how often; read in pieces, as the stream may be larger than the memory."""
    counts: Counter[int] = Counter()
    for begin in range(0, len(tokens), _COUNTED_TOKENS):
        some, found = np.unique(tokens[begin : begin + _COUNTED_TOKENS], return_counts=True)
        counts.update(dict(zip(some.tolist(), found.tolist(), strict=True)))
    ids = np.array(sorted(counts), np.int64)
    return ids, np.array([counts[token] for token in ids.tolist()], np.int64)


def _read_unigrams(path: Path) -> tuple[Int64s, Int64s]:
    """Lines of an id and its count, or of counts alone, whose ids are the numbers of the lines."""
    try:
        rows = [[int(word) for word in line.split()] for line in path.read_text("ascii").splitlines()]
    except (ValueError, OSError) as error:
        raise DataLossError(f"{path}: expected lines of a token and its count: {error}") from error
    if any(len(row) not in (1, 2) or not all(0 <= n < 1 << 62 for n in row) for row in rows):
        raise DataLossError(f"{path}: expected lines of a token and its count")
    counted = {row[0] if len(row) == 2 else number: row[-1] for number, row in enumerate(rows)}
    if len(counted) != len(rows):
        raise DataLossError(f"{path}: a token stands in two lines")
    ids = np.array(sorted(counted), np.int64)
    return ids, np.array([counted[token] for token in ids.tolist()], np.int64)
