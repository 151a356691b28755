"""Token streams: a segment's documents as token ids, in the layout that infini-gram reads.

`tokenized.0` holds little-endian ids, each document preceded by one separator with all bits set; `offset.0` the byte
offset of each separator as u64. `stream.json` says what the ids mean and `tokenizer.json` is the tokenizer itself, so a
store explains its own tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError, InvalidArgumentError
from lodex.index.chunk_cache import ChunkCache
from lodex.index.jobs import TaskResult
from lodex.index.mapped_files import NORMAL, map_file
from lodex.index.receipt import Artefact, canonical_json
from lodex.index.segment import Segment
from lodex.index.tokenizer import TOKENIZER_FILE, TokenIds, Tokenizer
from lodex.types import Progress

TOKENS = "tokenized.0"
OFFSETS = "offset.0"
STREAM = "stream.json"
FORMAT_VERSION = 1
_DTYPES: Mapping[str, np.dtype[Any]] = {"u16": np.dtype("<u2"), "u32": np.dtype("<u4")}

# Encoding takes about a hundred bytes of memory for each byte of text, so batches are small; where a tokenizer encodes
# whole documents, cores share them.
_PIECE_BYTES = 1 << 17
_BATCH_BYTES = 1 << 20
_BATCH_PIECES = 4096
_BEFORE_SPACE = re.compile(rb"[!-~](?= )")

Piece = tuple[bool, bytes]


class TokensBuilder:
    """Encodes every document of a segment. Memory is bounded by a batch of 1 MiB of text and the longest document.

    With a tokenizer that cuts before spaces (`Tokenizer.splits_before_spaces`) words that come again are looked up, see
    `ChunkCache`, on one core; else documents are encoded whole, on all cores.
    """

    kind = "tokens"
    depends_on: tuple[str, ...] = ()

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.config: Mapping[str, Any] = {
            "tokenizer": tokenizer.name,
            "fingerprint": tokenizer.fingerprint,
            "eos_id": tokenizer.eos_id,
        }
        self._cache = ChunkCache(tokenizer) if tokenizer.splits_before_spaces else None

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes the `tokenizer.json`, which it reads once."""
        tokenizer = self._tokenizer
        return _builder_of, (tokenizer.to_json(), tokenizer.name, tokenizer.eos_id)

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write the four files of a stream; `details` of the result has the number of tokens without separators."""
        dtype = self._tokenizer.dtype
        separator = np.full(1, np.iinfo(dtype).max, dtype).tobytes()
        documents = position = 0
        progress.start("tokens", segment.text_bytes, "bytes")
        with (out / TOKENS).open("wb") as tokens_file, (out / OFFSETS).open("wb") as offsets_file:
            for batch in _batches(self._pieces(segment)):
                parts: list[bytes] = []
                offsets: list[int] = []
                encoded = self._encode([piece for _, piece in batch])
                for (starts_document, _), ids in zip(batch, encoded, strict=True):
                    if starts_document:
                        offsets.append(position)
                        parts.append(separator)
                        position += len(separator)
                    parts.append(ids)
                    position += len(ids)
                documents += len(offsets)
                tokens_file.write(b"".join(parts))
                offsets_file.write(np.array(offsets, "<u8").tobytes())
                progress.advance(sum(len(piece) for _, piece in batch))
        progress.finish()
        tokens = position // dtype.itemsize - documents
        (out / TOKENIZER_FILE).write_text(self._tokenizer.to_json(), encoding="utf-8")
        (out / STREAM).write_bytes(canonical_json(self._description(documents, tokens)))
        return TaskResult(rows=documents, details={"tokens": tokens})

    def _encode(self, texts: Sequence[bytes]) -> list[bytes]:
        """The ids of each text, as the bytes of a stream."""
        if self._cache is not None:
            return self._cache.encode_batch(texts)
        return [ids.tobytes() for ids in self._tokenizer.encode_batch([text.decode() for text in texts])]

    def _description(self, documents: int, tokens: int) -> dict[str, Any]:
        dtype = self._tokenizer.dtype
        return {
            "format": "lodex-tokens",
            "format_version": FORMAT_VERSION,
            "minimum_reader": FORMAT_VERSION,
            **self.config,
            "vocab_size": self._tokenizer.vocab_size,
            "bos": "none",
            "dtype": next(name for name, known in _DTYPES.items() if known == dtype),
            "documents": documents,
            "tokens": tokens,
        }

    def _pieces(self, segment: Segment) -> Iterator[Piece]:
        """The documents in pieces that encode as the whole does, each with whether a document starts with it."""
        for _, text in segment.texts():
            begin = 0
            while self._tokenizer.splits_before_spaces and len(text) - begin > _PIECE_BYTES:
                cut = _BEFORE_SPACE.search(text, begin + _PIECE_BYTES)
                if cut is None:
                    break
                yield begin == 0, text[begin : cut.end()]
                begin = cut.end()
            yield begin == 0, text[begin:]


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Runs of pieces that together reach 1 MiB, or 4096 of them."""
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece[1])
        if size >= _BATCH_BYTES or len(batch) == _BATCH_PIECES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class TokenStream:
    """A segment's token stream, mapped and checked.

    `tokens` (n,) holds all ids with a `separator` before each document; `offsets` (num_documents,) uint64 are the byte
    offsets of the separators. Token positions index `tokens`, separators included. To language models the separator is
    `eos_id`.
    """

    def __init__(self, artefact: Artefact) -> None:
        self._artefact = artefact
        path = artefact.file(STREAM)
        try:
            stream = json.loads(path.read_bytes())
            if stream["format"] != "lodex-tokens":
                raise DataLossError(f"{path} does not describe a token stream but {stream['format']!r}")
            if stream["minimum_reader"] > FORMAT_VERSION:
                raise DataLossError(
                    f"{path} needs a reader of format {stream['minimum_reader']}, this Lodex reads {FORMAT_VERSION}"
                )
            self.tokenizer_name: str = stream["tokenizer"]
            self.tokenizer_fingerprint: str = stream["fingerprint"]
            self.vocab_size: int = stream["vocab_size"]
            self.eos_id: int = stream["eos_id"]
            self.dtype = _DTYPES[stream["dtype"]]
            self.num_tokens: int = stream["tokens"]
            self.num_documents: int = stream["documents"]
            num_items = self.num_tokens + self.num_documents
            differs = [name for name, value in artefact.receipt.config.items() if stream[name] != value]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataLossError(f"{path} cannot be read: {error!r}") from error
        if differs:
            raise DataLossError(f"{path} has another {differs[0]} than its receipt")
        if self.num_documents != artefact.receipt.rows:
            raise DataLossError(f"{path} has {self.num_documents} documents, its receipt {artefact.receipt.rows}")
        self.separator = int(np.iinfo(self.dtype).max)
        self.tokens: TokenIds = _map(artefact.file(TOKENS), self.dtype, num_items, artefact.guard.advice)
        self.offsets: npt.NDArray[np.uint64] = _map(artefact.file(OFFSETS), np.dtype("<u8"), self.num_documents)
        self._check_offsets()

    def _check_offsets(self) -> None:
        offsets, width = self.offsets, self.dtype.itemsize
        if not len(offsets):
            if len(self.tokens):
                raise DataLossError(f"{self._artefact.path / OFFSETS} names no documents for {len(self.tokens)} tokens")
            return
        in_range = offsets[0] == 0 and offsets[-1] < self.tokens.nbytes
        if not in_range or (offsets % width).any() or (offsets[1:] <= offsets[:-1]).any():
            raise DataLossError(
                f"{self._artefact.path / OFFSETS} is not an ascending list of places in {self.tokens.nbytes} bytes"
            )

    def document(self, row: int) -> TokenIds:
        """The ids of a document, (n,), without its separator."""
        if not 0 <= row < self.num_documents:
            raise InvalidArgumentError(f"row {row} is not in [0, {self.num_documents})", "row")
        begin = int(self.offsets[row]) // self.dtype.itemsize + 1
        end = int(self.offsets[row + 1]) // self.dtype.itemsize if row + 1 < self.num_documents else len(self.tokens)
        return self.tokens[begin:end]

    def rows_of(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The document row of each token position; a separator belongs to the document that it precedes."""
        places = np.asarray(positions).astype(np.uint64) * np.uint64(self.dtype.itemsize)
        return np.asarray(np.searchsorted(self.offsets, places, side="right") - 1, np.int64)

    def positions_in_document(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """How many tokens of its document stand before each token position; -1 for a separator."""
        places = np.asarray(positions, np.int64)
        begins = self.offsets[self.rows_of(places)].astype(np.int64) // self.dtype.itemsize
        return np.asarray(places - begins - 1, np.int64)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made this stream, from the copy beside it."""
        path = self._artefact.file(TOKENIZER_FILE)
        try:
            tokenizer = _open_tokenizer(path.read_text(encoding="utf-8"), self.tokenizer_name, self.eos_id)
        except (InvalidArgumentError, UnicodeDecodeError) as error:
            raise DataLossError(f"{path} cannot be read: {error}") from error
        if tokenizer.fingerprint != self.tokenizer_fingerprint:
            raise DataLossError(f"{path} is {tokenizer.fingerprint}, the stream is of {self.tokenizer_fingerprint}")
        return tokenizer


@lru_cache(maxsize=2)
def _builder_of(json_text: str, name: str, eos_id: int) -> TokensBuilder:
    return TokensBuilder(_open_tokenizer(json_text, name, eos_id))


@lru_cache(maxsize=8)
def _open_tokenizer(json_text: str, name: str, eos_id: int) -> Tokenizer:
    """The segments of a store, and its versions, share one tokenizer: loading it costs more than a thousand queries."""
    return Tokenizer(json_text, name, eos_id)


def _map(path: Path, dtype: np.dtype[Any], count: int, advice: str = NORMAL) -> npt.NDArray[Any]:
    """A read-only array over a file, which must hold exactly `count` items."""
    size = path.stat().st_size
    if size != count * dtype.itemsize:
        raise DataLossError(f"{path} has {size} bytes, {count} items of {dtype.itemsize} were expected")
    return map_file(path, dtype, advice)
