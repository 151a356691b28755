"""Bulk embedding over one stream: texts are sent as they come, and their vectors come back in that order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from contextlib import aclosing, closing

from lodex.client import codec
from lodex.client.embedding import SERVICE, EmbedOptions, embeddings_of
from lodex.client.results import EmbeddedBatch
from lodex.client.status import error_of
from lodex.client.transport import AsyncTransport, Transport
from lodex.errors import InternalError, InvalidArgumentError, LodexError
from lodex.v1 import embedding_pb2

BATCH_TEXTS = 256
# What fits into a message of a server that has the default limits, with much room for what is around it.
_BATCH_CHARACTERS = 4 << 20
_METHOD = "EmbedStream"


class _Stream:
    """What is sent and what has come, in whatever order."""

    def __init__(self, options: EmbedOptions, most: int) -> None:
        if most < 1:
            raise InvalidArgumentError(f"batch is {most}, expected at least 1", "batch")
        self._options = options
        self._most = most
        self._texts: list[str] = []
        self._characters = 0
        self._sent = 0
        self._read = 0
        self._begins: dict[int, int] = {0: 0}
        self._early: dict[int, embedding_pb2.EmbedResponse] = {}
        self._wait_until = 0.0
        self.failure: BaseException | None = None

    def add(self, text: str) -> list[embedding_pb2.EmbedStreamRequest]:
        """Take a text; the batches that are complete now, two at most."""
        codec.require_text(text, f"texts[{self._begins[self._sent] + len(self._texts)}]")
        full = []
        if self._texts and self._characters + len(text) > _BATCH_CHARACTERS:
            full += self.rest()
        self._texts.append(text)
        self._characters += len(text)
        if len(self._texts) >= self._most:
            full += self.rest()
        return full

    def rest(self) -> list[embedding_pb2.EmbedStreamRequest]:
        """What is not sent yet, at most one batch."""
        if not self._texts:
            return []
        request = self._options.request(self._texts)
        message = embedding_pb2.EmbedStreamRequest(batch_id=str(self._sent), request=request)
        self._begins[self._sent + 1] = self._begins[self._sent] + len(self._texts)
        self._sent += 1
        self._texts, self._characters = [], 0
        return [message]

    def take_wait_s(self) -> float:
        """How long the server wants the next batch to wait."""
        return max(0.0, self._wait_until - time.monotonic())

    def read(self, message: embedding_pb2.EmbedStreamResponse) -> Iterator[EmbeddedBatch]:
        """The batches that an answer completes, in the order in which they were sent."""
        event = message.WhichOneof("event")
        if event == "backoff":
            self._wait_until = time.monotonic() + message.backoff.wait_ms / 1000
            return
        if event == "error":
            raise error_of(message.error)
        number = int(message.batch_id) if message.batch_id.isdecimal() else -1
        if event != "response" or not self._read <= number < self._sent or number in self._early:
            raise InternalError(f"the server answered batch {message.batch_id!r}, which does not wait for an answer")
        self._early[number] = message.response
        while (reply := self._early.pop(self._read, None)) is not None:
            begin = self._begins.pop(self._read)
            self._read += 1
            failed = ((i, error_of(item.error)) for i, item in enumerate(reply.results) if item.HasField("error"))
            errors = {begin + i: error for i, error in failed}
            yield EmbeddedBatch(begin, embeddings_of(reply), errors)

    def finish(self) -> None:
        """Nothing more comes."""
        if self._read < self._sent:
            raise InternalError(f"the server ended a stream with {self._sent - self._read} batches unanswered")


class BlockingEmbedStream:
    """Embeds texts of any number. gRPC takes its requests in a thread of its own; in process they alternate."""

    def __init__(self, options: EmbedOptions, texts: Iterable[str], most: int) -> None:
        self._stream = _Stream(options, most)
        self._texts = texts

    def run(self, transport: Transport, timeout_s: float | None) -> Generator[EmbeddedBatch, None, None]:
        """The vectors of batch after batch. Closing the generator ends the work."""
        stream = self._stream
        try:
            with closing(transport.stream(SERVICE, _METHOD, self._requests(), timeout_s)) as messages:
                for message in messages:
                    assert isinstance(message, embedding_pb2.EmbedStreamResponse), "another came; this is a bug"
                    yield from stream.read(message)
        except LodexError:
            # gRPC cancels a call whose requests raise.
            if stream.failure is not None:
                raise stream.failure from None
            raise
        stream.finish()

    def _requests(self) -> Iterator[embedding_pb2.EmbedStreamRequest]:
        try:
            for message in _batches(self._texts, self._stream):
                time.sleep(self._stream.take_wait_s())
                yield message
        except Exception as error:
            self._stream.failure = error
            raise


class AwaitingEmbedStream:
    """Embeds texts that come at once or are awaited; otherwise as `BlockingEmbedStream`."""

    def __init__(self, options: EmbedOptions, texts: Iterable[str] | AsyncIterable[str], most: int) -> None:
        self._stream = _Stream(options, most)
        self._texts = texts

    async def run(self, transport: AsyncTransport, timeout_s: float | None) -> AsyncGenerator[EmbeddedBatch, None]:
        """The vectors of batch after batch. Closing the generator ends the work."""
        stream = self._stream
        try:
            async with aclosing(transport.stream(SERVICE, _METHOD, self._requests(), timeout_s)) as messages:
                async for message in messages:
                    assert isinstance(message, embedding_pb2.EmbedStreamResponse), "another came; this is a bug"
                    for batch in stream.read(message):
                        yield batch
        except (LodexError, asyncio.CancelledError):
            if stream.failure is not None:
                raise stream.failure from None
            raise
        stream.finish()

    async def _requests(self) -> AsyncIterator[embedding_pb2.EmbedStreamRequest]:
        try:
            async for message in self._batches():
                await asyncio.sleep(self._stream.take_wait_s())
                yield message
        except Exception as error:
            self._stream.failure = error
            raise

    async def _batches(self) -> AsyncIterator[embedding_pb2.EmbedStreamRequest]:
        if not isinstance(self._texts, AsyncIterable):
            for message in _batches(self._texts, self._stream):
                yield message
            return
        async for text in self._texts:
            for message in self._stream.add(text):
                yield message
        for message in self._stream.rest():
            yield message


def _batches(texts: Iterable[str], stream: _Stream) -> Iterator[embedding_pb2.EmbedStreamRequest]:
    for text in texts:
        yield from stream.add(text)
    yield from stream.rest()
