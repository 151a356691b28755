"""Segments: what ingest wrote, text and documents, immutable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from lodex.errors import DataLossError, FailedPreconditionError, InputError
from lodex.index.arrow_files import open_batches, write_single_batch
from lodex.index.files import Staging, storage_error, storage_errors
from lodex.index.receipt import RECEIPT, UNWATCHED, Artefact, FileRecord, Guard, Receipt, read_receipt, record_files
from lodex.index.text_blocks import TextBlocks, TextBlockWriter
from lodex.types import Document

TEXT = "text.arrow"
DOCUMENTS = "documents.arrow"
LOOKUP = "lookup.arrow"
MAX_DOC_ID_BYTES = 1024
# What is nested much deeper can be written from one depth of calls and not read from another.
MAX_METADATA_DEPTH = 100

_FIELDS = ("doc_id", "source", "title", "url", "date", "metadata")
DOCUMENTS_SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in _FIELDS]
    + [pa.field("begin", pa.uint64(), nullable=False), pa.field("end", pa.uint64(), nullable=False)]
)
LOOKUP_SCHEMA = pa.schema(
    [pa.field("doc_id_hash", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)]
)
_ROWS_PER_BATCH = 8192
_FIELD_BYTES_PER_BATCH = 4 << 20


def doc_id_hash(doc_id: str) -> int:
    """The 64-bit hash by which a segment finds a doc_id; equal hashes are told apart by the doc_id itself."""
    return xxhash.xxh3_64_intdigest(doc_id.encode("utf-8", "surrogatepass"))


def segment_id(files: Mapping[str, FileRecord]) -> str:
    """The content address of a segment: a hash of the checksums of its text and its documents."""
    return xxhash.xxh3_128_hexdigest("\n".join(files[name].checksum for name in (TEXT, DOCUMENTS)).encode())


def lookup_of(hashes: npt.NDArray[np.uint64]) -> pa.RecordBatch:
    """The table that finds documents, from the hashes of their doc_ids (num_documents,) in the order of rows."""
    order = np.argsort(hashes, kind="stable")
    columns = [pa.array(hashes[order], pa.uint64()), pa.array(order, pa.uint32())]
    return pa.record_batch(columns, schema=LOOKUP_SCHEMA)


class SegmentWriter:
    """Streams documents into a new segment; `publish` makes it durable under its content address.

    Memory is bounded by one batch of text (4 MiB), one of document fields and 12 bytes a document.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = Staging(root / "segments")
        with storage_errors(root):
            self._text = TextBlockWriter(self._staging.path / TEXT)
            self._sink = pa.OSFile(str(self._staging.path / DOCUMENTS), "wb")
            self._documents = pa.ipc.new_file(self._sink, DOCUMENTS_SCHEMA)
        self._batch: list[tuple[Any, ...]] = []
        self._batch_bytes = 0
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._failed = False
        self.num_documents = 0

    @property
    def text_bytes(self) -> int:
        """Bytes of UTF-8 text so far."""
        return self._text.length

    def append(self, text: bytes, fields: tuple[str, ...]) -> int:
        """Write a document as `encode_document` gives it, and return its row."""
        self._require_whole()
        begin = self._text.length
        try:
            self._text.append(text)
            self._batch.append((*fields, begin, self._text.length))
            self._batch_bytes += sum(map(len, fields))
            if len(self._batch) == _ROWS_PER_BATCH or self._batch_bytes > _FIELD_BYTES_PER_BATCH:
                self._flush()
        except OSError as error:
            self._failed = True
            raise storage_error(error, self._root) from error
        self.num_documents += 1
        return self.num_documents - 1

    def _require_whole(self) -> None:
        """A file that could not be written has a hole: nothing more is added to it, and it is never published."""
        if self._failed:
            raise FailedPreconditionError(f"a write to {self._root} failed before; start with a new writer")

    def _flush(self) -> None:
        columns = [
            pa.array(column, field.type)
            for column, field in zip(zip(*self._batch, strict=True), DOCUMENTS_SCHEMA, strict=True)
        ]
        self._documents.write_batch(pa.record_batch(columns, schema=DOCUMENTS_SCHEMA))
        self._hashes.append(np.array([doc_id_hash(row[0]) for row in self._batch], np.uint64))
        self._batch.clear()
        self._batch_bytes = 0

    def publish(self) -> Artefact:
        """Finish the files and rename the segment into place."""
        self._require_whole()
        self._failed = True
        with storage_errors(self._root):
            return self._publish()

    def _publish(self) -> Artefact:
        if self._batch:
            self._flush()
        self._text.close()
        self._documents.close()
        self._sink.close()
        self._write_lookup()
        files = record_files(self._staging.path)
        address = segment_id(files)
        receipt = Receipt("segment", address, (), {}, self.num_documents, {"text_bytes": self.text_bytes}, files)
        (self._staging.path / RECEIPT).write_bytes(receipt.to_bytes())
        final = self._root / "segments" / address
        self._staging.publish(final)
        self._staging.close()
        return Artefact(final, read_receipt(final))

    def _write_lookup(self) -> None:
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, np.uint64)
        write_single_batch(self._staging.path / LOOKUP, lookup_of(hashes))

    def discard(self) -> None:
        """Give up: nothing of this segment stays."""
        self._sink.close()
        self._staging.close()


