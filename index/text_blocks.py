"""The text of a segment: one run of UTF-8 bytes, cut into zstd blocks of 16 KiB that are read by position."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from lodex.index.arrow_files import open_batches
from lodex.index.receipt import Artefact

BLOCK_BYTES = 16 * 1024
_BLOCKS_PER_BATCH = 256
_ZSTD_LEVEL = 3
_CACHED_BLOCKS = 16

SCHEMA = pa.schema(
    [
        pa.field("begin", pa.uint64(), nullable=False),
        pa.field("length", pa.uint32(), nullable=False),
        pa.field("checksum", pa.uint64(), nullable=False),
        pa.field("zstd", pa.binary(), nullable=False),
    ]
)


class TextBlockWriter:
    """Appends bytes and writes full blocks as it goes; memory is bounded by one batch of blocks (4 MiB of text)."""

    def __init__(self, path: Path) -> None:
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, SCHEMA)
        self._codec = pa.Codec("zstd", _ZSTD_LEVEL)
        self._open = bytearray()
        self._blocks: list[bytes] = []
        self._written = 0
        self.length = 0

    def append(self, data: bytes) -> None:
        """Add `data` at the end of the text."""
        self.length += len(data)
        self._open += data
        while len(self._open) >= BLOCK_BYTES:
            self._blocks.append(bytes(self._open[:BLOCK_BYTES]))
            del self._open[:BLOCK_BYTES]
            if len(self._blocks) == _BLOCKS_PER_BATCH:
                self._flush()

    def _flush(self) -> None:
        lengths = [len(block) for block in self._blocks]
        begins = self._written + np.concatenate([[0], np.cumsum(lengths)[:-1]])
        columns = [
            pa.array(begins, pa.uint64()),
            pa.array(lengths, pa.uint32()),
            pa.array([xxhash.xxh3_64_intdigest(block) for block in self._blocks], pa.uint64()),
            pa.array([self._codec.compress(block, asbytes=True) for block in self._blocks], pa.binary()),
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
        self._written += sum(lengths)
        self._blocks.clear()

    def close(self) -> None:
        """Write what is left and end the file."""
        if self._open:
            self._blocks.append(bytes(self._open))
            self._open.clear()
        if self._blocks:
            self._flush()
        self._writer.close()
        self._sink.close()


class TextBlocks:
    """Random and sequential reads over a published text file, mapped rather than loaded.

    Every block that is read is checked against its checksum; a block that differs raises DataLossError with its number.
    """

    def __init__(self, artefact: Artefact, name: str) -> None:
        self._artefact = artefact
        self._name = name
        batches = open_batches(artefact, name, SCHEMA)
        self._batches = [batch.column("zstd") for batch in batches]
        self._first_block = np.cumsum([0] + [len(batch) for batch in batches])
        self._begins = self._column(batches, "begin", np.uint64)
        self._lengths = self._column(batches, "length", np.uint32)
        self._checksums = self._column(batches, "checksum", np.uint64)
        ends = self._begins + self._lengths
        # Positions are computed by division, so every block but the last must be full.
        if np.any(self._begins != np.arange(len(ends), dtype=np.uint64) * BLOCK_BYTES) or np.any(
            self._lengths[:-1] != BLOCK_BYTES
        ):
            raise artefact.damaged(name, "has text blocks that do not follow each other")
        self.length = int(ends[-1]) if len(ends) else 0
        self._codec = pa.Codec("zstd")
        self._block = lru_cache(_CACHED_BLOCKS)(self._read_block)

    @staticmethod
    def _column(batches: list[pa.RecordBatch], name: str, dtype: type) -> np.ndarray:
        if not batches:
            return np.empty(0, dtype)
        return np.concatenate([batch.column(name).to_numpy() for batch in batches])

    def _read_block(self, block: int) -> bytes:
        batch = int(np.searchsorted(self._first_block, block, side="right")) - 1
        packed = self._batches[batch][block - int(self._first_block[batch])].as_buffer()
        try:
            text: bytes = self._codec.decompress(packed, int(self._lengths[block]), asbytes=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._artefact.damaged(self._name, f"has a text block {block} that is not zstd: {error}") from error
        if xxhash.xxh3_64_intdigest(text) != int(self._checksums[block]):
            raise self._artefact.damaged(self._name, f"has a text block {block} that does not match its checksum")
        return text

    @property
    def num_blocks(self) -> int:
        """Blocks of the text."""
        return len(self._lengths)

    def read(self, begin: int, end: int) -> bytes:
        """The bytes [begin, end) of the text. ValueError for a span outside it."""
        if not 0 <= begin <= end <= self.length:
            raise ValueError(f"text span [{begin}, {end}) lies outside [0, {self.length}) of {self._artefact.path}")
        if begin == end:
            return b""
        first, last = begin // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        if first == last:
            return self._block(first)[begin - first * BLOCK_BYTES : end - first * BLOCK_BYTES]
        data = b"".join(self._block(block) for block in range(first, last + 1))
        return data[begin - first * BLOCK_BYTES : end - first * BLOCK_BYTES]
