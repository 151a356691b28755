"""Ingest by the client that blocks: documents are sent as they come, and sent again where a stream broke."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from lodex.client.ingest_state import ATTEMPTS, Batches, IngestOptions, IngestState, pauses_s
from lodex.client.results import IngestResult
from lodex.client.transport import Transport
from lodex.errors import InputError, InternalError, LodexError, UnavailableError
from lodex.types import Document
from lodex.v1 import common_pb2, datastore_pb2


class BlockingIngest:
    """One ingest. gRPC takes its requests in a thread of its own; in process they alternate with the answers."""

    def __init__(self, options: IngestOptions, documents: Iterable[Document]) -> None:
        self._state = IngestState(options)
        self._batches = _batches(documents, self._state)
        self._changed = threading.Condition()
        self._source = threading.Lock()
        self._failure: BaseException | None = None
        self._stream = 0

    def run(self, transport: Transport, timeout_s: float | None) -> IngestResult:
        """Open streams until one comes to its end; UnavailableError after some without any progress."""
        pauses, failed, progress = pauses_s(), 0, 0
        while True:
            try:
                return self._run_stream(transport, timeout_s)
            except UnavailableError:
                if self._state.progress > progress:
                    pauses, failed, progress = pauses_s(), 0, self._state.progress
                failed += 1
                if failed >= ATTEMPTS:
                    raise
            time.sleep(next(pauses))

    def _run_stream(self, transport: Transport, timeout_s: float | None) -> IngestResult:
        self._stream += 1
        self._state.is_started = False
        try:
            requests = self._requests(self._stream)
            with closing(transport.stream("DatastoreService", "Ingest", requests, timeout_s)) as messages:
                for message in messages:
                    assert isinstance(message, datastore_pb2.IngestResponse), "another message came; this is a bug"
                    with self._changed:
                        self._state.read(message)
                        self._changed.notify_all()
        except LodexError:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            with self._changed:
                self._stream += 1
                self._changed.notify_all()
        if self._state.result is None:
            raise InternalError("the server ended an ingest without saying what became of it")
        return self._state.result

    def _requests(self, stream: int) -> Iterator[datastore_pb2.IngestRequest]:
        """The messages of one stream. It ends when another takes over."""
        yield self._state.options.start()
        if not self._wait(stream, lambda: self._state.is_started):
            return
        sequence = self._state.next_sequence
        while (message := self._get(sequence)) is not None:
            yield message
            sequence += 1
            if not self._wait(stream, lambda: not self._state.is_full):
                return
            wait_s = self._state.take_wait_s()
            if wait_s and not self._wait(stream, lambda: False, wait_s):
                return

    def _wait(self, stream: int, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Wait for a condition, or so long; False where the stream is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._stream != stream or ready(), timeout_s)
            return self._stream == stream

    def _get(self, sequence: int) -> datastore_pb2.IngestRequest | None:
        """A batch by its number, None after the last one."""
        with self._source:
            while sequence > self._state.made:
                try:
                    documents = next(self._batches, None)
                except BaseException as error:
                    self._failure = error
                    raise
                if documents is None:
                    return None
                with self._changed:
                    self._state.keep(documents)
            return self._state.get(sequence)


def _batches(documents: Iterable[Document], state: IngestState) -> Iterator[list[common_pb2.Document]]:
    batches = Batches(state.options.batch)
    for document in documents:
        refused = None
        try:
            full = batches.add(document)
        except InputError as error:
            # What came before it goes first, so that the places of all others stay right.
            full, refused = batches.rest() or None, error
        if full is not None:
            yield full
        if refused is not None:
            state.leave_out(document.doc_id, refused)
    rest = batches.rest()
    if rest:
        yield rest
