"""Bulk embedding as both clients send it, to a server whose answers each test writes by hand."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from lodex.client import AsyncClient, Client, EmbeddedBatch, codec, embed_stream
from lodex.errors import InternalError, InvalidArgumentError, NotFoundError, UnavailableError
from lodex.v1 import embedding_pb2

STREAM = "EmbeddingService.EmbedStream"
Response = embedding_pb2.EmbedStreamResponse
Embed = Callable[..., list[EmbeddedBatch]]


def answer(message: embedding_pb2.EmbedStreamRequest) -> Response:
    """A text's vector is its length; an empty one fails."""
    texts = [item.text for item in message.request.inputs]
    results = [
        embedding_pb2.EmbedResult(tokens=1)
        if text
        else embedding_pb2.EmbedResult(error={"code": 3, "message": "empty"})
        for text in texts
    ]
    vectors = codec.tensor(np.array([[len(text)] for text in texts], np.float32))
    response = embedding_pb2.EmbedResponse(results=results, vectors=vectors, fingerprint="f00d")
    return Response(batch_id=message.batch_id, response=response)


@pytest.fixture(params=["blocking", "awaiting", "awaiting, texts awaited"])
def embed(request: pytest.FixtureRequest, server: Any) -> Iterator[Embed]:
    """`embed(texts, kind, ...)` gives all batches of a stream of either client."""
    if request.param == "blocking":
        with Client(server.address) as client:
            yield lambda *args, **kwargs: list(client.embed_stream(*args, **kwargs))
        return

    async def awaited(texts: Iterable[str]) -> AsyncIterator[str]:
        for text in texts:
            await asyncio.sleep(0)
            yield text

    with asyncio.Runner() as runner:
        awaiting = AsyncClient(server.address)

        async def collect(texts: Any, *args: Any, **kwargs: Any) -> list[EmbeddedBatch]:
            given = awaited(texts) if "texts" in request.param else texts
            return [batch async for batch in awaiting.embed_stream(given, *args, **kwargs)]

        yield lambda *args, **kwargs: runner.run(collect(*args, **kwargs))
        runner.run(awaiting.close())


def test_batches_come_in_the_order_of_the_texts(server: Any, embed: Embed) -> None:
    """In whatever order the server is done with them."""
    sizes: list[int] = []

    async def backwards(requests: Any, context: Any) -> Any:
        kept = [message async for message in requests]
        sizes.extend(len(message.request.inputs) for message in kept)
        assert len({message.batch_id for message in kept}) == len(kept)
        for message in reversed(kept):
            yield answer(message)

    server.on(STREAM, backwards)
    texts = ["x" * i for i in range(11)]
    batches = embed(texts, "passage", batch=4)
    assert sizes == [4, 4, 3]
    assert [batch.begin for batch in batches] == [0, 4, 8]
    assert np.concatenate([batch.embeddings.vectors for batch in batches])[:, 0].tolist() == list(range(11))
    assert [sorted(batch.errors) for batch in batches] == [[0], [], []]
    assert isinstance(batches[0].errors[0], InvalidArgumentError)
    assert batches[0].embeddings.fingerprint == "f00d"


def test_options_are_those_of_embed(server: Any, embed: Embed) -> None:
    """Each batch carries them."""
    asked: list[embedding_pb2.EmbedRequest] = []

    async def note(requests: Any, context: Any) -> Any:
        async for message in requests:
            asked.append(message.request)
            yield answer(message)

    server.on(STREAM, note)
    embed(["a", "b"], "query", batch=1, model="minilm", data_type="bits", dimensions=8, instruction="Find")
    assert [request.inputs[0].text for request in asked] == ["a", "b"]
    for request in asked:
        assert (request.model, request.kind, request.data_type) == ("minilm", 1, 12)
        assert (request.dimensions, request.instruction, request.truncate) == (8, "Find", True)
        assert not request.HasField("normalize")


def test_large_texts_share_no_message(server: Any, embed: Embed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message holds so many characters, unless one text alone has more."""
    monkeypatch.setattr(embed_stream, "_BATCH_CHARACTERS", 10)

    async def each(requests: Any, context: Any) -> Any:
        async for message in requests:
            yield answer(message)

    server.on(STREAM, each)
    batches = embed(["x" * 6, "x" * 4, "x", "x" * 50, "x"], "passage")
    assert [batch.embeddings.vectors[:, 0].tolist() for batch in batches] == [[6, 4], [1], [50], [1]]


def test_a_server_may_ask_for_patience(server: Any) -> None:
    """The next batch waits as long as it says."""
    arrivals: list[float] = []

    async def slowly(requests: Any, context: Any) -> Any:
        async for message in requests:
            arrivals.append(time.monotonic())
            yield Response(backoff={"wait_ms": 300})
            yield answer(message)

    server.on(STREAM, slowly)
    answered = threading.Event()

    def texts() -> Iterator[str]:
        yield "a"
        answered.wait(20)  # so that the client has read that it should wait
        yield from ["b", "c"]

    with Client(server.address) as client:
        for batch in client.embed_stream(texts(), "passage", batch=1):
            if batch.begin == 0:
                answered.set()
    assert len(arrivals) == 3
    assert arrivals[1] - arrivals[0] >= 0.25


def test_an_error_of_a_batch_is_raised(server: Any, embed: Embed) -> None:
    """It would be that of every batch."""

    async def refuse(requests: Any, context: Any) -> Any:
        async for message in requests:
            yield Response(batch_id=message.batch_id, error={"code": 5, "message": "no embedder 'x'"})

    server.on(STREAM, refuse)
    with pytest.raises(NotFoundError, match="no embedder"):
        embed(["a"] * 10, "passage", batch=2)


@pytest.mark.parametrize("wrong", ["unknown", "twice", "never", "empty"])
def test_answers_that_no_batch_waits_for_are_a_defect(server: Any, embed: Embed, wrong: str) -> None:
    """Of a batch that was not sent, or answered before; and so is a stream that ends too early."""

    async def confused(requests: Any, context: Any) -> Any:
        async for message in requests:
            reply = answer(message)
            if wrong == "unknown":
                reply.batch_id = "elsewhere"
            elif wrong == "empty":
                reply = Response(batch_id=message.batch_id)
            if wrong != "never":
                yield reply
            if wrong == "twice":
                yield reply

    server.on(STREAM, confused)
    with pytest.raises(InternalError, match="answered batch" if wrong != "never" else "unanswered"):
        embed(["a", "b", "c"], "passage", batch=1)


def test_what_texts_raise_comes_out(server: Any, embed: Embed) -> None:
    """Rather than the cancelled call that it leads to."""

    async def each(requests: Any, context: Any) -> Any:
        async for message in requests:
            yield answer(message)

    def texts() -> Iterator[str]:
        yield "a"
        raise OSError("the file is gone")

    server.on(STREAM, each)
    with pytest.raises(OSError, match="the file is gone"):
        embed(texts(), "passage", batch=1)
    with pytest.raises(InvalidArgumentError) as caught:
        embed(["a", "b", 3], "passage", batch=1)
    assert caught.value.field == "texts[2]"


def test_what_cannot_be_asked_for_is_refused_before(embed: Embed) -> None:
    """As by `embed`."""
    for options in ({"kind": "poem"}, {"batch": 0}, {"data_type": "float8"}):
        with pytest.raises(InvalidArgumentError) as caught:
            embed(["a"], **{"kind": "passage", **options})
        assert caught.value.field in options


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """As for every method."""
    with Client("127.0.0.1:1") as client, pytest.raises(UnavailableError):
        list(client.embed_stream(["a"], "passage", timeout_s=5))
