"""Ingest by the client that awaits; otherwise as `lodex.client.ingest`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing

from lodex.client.ingest_state import ATTEMPTS, Batches, IngestOptions, IngestState, pauses_s
from lodex.client.results import IngestResult
from lodex.client.transport import AsyncTransport
from lodex.errors import InputError, InternalError, LodexError, UnavailableError
from lodex.types import Document
from lodex.v1 import common_pb2, datastore_pb2


class AwaitingIngest:
    """One ingest, of documents that come as they are asked for, at once or awaited."""

    def __init__(self, options: IngestOptions, documents: Iterable[Document] | AsyncIterable[Document]) -> None:
        self._state = IngestState(options)
        self._batches = _batches(documents, self._state)
        self._changed = asyncio.Condition()
        self._reading: asyncio.Future[list[common_pb2.Document] | None] | None = None
        self._failure: BaseException | None = None

    async def run(self, transport: AsyncTransport, timeout_s: float | None) -> IngestResult:
        """Open streams until one comes to its end; UnavailableError after some without any progress."""
        pauses, failed, progress = pauses_s(), 0, 0
        try:
            while True:
                try:
                    return await self._run_stream(transport, timeout_s)
                except UnavailableError:
                    if self._state.progress > progress:
                        pauses, failed, progress = pauses_s(), 0, self._state.progress
                    failed += 1
                    if failed >= ATTEMPTS:
                        raise
                await asyncio.sleep(next(pauses))
        finally:
            if self._reading is not None:
                self._reading.cancel()

    async def _run_stream(self, transport: AsyncTransport, timeout_s: float | None) -> IngestResult:
        self._state.is_started = False
        try:
            stream = transport.stream("DatastoreService", "Ingest", self._requests(), timeout_s)
            async with aclosing(stream) as messages:
                async for message in messages:
                    assert isinstance(message, datastore_pb2.IngestResponse), "another message came; this is a bug"
                    async with self._changed:
                        self._state.read(message)
                        self._changed.notify_all()
        except (LodexError, asyncio.CancelledError):
            # gRPC cancels a call whose requests raise.
            if self._failure is not None:
                raise self._failure from None
            raise
        if self._state.result is None:
            raise InternalError("the server ended an ingest without saying what became of it")
        return self._state.result

    async def _requests(self) -> AsyncIterator[datastore_pb2.IngestRequest]:
        """The messages of one stream; gRPC cancels it where that breaks."""
        yield self._state.options.start()
        async with self._changed:
            await self._changed.wait_for(lambda: self._state.is_started)
        sequence = self._state.next_sequence
        while (message := await self._get(sequence)) is not None:
            yield message
            sequence += 1
            async with self._changed:
                await self._changed.wait_for(lambda: not self._state.is_full)
            await asyncio.sleep(self._state.take_wait_s())

    async def _get(self, sequence: int) -> datastore_pb2.IngestRequest | None:
        """A batch by its number, None after the last one."""
        while sequence > self._state.made:
            if self._reading is None:
                self._reading = asyncio.ensure_future(anext(self._batches, None))
            # What reads the documents goes on where the stream breaks: the next one takes what it gives.
            await asyncio.wait({self._reading})
            if self._reading is None:
                continue
            reading, self._reading = self._reading, None
            self._failure = reading.exception()
            documents = reading.result()
            if documents is None:
                return None
            self._state.keep(documents)
        return self._state.get(sequence)


async def _batches(
    documents: Iterable[Document] | AsyncIterable[Document], state: IngestState
) -> AsyncIterator[list[common_pb2.Document]]:
    batches = Batches(state.options.batch)
    async for document in _awaited(documents):
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


async def _awaited(documents: Iterable[Document] | AsyncIterable[Document]) -> AsyncIterator[Document]:
    if isinstance(documents, AsyncIterable):
        async for document in documents:
            yield document
        return
    for document in documents:
        yield document