def encode_document(document: Document) -> tuple[bytes, tuple[str, ...]]:
    """A document's text as UTF-8 and its fields as strings; InputError names the field that cannot be stored."""
    if not isinstance(document.text, str):
        raise InputError(f"document {document.doc_id!r}: text must be a string, not {type(document.text).__name__}")
    try:
        text = document.text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"document {document.doc_id!r}: text is not valid Unicode: {error}") from error
    try:
        metadata = json.dumps(dict(document.metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"document {document.doc_id!r}: metadata is not JSON: {error}") from error
    if _is_deeper(document.metadata, MAX_METADATA_DEPTH):
        raise InputError(f"document {document.doc_id!r}: metadata is nested more than {MAX_METADATA_DEPTH} deep")
    fields = (document.doc_id, document.source, document.title, document.url, document.date, metadata)
    for name, value in zip(_FIELDS, fields, strict=True):
        if not isinstance(value, str):
            raise InputError(f"document {document.doc_id!r}: {name} must be a string, not {type(value).__name__}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"document {document.doc_id!r}: {name} is not valid Unicode: {error}") from error
    if not document.doc_id or len(document.doc_id.encode()) > MAX_DOC_ID_BYTES or not document.doc_id.isprintable():
        raise InputError(
            f"doc_id must be 1 to {MAX_DOC_ID_BYTES} bytes of printable characters, got {document.doc_id[:80]!r}"
        )
    return text, fields


def _is_deeper(value: Any, limit: int) -> bool:
    """Whether JSON is nested deeper than a limit, the outermost object counting one."""
    level = [value]
    for _ in range(limit):
        level = [item for inner in level if isinstance(inner, (Mapping, list, tuple)) for item in _items(inner)]
        if not level:
            return False
    return any(isinstance(item, (Mapping, list, tuple)) for item in level)


def _items(value: Mapping[str, Any] | Sequence[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


class Segment:
    """A published segment. Opening checks that its files are there and whole in size; each is mapped on first use.

    So a writer that only asks for doc_ids, or a store that only counts, maps nothing of the text. One that is `refused`
    opens, so that the others of its version can be read, and raises DataLossError when it is asked for anything.
    """

    def __init__(self, path: Path, receipt: Receipt, guard: Guard = UNWATCHED, refused: str = "") -> None:
        self._files = Artefact(path, receipt, guard, refused)
        if not refused:
            for name in (TEXT, DOCUMENTS, LOOKUP):
                self._files.require(name)
        self.id = receipt.id
        self.num_documents = receipt.rows
        self.text_bytes = int(receipt.details["text_bytes"])

    @cached_property
    def _text(self) -> TextBlocks:
        text = TextBlocks(self._files, TEXT)
        if text.length != self.text_bytes:
            raise DataLossError(
                f"{self._files.path}: {self.text_bytes} bytes in the receipt, {text.length} in the text"
            )
        return text

    @cached_property
    def batches(self) -> list[pa.RecordBatch]:
        """The documents as columns of `DOCUMENTS_SCHEMA`, in the order of rows."""
        batches = open_batches(self._files, DOCUMENTS, DOCUMENTS_SCHEMA)
        self._require_rows(sum(map(len, batches)))
        return batches

    @cached_property
    def _first_row(self) -> npt.NDArray[np.int64]:
        return np.cumsum([0] + [len(batch) for batch in self.batches])

    @cached_property
    def _fields(self) -> list[tuple[pa.StringArray, ...]]:
        return [tuple(batch.column(name) for name in _FIELDS) for batch in self.batches]

    @cached_property
    def begins(self) -> npt.NDArray[np.uint64]:
        """Where each document begins in the segment's text, (num_documents,) bytes."""
        return _positions(self.batches, "begin")

    @cached_property
    def ends(self) -> npt.NDArray[np.uint64]:
        """Where each document ends in the segment's text, (num_documents,) bytes."""
        return _positions(self.batches, "end")

    @cached_property
    def _lookup(self) -> pa.RecordBatch:
        lookup = open_batches(self._files, LOOKUP, LOOKUP_SCHEMA)
        self._require_rows(len(lookup[0]) if len(lookup) == 1 else 0)
        return lookup[0]

    @cached_property
    def doc_id_hashes(self) -> npt.NDArray[np.uint64]:
        """The hashes of all doc_ids, ascending, (num_documents,)."""
        hashes: npt.NDArray[np.uint64] = self._lookup.column("doc_id_hash").to_numpy()
        return hashes

    @cached_property
    def lookup_rows(self) -> npt.NDArray[np.uint32]:
        """The row of the document behind each of `doc_id_hashes`, (num_documents,)."""
        rows: npt.NDArray[np.uint32] = self._lookup.column("row").to_numpy()
        return rows

    def _require_rows(self, found: int) -> None:
        if found != self.num_documents:
            raise DataLossError(
                f"{self._files.path}: {self.num_documents} documents in the receipt, {found} in the files"
            )

    @property
    def artefact(self) -> Artefact:
        """The segment's files and receipt."""
        return self._files

    def _locate(self, row: int) -> tuple[tuple[pa.StringArray, ...], int]:
        """The columns that hold a row, in the order of `_FIELDS`, and its place in them."""
        batch = int(self._first_row.searchsorted(row, side="right")) - 1
        return self._fields[batch], row - int(self._first_row[batch])

    def doc_id(self, row: int) -> str:
        """The doc_id of a row."""
        columns, i = self._locate(row)
        doc_id: str = columns[0][i].as_py()
        return doc_id

    def row_of(self, doc_id: str) -> int | None:
        """The row of a doc_id, None where this segment has no such document."""
        wanted = np.uint64(doc_id_hash(doc_id))
        first = int(self.doc_id_hashes.searchsorted(wanted))
        while first < self.num_documents and self.doc_id_hashes[first] == wanted:
            row = int(self.lookup_rows[first])
            if self.doc_id(row) == doc_id:
                return row
            first += 1
        return None

    def header(self, row: int) -> Document:
        """A document's fields, with "" for its text."""
        columns, i = self._locate(row)
        values = [column[i].as_py() for column in columns]
        doc_id, source, title, url, date, metadata = values
        try:
            return Document(doc_id, "", source, title, url, date, json.loads(metadata))
        except ValueError as error:
            raise self._files.damaged(DOCUMENTS, f"has metadata of row {row} that is not JSON: {error}") from error

    def document(self, row: int) -> Document:
        """A whole document."""
        head = self.header(row)
        try:
            text = self.read(int(self.begins[row]), int(self.ends[row])).decode()
        except ValueError as error:
            raise self._files.damaged(DOCUMENTS, f"gives a wrong place for the text of row {row}: {error}") from error
        return Document(head.doc_id, text, head.source, head.title, head.url, head.date, head.metadata)

    def read(self, begin: int, end: int) -> bytes:
        """The bytes [begin, end) of the segment's text; a document's are [begins[row], ends[row])."""
        return self._text.read(begin, end)

    def texts(self, start_row: int = 0) -> Iterator[tuple[int, bytes]]:
        """Every document's row and UTF-8 text, in row order."""
        for row in range(start_row, self.num_documents):
            yield row, self.read(int(self.begins[row]), int(self.ends[row]))


def _positions(batches: list[pa.RecordBatch], name: str) -> npt.NDArray[np.uint64]:
    columns = [batch.column(name).to_numpy() for batch in batches]
    return np.concatenate(columns) if columns else np.empty(0, np.uint64)
