"""Clients of text-embeddings-inference, made from the public field numbers, against a server of ours."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lodex import __version__
from lodex.embed.conventions.convention import Convention
from lodex.embed.registry import load_encoder
from lodex.service.server import Server
from lodex.tei import tei_pb2
from lodex.types import TextKind
from tests.service.recording_encoder import RecordingEncoder, RecordingModels, eventually
from tests.service.tei_client import FIELDS, TeiClient

StatusCode = grpc.StatusCode


@pytest.fixture(scope="module")
def real(address: str) -> Iterator[TeiClient]:
    """A client of a server with the packaged embedder."""
    with closing(TeiClient(address)) as client:
        yield client


@pytest.fixture
def encoder() -> RecordingEncoder:
    convention = Convention(pooling="mean", max_tokens=6, normalize=False, matryoshka=(4,))
    return RecordingEncoder(max_batch_tokens=8, convention=convention)


Connect = Callable[..., TeiClient]


@pytest.fixture
def connect(encoder: RecordingEncoder, serve: Callable[..., Server]) -> Iterator[Connect]:
    """`connect(**settings)` is a client of a server whose only embedder is the recording one."""
    clients = []

    def make(**settings: Any) -> TeiClient:
        clients.append(TeiClient(serve({}, RecordingModels(encoder), **settings).address))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def code_of(ask: Callable[[], Any]) -> tuple[StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask()
    return caught.value.code(), caught.value.details()  # type: ignore[attr-defined]


def test_our_text_has_the_public_names_and_numbers() -> None:
    """Every field of it; a client that was built from one may meet the other."""
    for name, fields in FIELDS.items():
        ours = {field.name: field.number for field in tei_pb2.DESCRIPTOR.message_types_by_name[name].fields}
        assert ours == {field: number for field, number, *_ in fields}
    methods = {
        service.full_name: [
            (method.name, method.client_streaming, method.server_streaming) for method in service.methods
        ]
        for service in tei_pb2.DESCRIPTOR.services_by_name.values()
    }
    assert methods == {
        "tei.v1.Info": [("Info", False, False)],
        "tei.v1.Embed": [("Embed", False, False), ("EmbedStream", True, True)],
    }


def test_a_client_gets_the_vectors_of_the_embedder(real: TeiClient) -> None:
    """Bit for bit, one by one and by a stream, in the order of the texts."""
    texts = ["a short text", "naïve 東京", "many words " * 20]
    wanted = load_encoder("minilm").embed(texts, TextKind.PASSAGE).vectors
    reply = real.embed(texts[1], truncate=True, normalize=True)
    np.testing.assert_array_equal(np.array(reply.embeddings, np.float32), wanted[1])
    streamed = [np.array(each.embeddings, np.float32) for each in real.embed_stream(iter(texts), normalize=True)]
    np.testing.assert_array_equal(streamed, wanted)


def test_info_describes_the_embedder(real: TeiClient) -> None:
    """With the limits of a request."""
    info, encoder = real.info(), load_encoder("minilm").info
    assert (info.version, info.model_id, info.model_sha) == (__version__, "minilm", encoder.fingerprint)
    assert (info.model_dtype, info.model_type, info.max_input_length) == ("float32", 0, encoder.max_tokens)
    assert min(info.max_concurrent_requests, info.max_batch_tokens, info.max_client_batch_size) >= 1
    assert info.tokenization_workers >= 1
    assert not info.HasField("max_batch_requests")


def test_what_a_text_has_cost_is_told(real: TeiClient) -> None:
    """Characters, not bytes; tokens with the special ones; times that fit into each other."""
    metadata = real.embed("naïve").metadata
    assert metadata.compute_chars == 5
    assert metadata.compute_tokens == load_encoder("minilm").embed(["naïve"], TextKind.PASSAGE).tokens
    assert 0 < metadata.tokenization_time_ns < metadata.total_time_ns
    assert 0 < metadata.inference_time_ns < metadata.total_time_ns
    assert metadata.queue_time_ns < metadata.total_time_ns


def test_a_long_text_fails_unless_it_may_be_cut(connect: Connect, encoder: RecordingEncoder) -> None:
    """There it is cut at its end; to cut its beginning is refused, and only where it would be needed."""
    client, long = connect(), "1 2 3 4 5 6 7"
    code, details = code_of(lambda: client.embed(long))
    assert code == StatusCode.INVALID_ARGUMENT
    assert "longer than the 6 tokens" in details
    assert client.embed(long, truncate=True).metadata.compute_tokens == 6
    code, details = code_of(lambda: client.embed(long, truncate=True, truncation_direction=1))
    assert code == StatusCode.INVALID_ARGUMENT
    assert "only its end could be cut" in details
    assert client.embed("1 2", truncate=True, truncation_direction=1).metadata.compute_tokens == 2
    assert [batch[0] for batch in encoder.batches] == [1, 1]


def test_prompts_have_names(connect: Connect, encoder: RecordingEncoder) -> None:
    """Those of the two kinds of text; a text without one is read as it stands, unless the operator says otherwise."""
    client = connect()
    for fields in ({}, {"prompt_name": "query"}, {"prompt_name": "document"}, {"prompt_name": "passage"}):
        client.embed("1", **fields)
    connect(tei_prompt="query").embed("1")
    kinds = [kind for _, kind, _ in encoder.asked]
    assert kinds == [None, TextKind.QUERY, TextKind.PASSAGE, TextKind.PASSAGE, TextKind.QUERY]
    code, details = code_of(lambda: client.embed("1", prompt_name="poem"))
    assert code == StatusCode.INVALID_ARGUMENT
    assert "'poem'" in details


def test_dimensions_and_length_are_as_asked_for(connect: Connect) -> None:
    """Cut where the model was trained for it; scaled where the caller says so or it is cut."""
    client = connect()
    whole = np.array(client.embed("7").embeddings)
    assert whole.tolist() == [7, 1, *range(3, 11)]
    assert np.linalg.norm(client.embed("7", normalize=True).embeddings) == pytest.approx(1)
    cut = client.embed("7", dimensions=4).embeddings
    np.testing.assert_allclose(cut, whole[:4] / np.linalg.norm(whole[:4]), rtol=1e-6)
    code, _ = code_of(lambda: client.embed("7", dimensions=5))
    assert code == StatusCode.INVALID_ARGUMENT


def test_a_stream_fills_batches_and_keeps_the_order(connect: Connect, encoder: RecordingEncoder) -> None:
    """Though its texts are tokenized and embedded side by side."""
    encoder.gate.clear()
    replies = connect().embed_stream(str(i) for i in range(300))
    eventually(lambda: len(encoder.asked) == 64)
    encoder.gate.set()
    assert [reply.embeddings[0] for reply in replies] == list(range(300))
    assert max(map(len, encoder.batches)) == 8


def test_the_first_failure_ends_a_stream(connect: Connect) -> None:
    """After the answers before it, since nothing in an answer says which text it is of."""
    replies = connect().embed_stream(iter(["1", "2", "unreadable", "4"]))
    assert [next(replies).embeddings[0] for _ in range(2)] == [1, 2]
    assert code_of(lambda: next(replies))[0] == StatusCode.INVALID_ARGUMENT


def test_what_is_not_there_is_unimplemented(connect: Connect) -> None:
    """The services that Lodex has no answer to, and all of them where the operator wants none."""
    client = connect()
    for path in ("Rerank/Rerank", "Predict/Predict", "Tokenize/Tokenize", "Embed/EmbedSparse"):
        assert code_of(lambda path=path: client.ask(path))[0] == StatusCode.UNIMPLEMENTED  # type: ignore[misc]
    without = connect(tei=False)
    assert code_of(without.info)[0] == StatusCode.UNIMPLEMENTED
    assert code_of(lambda: without.embed("1"))[0] == StatusCode.UNIMPLEMENTED


def test_wrong_bytes_and_large_texts_are_wrong_arguments(connect: Connect) -> None:
    """As everywhere."""
    client = connect(limits={"max_text_bytes": 10})
    assert code_of(lambda: client.embed("x" * 11))[0] == StatusCode.INVALID_ARGUMENT
    bad = client._channel.unary_unary("/tei.v1.Embed/Embed")
    assert code_of(lambda: bad(b"\xff\xff", timeout=10))[0] == StatusCode.INVALID_ARGUMENT


def test_probes_find_the_services(address: str) -> None:
    """Under the names that such servers report."""
    with grpc.insecure_channel(address) as channel:
        for service in ("tei.v1.Embed", "tei.v1.Info"):
            request = health_pb2.HealthCheckRequest(service=service)
            reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_keys_are_asked_for(connect: Connect) -> None:
    """The same key as for everything else, in the same place."""
    client = connect(api_key="secret")
    assert code_of(lambda: client.embed("1"))[0] == StatusCode.UNAUTHENTICATED
    ask = client._channel.unary_unary("/tei.v1.Info/Info")
    assert ask(b"", timeout=20, metadata=(("authorization", "Bearer secret"),))
