"""Passages: byte spans of documents, the unit of retrieval. One chunking is one artefact; several may coexist."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from lodex.errors import InvalidArgumentError
from lodex.index.arrow_files import open_batches, write_single_batch
from lodex.index.jobs import TaskResult
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.types import Passage, Progress

DEFAULT_CHUNKING = "180w"
PASSAGES = "passages.arrow"
SCHEMA = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("ordinal", pa.uint32(), nullable=False),
        pa.field("begin", pa.uint64(), nullable=False),
        pa.field("end", pa.uint64(), nullable=False),
        pa.field("key", pa.binary(16), nullable=False),
    ]
)

# A run longer than this counts as several words, and so does every character of a script that is written without
# spaces: otherwise a page of Chinese or of base64 would be one "word" that no encoder reads whole.
_MAX_WORD = 32
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,{_MAX_WORD}}}")
_PLAIN_WORD = re.compile(r"\S+")
# What an encoder's tokenizer makes of a word, nearly: 0.94 to 1.05 of its tokens on prose, abstracts and code
# (docs/adr/0003).
_PIECE = re.compile(r"[^\W_]{1,6}|[^\w\s]|_")
_MAX_WORDS = 180
_MAX_PIECES = 220
_SENTENCE_END = tuple(".!?\u3002\uff01\uff1f")

Span = tuple[int, int]


def chunk_180w(text: str) -> Iterator[Span]:
    """At most 180 words, fewer where they are long or full of punctuation, so that a 256-token encoder reads them all.

    A passage ends at a paragraph, or else at a sentence, where one ends in the second half of the window.
    """
    words, pieces = [], [0]
    for match in _WORD.finditer(text):
        words.append(match.span())
        pieces.append(pieces[-1] + _count_pieces(match[0]))
    start = 0
    while start < len(words):
        whole = bisect_right(pieces, pieces[start] + _MAX_PIECES, lo=start + 1) - 1
        stop = min(max(whole, start + 1), start + _MAX_WORDS, len(words))
        if stop < len(words):
            stop = _best_cut(text, words, start + (stop - start) // 2, stop)
        yield words[start][0], words[stop - 1][1]
        start = stop


@lru_cache(maxsize=1 << 16)  # a few words make up most of any text
def _count_pieces(word: str) -> int:
    return len(_PIECE.findall(word))


def _best_cut(text: str, words: list[Span], earliest: int, latest: int) -> int:
    sentence = 0
    for stop in range(latest, earliest, -1):
        gap = text[words[stop - 1][1] : words[stop][0]]
        if gap.count("\n") > 1:
            return stop
        if not sentence and gap and text[words[stop - 1][1] - 1] in _SENTENCE_END:
            sentence = stop
    return sentence or latest


def chunk_256w(text: str) -> Iterator[Span]:
    """Runs of 256 space-separated words, no overlap, the last one kept: the MassiveDS protocol (arXiv:2407.12854)."""
    words = [match.span() for match in _PLAIN_WORD.finditer(text)]
    for start in range(0, len(words), 256):
        yield words[start][0], words[min(start + 256, len(words)) - 1][1]


def chunk_document(text: str) -> Iterator[Span]:
    """The whole document, an empty one too."""
    yield 0, len(text)


CHUNKINGS: Mapping[str, Callable[[str], Iterator[Span]]] = {
    DEFAULT_CHUNKING: chunk_180w,
    "256w": chunk_256w,
    "document": chunk_document,
}


def passage_key(doc_id: str, begin: int, end: int, text: bytes) -> bytes:
    """16 bytes hashed from doc_id, byte span in the document and text: the same whatever segment it lies in."""
    return xxhash.xxh3_128_digest(b"%b\x00%d\x00%d\x00%b" % (doc_id.encode(), begin, end, text))


class PassagesBuilder:
    """Cuts every document of a segment by one of `CHUNKINGS`."""

    kind = "passages"
    depends_on: tuple[str, ...] = ()

    def __init__(self, chunking: str = DEFAULT_CHUNKING) -> None:
        if chunking not in CHUNKINGS:
            raise InvalidArgumentError(f"no chunking {chunking!r}; there are {', '.join(CHUNKINGS)}", "chunking")
        self._chunk = CHUNKINGS[chunking]
        self.config: Mapping[str, Any] = {"chunking": chunking}

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write `passages.arrow`: one record batch, passages in the order of documents and of their text."""
        rows, ordinals, begins, ends, keys = [], [], [], [], []
        progress.start("passages", segment.num_documents, "documents")
        for row, data in segment.texts():
            doc_id, base = segment.doc_id(row), int(segment.begins[row])
            for ordinal, (begin, end) in enumerate(_byte_spans(data, self._chunk)):
                rows.append(row)
                ordinals.append(ordinal)
                begins.append(base + begin)
                ends.append(base + end)
                keys.append(passage_key(doc_id, begin, end, data[begin:end]))
            progress.advance(1)
        progress.finish()
        columns = [pa.array(c, f.type) for c, f in zip((rows, ordinals, begins, ends, keys), SCHEMA, strict=True)]
        write_single_batch(out / PASSAGES, pa.record_batch(columns, schema=SCHEMA))
        return TaskResult(rows=len(rows))


