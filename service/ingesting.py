"""One stream of documents into a store: batches that are held, then published together and acknowledged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lodex.config import Limits
from lodex.errors import DuplicateDocumentError, InputError, InvalidArgumentError
from lodex.index.manifest import RequestEntry, known_request
from lodex.index.store import Store
from lodex.index.writer import StoreWriter, ingest_digest
from lodex.service.checks import at_most
from lodex.service.status import to_status
from lodex.types import Document
from lodex.v1 import common_pb2, datastore_pb2

PUBLISH_BYTES = 8 << 20
PUBLISH_DOCUMENTS = 10_000
MAX_REQUEST_ID_BYTES = 256


@dataclass(frozen=True, slots=True)
class _Batch:
    """The documents of a batch; those that are none are the errors that say why."""

    sequence: int
    items: tuple[Document | InputError, ...]
    doc_ids: tuple[str, ...]


class Ingest:
    """A stream of documents under one request id. It holds batches until `commit`; nothing waits here.

    Batches that an earlier stream of the same request made durable are passed over, so that each is added once.
    """

    def __init__(self, store: Store, start: datastore_pb2.IngestStart, limits: Limits) -> None:
        self.request_id = read_request_id(start.request_id, "start.request_id", required=True)
        self._store = store
        self._replace = start.replace
        self._stop_on_error = start.stop_on_error
        self._limits = limits
        self._held: list[_Batch] = []
        self._held_bytes = 0
        self._is_wanted = False
        self.next_sequence = self._durable().sequence + 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not self._held

    @property
    def is_due(self) -> bool:
        """Whether what is held is enough for a version of its own, or was asked to be published."""
        documents = sum(len(batch.items) for batch in self._held)
        return self._is_wanted or self._held_bytes >= PUBLISH_BYTES or documents >= PUBLISH_DOCUMENTS

    def take(self, batch: datastore_pb2.IngestBatch) -> None:
        """Hold the next batch; InvalidArgumentError for one that is out of turn, too large or empty of a number."""
        at_most(batch.documents, self._limits.max_ingest_documents, "batch.documents", "documents")
        if batch.sequence < 1 or batch.sequence > self.next_sequence:
            raise InvalidArgumentError(
                f"batch.sequence is {batch.sequence}, the next batch is {self.next_sequence}", "batch.sequence"
            )
        self._is_wanted = self._is_wanted or (batch.publish and not self.is_empty)
        if batch.sequence < self.next_sequence:
            return
        items = tuple(self._read(message) for message in batch.documents)
        if self._stop_on_error:
            for item in items:
                if isinstance(item, InputError):
                    raise item
        self._held.append(_Batch(batch.sequence, items, tuple(message.doc_id for message in batch.documents)))
        self._held_bytes += batch.ByteSize()
        self._is_wanted = self._is_wanted or batch.publish
        self.next_sequence += 1

    def commit(self) -> datastore_pb2.IngestAcknowledged:
        """Publish what is held as one version, and say which documents were left out.

        With `stop_on_error` the first one is raised, and nothing of what is held is published.
        """
        while True:
            reply = self._publish()
            if reply is not None:
                return reply

    def finish(self) -> datastore_pb2.IngestFinished:
        """The sums over all streams of the request."""
        done = self._durable()
        return datastore_pb2.IngestFinished(
            version=done.version or self._store.version,
            documents=done.documents,
            replaced=done.replaced,
            rejected=done.rejected,
            text_bytes=done.text_bytes,
        )

    def _durable(self) -> RequestEntry:
        """How far the request is carried out in the newest version."""
        manifest, digest = self._store.snapshot().manifest, ingest_digest(self._replace)
        known = known_request(manifest, self.request_id, "ingest", digest)
        return known or RequestEntry("ingest", digest, 0, 0)

    def _publish(self) -> datastore_pb2.IngestAcknowledged | None:
        """Publish what is held; None where another process published one of its doc_ids meanwhile.

        A fresh writer then refuses that document alone.
        """
        # An earlier stream of this request may have ended its last commit after this one began.
        durable = self._durable()
        batches = [batch for batch in self._held if batch.sequence > durable.sequence]
        reply = datastore_pb2.IngestAcknowledged(sequence=self.next_sequence - 1, version=durable.version)
        if batches:
            with self._store.writer(replace=self._replace) as writer:
                reply.rejected.extend(self._write(writer, batches))
                try:
                    reply.version = writer.commit(self.request_id, reply.sequence, len(reply.rejected)).version
                except DuplicateDocumentError:
                    return None
        self._held.clear()
        self._held_bytes = 0
        self._is_wanted = False
        return reply

    def _write(self, writer: StoreWriter, batches: list[_Batch]) -> Iterator[datastore_pb2.RejectedDocument]:
        """Add the documents of batches to a writer; those that it refuses."""
        for batch in batches:
            for i, item in enumerate(batch.items):
                try:
                    if isinstance(item, InputError):
                        raise item
                    writer.add(item)
                except InputError as error:
                    if self._stop_on_error:
                        raise
                    yield datastore_pb2.RejectedDocument(
                        sequence=batch.sequence, item=i, doc_id=batch.doc_ids[i], error=to_status(error)
                    )

    def _read(self, message: common_pb2.Document) -> Document | InputError:
        try:
            return read_document(message, self._limits.max_document_bytes)
        except InputError as error:
            return error


def read_document(message: common_pb2.Document, max_bytes: int) -> Document:
    """A document from its message; InputError for metadata that are no JSON object, and for too long a text."""
    size = len(message.text) if message.text.isascii() else len(message.text.encode())
    if size > max_bytes:
        raise InputError(f"document {message.doc_id[:80]!r} has {size} bytes of text, the limit is {max_bytes}")
    return Document(
        doc_id=message.doc_id,
        text=message.text,
        source=message.source,
        title=message.title,
        url=message.url,
        date=message.date,
        metadata=_metadata(message),
    )


def read_request_id(request_id: str, path: str, *, required: bool = False) -> str:
    """A request id; InvalidArgumentError for one that is too long, or missing where it is required."""
    if required and not request_id:
        raise InvalidArgumentError(f"{path} is required", path)
    if len(request_id.encode()) > MAX_REQUEST_ID_BYTES or not request_id.isprintable():
        raise InvalidArgumentError(f"{path} must have at most {MAX_REQUEST_ID_BYTES} bytes, all printable", path)
    return request_id


def _metadata(message: common_pb2.Document) -> dict[str, Any]:
    if not message.metadata_json:
        return {}
    try:
        value = json.loads(message.metadata_json, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"document {message.doc_id[:80]!r}: metadata_json is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"document {message.doc_id[:80]!r}: metadata_json is no JSON object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
