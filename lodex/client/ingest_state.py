"""What an ingest has sent and not yet been told of, the same for both clients."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lodex.client.codec import asked
from lodex.client.results import IngestResult, Rejected
from lodex.client.status import error_of
from lodex.errors import InputError, InvalidArgumentError
from lodex.types import Document
from lodex.v1 import common_pb2, datastore_pb2

BATCH_DOCUMENTS = 1000
BATCH_BYTES = 4 << 20
DOCUMENT_BYTES = (64 << 20) - 1024
"""What fits into a message of a server that has the default limits, with room for what is around it."""
WINDOW_BYTES = 32 << 20
"""Bytes of batches that are kept until the server has them; then it is asked to publish, and waited for."""
ATTEMPTS = 8
"""Streams that may fail one after another, without any progress, before the error is raised."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What is said once for a whole ingest."""

    store: str
    request_id: str
    replace: bool
    stop_on_error: bool
    batch: int

    @classmethod
    def make(cls, store: str, request_id: str | None, replace: bool, stop_on_error: bool, batch: int) -> IngestOptions:
        """With a request id of its own unless one is given; InvalidArgumentError for a batch of none."""
        if batch < 1:
            raise InvalidArgumentError(f"batch is {batch}, it must be positive", "batch")
        return cls(store, request_id or secrets.token_hex(16), replace, stop_on_error, batch)

    def start(self) -> datastore_pb2.IngestRequest:
        """The first message of each stream."""
        start = asked(
            datastore_pb2.IngestStart,
            "start",
            store=self.store,
            request_id=self.request_id,
            replace=self.replace,
            stop_on_error=self.stop_on_error,
        )
        return datastore_pb2.IngestRequest(start=start)


@dataclass
class _Sent:
    """A batch that is kept, and the place of its first document among all."""

    message: datastore_pb2.IngestRequest
    position: int
    bytes: int


@dataclass
class IngestState:
    """Batches by their numbers, from when they are made until they are acknowledged. It knows no stream."""

    options: IngestOptions
    result: IngestResult | None = None
    is_started: bool = False
    next_sequence: int = 1
    progress: int = 0
    errors: list[Rejected] = field(default_factory=list)
    made: int = 0
    _wait_s: float = 0.0
    _position: int = 0
    _left_out: int = 0
    _kept: dict[int, _Sent] = field(default_factory=dict)
    _kept_bytes: int = 0
    _durable: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no further batch should be sent before some are acknowledged."""
        return self._kept_bytes >= WINDOW_BYTES

    def keep(self, documents: list[common_pb2.Document]) -> None:
        """Make the next batch."""
        self.made += 1
        batch = datastore_pb2.IngestBatch(sequence=self.made, documents=documents)
        if self.made > self._durable:
            size = batch.ByteSize()
            self._kept_bytes += size
            batch.publish = self.is_full
            message = datastore_pb2.IngestRequest(batch=batch)
            self._kept[self.made] = _Sent(message, self._position, size)
        self._position += len(documents)

    def leave_out(self, doc_id: str, error: InputError) -> None:
        """Pass over the document after those of the batches so far; it is raised where the ingest stops on errors."""
        if self.options.stop_on_error:
            raise error
        self.errors.append(Rejected(self._position, doc_id, error))
        self._position += 1
        self._left_out += 1

    def get(self, sequence: int) -> datastore_pb2.IngestRequest | None:
        """A batch that was made; None for one that is durable already."""
        sent = self._kept.get(sequence)
        return None if sent is None else sent.message

    def read(self, message: datastore_pb2.IngestResponse) -> None:
        """Take in what the server says."""
        if message.HasField("started"):
            self._acknowledge(message.started.next_sequence - 1)
            self.next_sequence = message.started.next_sequence
            self.is_started = True
        elif message.HasField("acknowledged"):
            for rejected in message.acknowledged.rejected:
                sent = self._kept.get(rejected.sequence)
                position = rejected.item + (sent.position if sent else 0)
                self.errors.append(Rejected(position, rejected.doc_id, error_of(rejected.error)))
            self._acknowledge(message.acknowledged.sequence)
        elif message.HasField("backoff"):
            self._wait_s = message.backoff.wait_ms / 1000
        elif message.HasField("finished"):
            sums = message.finished
            self.result = IngestResult(
                version=sums.version,
                documents=sums.documents,
                replaced=sums.replaced,
                rejected=sums.rejected + self._left_out,
                text_bytes=sums.text_bytes,
                request_id=self.options.request_id,
                errors=tuple(sorted(self.errors, key=lambda rejected: rejected.position)),
            )

    def take_wait_s(self) -> float:
        """How long the server asked to wait before the next batch, in seconds; it is asked for once."""
        wait_s, self._wait_s = self._wait_s, 0.0
        return wait_s

    def _acknowledge(self, sequence: int) -> None:
        self._durable = max(self._durable, sequence)
        for done in [number for number in self._kept if number <= sequence]:
            self._kept_bytes -= self._kept.pop(done).bytes
            self.progress += 1


class Batches:
    """Puts documents into batches of at most so many and, unless one alone has more, so many bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._documents: list[common_pb2.Document] = []
        self._bytes = 0

    def add(self, document: Document) -> list[common_pb2.Document] | None:
        """Take a document; the batch before it, where that is complete. InputError for one that no message holds."""
        message = document_message(document)
        size = message.ByteSize()
        if size > DOCUMENT_BYTES:
            raise InputError(
                f"document {document.doc_id[:80]!r} takes {size:,} bytes of a message, which holds {DOCUMENT_BYTES:,}"
            )
        full = None
        if self._documents and (len(self._documents) >= self._most or self._bytes + size > BATCH_BYTES):
            full = self.rest()
        self._documents.append(message)
        self._bytes += size
        return full

    def rest(self) -> list[common_pb2.Document]:
        """What is not given out yet."""
        documents, self._documents, self._bytes = self._documents, [], 0
        return documents


def document_message(document: Document) -> common_pb2.Document:
    """A document as a message; InvalidArgumentError for what has no place in one."""
    if not isinstance(document, Document):
        raise InvalidArgumentError(f"expected a Document, got {type(document).__name__}", "documents")
    return asked(
        common_pb2.Document,
        "documents",
        doc_id=document.doc_id,
        text=document.text,
        source=document.source,
        title=document.title,
        url=document.url,
        date=document.date,
        metadata_json=_json(document.metadata),
    )


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False) if metadata else ""
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"metadata is not JSON: {error}", "documents.metadata") from error


def pauses_s() -> Iterator[float]:
    """How long to wait before each further stream, in seconds: twice as long each time, up to five."""
    pause = 0.1
    while True:
        yield pause
        pause = min(2 * pause, 5.0)