def _byte_spans(data: bytes, chunk: Callable[[str], Iterator[Span]]) -> Iterator[Span]:
    """The spans of `chunk` in bytes of UTF-8 rather than in characters."""
    text = data.decode()
    if len(text) == len(data):
        yield from chunk(text)
        return
    characters = position = 0
    for begin, end in chunk(text):
        position += len(text[characters:begin].encode())
        first = position
        position += len(text[begin:end].encode())
        characters = end
        yield first, position


class PassageTable:
    """The passages of one segment under one chunking, mapped.

    `rows` uint32, `ordinals` uint32, `begins` and `ends` uint64 (byte spans in the segment's text), `keys` (n, 2)
    uint64 whose rows compare as the keys do; all in passage order.
    """

    def __init__(self, artefact: Artefact, segment: Segment) -> None:
        batches = open_batches(artefact, PASSAGES, SCHEMA)
        if len(batches) != 1:
            raise artefact.damaged(PASSAGES, f"has {len(batches)} record batches, a passage table has one")
        batch = batches[0]
        self._artefact = artefact
        self.segment = segment
        self.num_passages = len(batch)
        self.rows: npt.NDArray[np.uint32] = batch.column("row").to_numpy()
        self.ordinals: npt.NDArray[np.uint32] = batch.column("ordinal").to_numpy()
        self.begins: npt.NDArray[np.uint64] = batch.column("begin").to_numpy()
        self.ends: npt.NDArray[np.uint64] = batch.column("end").to_numpy()
        key_bytes = batch.column("key").buffers()[1]
        # Read as big-endian halves, so that comparing the numbers compares the bytes.
        self._keys = np.frombuffer(key_bytes, ">u8", count=2 * len(batch)) if len(batch) else np.empty(0, ">u8")
        is_within = (self.begins <= self.ends).all() and (self.ends <= segment.text_bytes).all()
        if artefact.receipt.rows != self.num_passages or not is_within or (self.rows >= segment.num_documents).any():
            raise artefact.damaged(PASSAGES, "does not fit its receipt or its segment")

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """(n, 2) uint64: the two halves of each key."""
        return self._keys.reshape(-1, 2).astype(np.uint64)

    def key(self, i: int) -> bytes:
        """The 16 bytes of a passage's key; keys order ties, ascending."""
        return self._keys[2 * i : 2 * i + 2].tobytes()

    def id(self, i: int) -> str:
        """The public id of a passage."""
        return f"{self.segment.doc_id(int(self.rows[i]))}#{self.ordinals[i]}"

    def find(self, row: int, ordinal: int) -> int | None:
        """The passage of a document by its ordinal, None where there is none."""
        first = int(self.rows.searchsorted(np.uint32(row)))
        i = first + ordinal
        return i if ordinal >= 0 and i < self.num_passages and self.rows[i] == row else None

    def text(self, i: int) -> str:
        """The text of a passage."""
        try:
            return self.segment.read(int(self.begins[i]), int(self.ends[i])).decode()
        except ValueError as error:
            raise self._artefact.damaged(PASSAGES, f"gives a wrong place for passage {i}: {error}") from error

    def texts(self, first: int, last: int) -> list[str]:
        """The texts of passages [first, last)."""
        return [self.text(i) for i in range(first, last)]

    def passage(self, i: int) -> Passage:
        """A passage with the fields of its document."""
        row = int(self.rows[i])
        head = self.segment.header(row)
        base = int(self.segment.begins[row])
        return Passage(
            id=f"{head.doc_id}#{self.ordinals[i]}",
            doc_id=head.doc_id,
            ordinal=int(self.ordinals[i]),
            begin=int(self.begins[i]) - base,
            end=int(self.ends[i]) - base,
            text=self.text(i),
            key=self.key(i).hex(),
            source=head.source,
            title=head.title,
            url=head.url,
            date=head.date,
            metadata=head.metadata,
        )
