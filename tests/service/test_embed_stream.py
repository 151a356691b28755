"""EmbedStream: batch after batch over gRPC and in process, by an embedder that records what it is asked."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import grpc
import numpy as np
import pytest

from lodex.client import Client, codec
from lodex.client.status import error_of, error_of_rpc
from lodex.config import Limits
from lodex.errors import DeadlineExceededError, InvalidArgumentError, NotFoundError
from lodex.service.application import Application
from lodex.service.catalog import Catalog
from lodex.service.embedded import EmbeddedTransport
from lodex.service.server import Server
from lodex.v1 import common_pb2, embedding_pb2
from tests.service.recording_encoder import RecordingEncoder, RecordingModels, eventually

PATH = "/lodex.v1.EmbeddingService/EmbedStream"


def message(batch_id: str, *texts: str, **fields: Any) -> embedding_pb2.EmbedStreamRequest:
    items = [common_pb2.TextOrTokens(text=text) for text in texts]
    request = embedding_pb2.EmbedRequest(**{"kind": common_pb2.TEXT_KIND_PASSAGE, **fields}, inputs=items)
    return embedding_pb2.EmbedStreamRequest(batch_id=batch_id, request=request)


def stream(client: Client, *messages: embedding_pb2.EmbedStreamRequest) -> dict[str, Any]:
    replies = client.transport.stream("EmbeddingService", "EmbedStream", iter(messages), 20)
    return {reply.batch_id: reply for reply in replies}


@pytest.fixture
def encoder() -> RecordingEncoder:
    return RecordingEncoder(max_batch_tokens=8)


@pytest.fixture
def models(encoder: RecordingEncoder) -> RecordingModels:
    return RecordingModels(encoder)


@pytest.fixture
def address(encoder: RecordingEncoder, models: RecordingModels, serve: Callable[..., Server]) -> Iterator[str]:
    """A server whose only embedder is the recording one; callers may be silent for half a second."""
    yield serve({}, models, limits=Limits(default_deadline_s=0.5)).address
    encoder.gate.set()


@pytest.fixture(params=["served", "embedded"])
def client(request: pytest.FixtureRequest, models: RecordingModels) -> Iterator[Client]:
    """A client of it, or of the same in this process."""
    if request.param == "served":
        with Client(request.getfixturevalue("address")) as connected:
            yield connected
    else:
        with Client(transport=EmbeddedTransport(Application(Catalog({}), models, Limits()))) as connected:
            yield connected


def test_every_batch_is_answered_under_its_name(client: Client) -> None:
    """With its vectors, what was read of each text, and what it cost; an empty one too."""
    replies = stream(client, message("a", "5", "6 7"), message("", "8"), message("c"))
    assert replies.keys() == {"a", "", "c"}
    vectors = codec.array(replies["a"].response.vectors)
    assert vectors[:, 0].tolist() == [5, 6]
    assert [result.tokens for result in replies["a"].response.results] == [1, 2]
    assert replies["a"].response.info.usage.tokens == 3
    assert replies["a"].response.info.timing.compute_ns > 0
    assert replies["c"].response.vectors.shape == [0, 10]


def test_a_text_fails_alone_and_so_does_a_batch(client: Client) -> None:
    """The stream goes on after a text without a row, a model that is not there and a form it does not have."""
    replies = stream(
        client,
        message("text", "5", "unreadable"),
        message("model", "5", model="gpt-9"),
        message("form", "5", instruction="x"),
        message("kind", "5", kind=0),
        message("good", "6"),
    )
    failed = [result.HasField("error") for result in replies["text"].response.results]
    assert failed == [False, True]
    errors = {name: error_of(replies[name].error) for name in ("model", "form", "kind")}
    assert isinstance(errors["model"], NotFoundError)
    assert (errors["form"].field, errors["kind"].field) == ("instruction", "kind")  # type: ignore[attr-defined]
    assert codec.array(replies["good"].response.vectors)[0, 0] == 6


def test_a_defect_fails_its_batch(client: Client, encoder: RecordingEncoder) -> None:
    """And no other."""
    encoder.poison = 13
    replies = stream(client, message("bad", "13"), message("good", "6"))
    assert replies["bad"].error.code == grpc.StatusCode.INTERNAL.value[0]
    assert replies["good"].response.results[0].tokens == 1


def test_a_client_that_only_sends_is_held_up(address: str, encoder: RecordingEncoder) -> None:
    """Few batches are read ahead of the model."""
    encoder.gate.clear()
    sent = []

    def messages() -> Iterator[embedding_pb2.EmbedStreamRequest]:
        for i in range(200):
            sent.append(i)
            yield message(str(i), *["x" * 4000] * 250)

    with Client(address) as client:
        replies = client.transport.stream("EmbeddingService", "EmbedStream", messages(), 60)
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(next, replies)
            eventually(lambda: len(encoder.asked) == 4)
            time.sleep(0.2)
            assert len(encoder.asked) == 4
            assert len(sent) < 100
            encoder.gate.set()
            first.result(20)
        replies.close()


def test_replies_come_as_they_are_done(address: str, encoder: RecordingEncoder, models: RecordingModels) -> None:
    """A short batch does not wait for a long one that was sent before it."""
    encoder.gate.clear()
    with Client(address) as client, ThreadPoolExecutor(1) as threads:
        done = threads.submit(lambda: list(stream(client, message("long", *["1"] * 100), message("short", "2"))))
        eventually(lambda: models.statistics("minilm").waiting_texts == 93)
        encoder.pause_s = 0.03
        encoder.gate.set()
        assert done.result(20) == ["short", "long"]


def test_queries_overtake_a_stream(address: str, encoder: RecordingEncoder, models: RecordingModels) -> None:
    """One that comes while a stream waits is in the next batch."""
    encoder.gate.clear()
    with Client(address) as client, ThreadPoolExecutor(2) as threads:
        bulk = threads.submit(stream, client, message("bulk", *["1"] * 64))
        encoder.wait_for(1)
        query = threads.submit(client.embed, "77", "query")
        eventually(lambda: models.statistics("minilm").waiting_texts == 57)
        encoder.gate.set()
        assert query.result(20).vectors[0, 0] == 77
        assert len(bulk.result(20)["bulk"].response.results) == 64
    assert 77 in encoder.batches[1]


def test_a_client_that_leaves_leaves_nothing_behind(
    address: str, encoder: RecordingEncoder, models: RecordingModels
) -> None:
    """What its batches have in the queue is dropped before the forward."""
    encoder.gate.clear()
    with Client(address) as client:
        waiting = threading.Event()

        def messages() -> Iterator[embedding_pb2.EmbedStreamRequest]:
            for i in range(3):
                yield message(str(i), *["1"] * 20)
            waiting.wait(20)

        replies = client.transport.stream("EmbeddingService", "EmbedStream", messages(), None)
        with ThreadPoolExecutor(1) as threads:
            reading = threads.submit(next, replies, None)
            eventually(lambda: models.statistics("minilm").waiting_texts == 52)
            client.close()
            with pytest.raises(Exception, match=r"(?i)cancel|closed"):
                reading.result(20)
        eventually(lambda: models.statistics("minilm").waiting_texts == 0)
        waiting.set()
    encoder.gate.set()
    assert len(encoder.batches) == 1
    assert models.statistics("minilm").dropped_texts == 52


def test_bulk_waits_where_the_queue_is_full(serve: Callable[..., Server]) -> None:
    """It is never refused, since nobody waits for it at once."""
    encoder = RecordingEncoder(max_batch_tokens=4)
    models = RecordingModels(encoder, max_queued_tokens=1)
    with Client(serve({}, models).address) as client:
        replies = stream(client, *(message(str(i), *["5"] * 20) for i in range(6)))
    assert len(replies) == 6
    assert not any(reply.HasField("error") for reply in replies.values())


def test_a_caller_may_wait_for_answers_and_not_be_silent(address: str, encoder: RecordingEncoder) -> None:
    """While something is at work it owes nothing; then it is waited for as long as for any other."""
    encoder.gate.clear()
    silent = threading.Event()

    def messages() -> Iterator[embedding_pb2.EmbedStreamRequest]:
        yield message("a", "5")
        silent.wait(20)

    with (
        Client(address) as client,
        closing(client.transport.stream("EmbeddingService", "EmbedStream", messages(), None)) as replies,
    ):
        threading.Timer(1.2, encoder.gate.set).start()
        assert next(replies).batch_id == "a"
        answered = time.monotonic()
        with pytest.raises(DeadlineExceededError, match="no message came"):
            next(replies)
        assert time.monotonic() - answered > 0.3
        silent.set()


def test_bytes_that_are_no_message_end_the_stream(address: str) -> None:
    """With INVALID_ARGUMENT."""
    with grpc.insecure_channel(address) as channel:
        replies = channel.stream_stream(PATH)(iter([b"\xff\xff\xff"]), timeout=10)
        with pytest.raises(grpc.RpcError) as caught:
            list(replies)
    assert isinstance(error_of_rpc(caught.value, address), InvalidArgumentError)


# ------------------------------------------------------------------------------------------ the client's method


def test_texts_come_back_in_their_order(client: Client, encoder: RecordingEncoder) -> None:
    """However many, with a place for each that failed; none are no batches."""
    texts = [str(i) if i % 10 else "unreadable" for i in range(1, 101)]
    batches = list(client.embed_stream(iter(texts), "passage", batch=7))
    assert [batch.begin for batch in batches] == list(range(0, 100, 7))
    vectors = np.concatenate([batch.embeddings.vectors for batch in batches])
    assert vectors[:, 0].tolist() == [i if i % 10 else 0 for i in range(1, 101)]
    errors = {place: error for batch in batches for place, error in batch.errors.items()}
    assert sorted(errors) == list(range(9, 100, 10))
    assert all(isinstance(error, InvalidArgumentError) for error in errors.values())
    assert list(client.embed_stream([], "passage")) == []


def test_what_is_wrong_with_all_batches_is_raised(client: Client) -> None:
    """A model that is not there is not found in each of them."""
    with pytest.raises(NotFoundError):
        list(client.embed_stream(["1"] * 100, "passage", model="gpt-9", batch=10))


def test_texts_are_read_as_they_are_sent(client: Client) -> None:
    """What fails while they are read is raised as it is."""

    def texts() -> Iterator[str]:
        yield from ["1"] * 20
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        list(client.embed_stream(texts(), "passage", batch=10))
    with pytest.raises(InvalidArgumentError) as caught:
        list(client.embed_stream(["1", "2", 3], "passage", batch=2))  # type: ignore[list-item]
    assert caught.value.field == "texts[2]"


def test_a_stream_may_be_left_early(client: Client, encoder: RecordingEncoder, models: RecordingModels) -> None:
    """What was ahead is dropped; the client is as good as before."""
    with closing(client.embed_stream((str(i) for i in range(10**6)), "passage", batch=2)) as batches:
        assert next(batches).begin == 0
    eventually(lambda: models.statistics("minilm").waiting_texts == 0)
    assert client.embed("5", "query").vectors[0, 0] == 5
