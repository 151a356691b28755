"""DatastoreService, the part that writes documents: ingest over a stream, and deletion."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import ClassVar

from lodex.config import Limits
from lodex.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError
from lodex.index.deletion import Deleted, delete_chosen, delete_documents
from lodex.index.predicates import matching_documents
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.service.call import Call, Requests, tell_cost
from lodex.service.checks import at_most
from lodex.service.filters import read_filter
from lodex.service.ingesting import Ingest, read_request_id
from lodex.service.server_state import ServerState
from lodex.service.status import to_status
from lodex.service.writing import WriteAccess, written_version
from lodex.v1 import common_pb2, datastore_pb2

PUBLISH_S = 1.0
_TICK_S = 0.2
# Beyond so many segments without some index, or in all, the sender is asked to wait, a little longer for each.
_UNINDEXED_SEGMENTS = 32
_SEGMENTS = 256
_WAIT_MS_PER_SEGMENT = 20
_LONGEST_WAIT_MS = 5000


class WritingHandler:
    """Adds and deletes documents. What it writes of a store is written by one thread, in turn."""

    SERVICE: ClassVar[str] = "DatastoreService"

    def __init__(self, access: WriteAccess, limits: Limits, state: ServerState) -> None:
        self._access = access
        self._limits = limits
        self._state = state
        # The stream that may publish for a request: the latest that was opened.
        self._streams: dict[tuple[str, str], Ingest] = {}

    async def ingest(self, requests: Requests, call: Call) -> AsyncGenerator[datastore_pb2.IngestResponse, None]:
        """Publish batches as they come, at most about a second after each, and acknowledge what is durable.

        A stream that is opened again takes over from the one before, which ends with ABORTED. A server that leaves
        publishes what it has, and ends the stream with UNAVAILABLE; one whose store is dropped ends with NOT_FOUND.
        """
        first = await requests.receive()
        if first is None or not first.HasField("start"):
            raise InvalidArgumentError("the first message of the stream must be start", "start")
        name = self._writable_name(first.start.store, "start.store")
        store = self._access.require(name)
        ingest = await call.run(Ingest, store, first.start, self._limits, writes=name)
        key = (name, ingest.request_id)
        self._streams[key] = ingest
        try:
            yield datastore_pb2.IngestResponse(started={"next_sequence": ingest.next_sequence})
            has_ended = False
            held_since = None
            while not has_ended:
                try:
                    message = await requests.receive(_TICK_S)
                except TimeoutError:
                    pass
                else:
                    has_ended = message is None
                    if message is not None:
                        await call.run(ingest.take, _batch_of(message), writes=name)
                self._access.require_same(name, store)
                now = time.monotonic()
                held_since = None if ingest.is_empty else held_since or now
                is_late = held_since is not None and now - held_since >= PUBLISH_S
                if not ingest.is_empty and (has_ended or ingest.is_due or is_late or self._state.draining):
                    held_since = None
                    done, wait_ms = await call.run(self._commit, name, store, ingest, writes=name)
                    if wait_ms and not has_ended:
                        # First, so that a sender who waits for the other one has heard it.
                        yield datastore_pb2.IngestResponse(backoff={"wait_ms": wait_ms})
                    yield datastore_pb2.IngestResponse(acknowledged=done)
                if self._state.draining and not has_ended:
                    raise UnavailableError("the server is leaving: go on at another with the same request_id")
            finished = await call.run(self._finish, name, store, ingest, writes=name)
            tell_cost(finished.info, call)
            yield datastore_pb2.IngestResponse(finished=finished)
        finally:
            if self._streams.get(key) is ingest:
                del self._streams[key]

    async def delete_documents(
        self, request: datastore_pb2.DeleteDocumentsRequest, call: Call
    ) -> datastore_pb2.DeleteDocumentsResponse:
        """Delete documents by their ids, each with its own error, or all for which a filter is true."""
        name = self._writable_name(request.store, "store")
        read_request_id(request.request_id, "request_id")
        at_most(request.doc_ids, self._limits.max_ingest_documents, "doc_ids", "documents")
        if bool(request.doc_ids) == request.HasField("filter"):
            raise InvalidArgumentError("a deletion takes either doc_ids or a filter", "doc_ids")
        deleted, source = await call.run(self._delete, name, request, writes=name)
        reply = datastore_pb2.DeleteDocumentsResponse(deleted=deleted.documents)
        missing = set(deleted.missing)
        for doc_id in request.doc_ids:
            result = reply.results.add()
            if doc_id in missing:
                result.error.CopyFrom(to_status(NotFoundError(f"no document {doc_id!r} in store {name!r}")))
        reply.info.sources.append(source)
        reply.info.usage.items = len(request.doc_ids)
        return reply

    def _commit(self, name: str, store: Store, ingest: Ingest) -> tuple[datastore_pb2.IngestAcknowledged, int]:
        """Publish what a stream holds; and for how many ms its sender should wait."""
        if self._streams.get((name, ingest.request_id)) is not ingest:
            raise ConflictError(f"another stream took over request {ingest.request_id!r} of store {name!r}")
        with self._access.writing(name, store):
            done = ingest.commit()
            return done, pressure_ms(store.snapshot()) if self._state.maintaining else 0

    def _finish(self, name: str, store: Store, ingest: Ingest) -> datastore_pb2.IngestFinished:
        self._access.require_same(name, store)
        finished = ingest.finish()
        finished.info.sources.append(written_version(name, store, finished.version))
        return finished

    def _delete(
        self, name: str, request: datastore_pb2.DeleteDocumentsRequest
    ) -> tuple[Deleted, common_pb2.Provenance]:
        with self._access.writing(name) as store:
            if request.doc_ids:
                deleted = delete_documents(store, list(request.doc_ids), request.request_id)
            else:
                wanted = read_filter(request.filter)
                deleted = delete_chosen(
                    store,
                    lambda snapshot: matching_documents(snapshot, wanted),
                    request.request_id,
                    request.filter.SerializeToString(deterministic=True),
                )
            return deleted, written_version(name, store, deleted.version)

    def _writable_name(self, store: str, path: str) -> str:
        """The name of a store that may be written; it is known, so that it may have a thread of its own."""
        self._access.catalog.require(store, path)
        name = self._access.catalog.resolve(store)
        self._access.require(name)
        return name


def pressure_ms(snapshot: Snapshot) -> int:
    """How long the sender of documents should wait, ms, so that indexes and compaction keep up; 0: not at all."""
    manifest = snapshot.manifest
    total = len(manifest.segments)
    lacking = max((total - len(entry.parts) for entry in manifest.indexes.values()), default=0)
    excess = max(lacking - _UNINDEXED_SEGMENTS, total - _SEGMENTS, 0)
    return min(excess * _WAIT_MS_PER_SEGMENT, _LONGEST_WAIT_MS)


def _batch_of(message: datastore_pb2.IngestRequest) -> datastore_pb2.IngestBatch:
    if not message.HasField("batch"):
        raise InvalidArgumentError("every message after the first must be a batch", "batch")
    return message.batch
