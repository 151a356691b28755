"""The gRPC transports: keys, deadlines, sizes, retries, streams, TLS, on a real channel over loopback."""

import asyncio
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from shutil import which
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from lodex.client import AsyncClient, Client
from lodex.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from lodex.errors import (
    DeadlineExceededError,
    DimensionMismatchError,
    NotFoundError,
    UnavailableError,
    UnimplementedError,
)
from lodex.v1 import embedding_pb2, language_model_pb2, ngram_pb2, retrieval_pb2

Ask = Callable[..., Any]


def failing(code: grpc.StatusCode, message: str) -> Callable[..., Any]:
    async def fail(request: Any, context: Any) -> Any:
        await context.abort(code, message)

    return fail


def test_the_key_is_sent_as_a_bearer_token(server: Any) -> None:
    """Each call of either client carries the key; without one there is no such metadata."""
    server.on("NgramService.Count", ngram_pb2.CountResponse())

    async def main() -> None:
        async with AsyncClient(server.address, api_key="secret") as client:
            await client.count("docs", "x")

    with Client(server.address, api_key="secret") as client:
        client.count("docs", "x")
    asyncio.run(main())
    with Client(server.address) as client:
        client.count("docs", "x")
    assert [call.get("authorization") for call in server.metadata] == ["Bearer secret", "Bearer secret", None]


def test_a_deadline_ends_the_call(server: Any, ask: Ask) -> None:
    """A call's own time is kept, and the server hears of it."""
    remaining: list[float] = []

    async def slow(request: Any, context: Any) -> Any:
        remaining.append(context.time_remaining())
        await asyncio.sleep(5)

    server.on("NgramService.Count", slow)
    with pytest.raises(DeadlineExceededError):
        ask("count", "docs", "x", timeout_s=0.2)
    assert 0 < remaining[0] < 0.3


def test_a_call_without_its_own_time_has_the_clients(server: Any, ask: Ask) -> None:
    """The default is thirty seconds, so that no call waits for ever."""
    remaining: list[float] = []

    async def answer(request: Any, context: Any) -> Any:
        remaining.append(context.time_remaining())
        return ngram_pb2.CountResponse()

    server.on("NgramService.Count", answer)
    ask("count", "docs", "x")
    assert 25 < remaining[0] < 31


def test_messages_may_be_larger_than_grpc_allows_by_itself(server: Any, ask: Ask) -> None:
    """A text of 5 MiB goes there and comes back; only the server's own limits count."""
    text = "x" * (5 << 20)

    async def echo(request: Any, context: Any) -> Any:
        return embedding_pb2.DetokenizeResponse(results=[{"text": text}])

    server.on("EmbeddingService.Tokenize", embedding_pb2.TokenizeResponse(results=[{"token_ids": [1]}]))
    server.on("EmbeddingService.Detokenize", echo)
    assert ask("tokenize", "docs", text)[0].tolist() == [1]
    assert ask("detokenize", "docs", [1])[0] == text


def test_a_server_that_is_away_for_a_moment_is_asked_again(server: Any, ask: Ask) -> None:
    """UNAVAILABLE is retried, within the deadline."""

    async def third_time(request: Any, context: Any) -> Any:
        if len(server.requests) < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "draining")
        return ngram_pb2.CountResponse(results=[{"count": 1}])

    server.on("NgramService.Count", third_time)
    assert ask("count", "docs", "x")[0].count == 1


def test_no_other_failure_is_asked_again(server: Any, ask: Ask) -> None:
    """A request that failed for its own sake fails the same way the second time."""
    server.on("NgramService.Count", failing(grpc.StatusCode.NOT_FOUND, "no store 'docs'"))
    with pytest.raises(NotFoundError, match="no store 'docs'"):
        ask("count", "docs", "x")
    assert len(server.requests) == 1


def test_a_method_that_is_not_built_is_unimplemented(server: Any, ask: Ask) -> None:
    """What the contract promises and the server lacks has an error of its own."""
    with pytest.raises(UnimplementedError):
        ask("ntd", "docs", "x")


def test_errors_keep_their_class_and_field(server: Any, ask: Ask) -> None:
    """A status with details raises the class that the server raised."""
    info, request = any_pb2.Any(), any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(domain="lodex", reason="DIMENSION_MISMATCH_ERROR"))
    violations = [error_details_pb2.BadRequest.FieldViolation(field="vectors")]
    request.Pack(error_details_pb2.BadRequest(field_violations=violations))
    status = Status(code=3, message="query vectors have d=2, the index d=384: 2 ≠ 384", details=[info, request])

    async def fail(request: Any, context: Any) -> Any:
        await context.abort_with_status(rpc_status.to_status(status))

    server.on("RetrievalService.Search", fail)
    with pytest.raises(DimensionMismatchError, match="d=384: 2 ≠ 384") as caught:
        ask("search", "docs", vectors=[1.0, 2.0])
    assert caught.value.field == "vectors"


@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_an_address_where_nobody_listens_is_named(cls: Any) -> None:
    """The error says where no server was found."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    client = cls(address)

    async def call() -> None:
        result = client.count("docs", "x")
        if asyncio.iscoroutine(result):
            await result

    async def main() -> None:
        try:
            await call()
        finally:
            closing = client.close()
            if asyncio.iscoroutine(closing):
                await closing

    with pytest.raises(UnavailableError, match=address):
        asyncio.run(main())


def tokens(*texts: str) -> list[language_model_pb2.GenerateResponse]:
    return [language_model_pb2.GenerateResponse(tokens={"text": text}) for text in texts]


def test_a_stream_yields_its_replies(server: Any) -> None:
    """Replies come one by one, in order, from either transport."""

    async def generate(request: Any, context: Any) -> AsyncIterator[Any]:
        for reply in tokens("a", "b"):
            yield reply

    server.on("LanguageModelService.Generate", generate)
    request = language_model_pb2.GenerateRequest()
    blocking = GrpcTransport(server.address, api_key=None, tls=False)
    assert [r.tokens.text for r in blocking.stream("LanguageModelService", "Generate", request, 5)] == ["a", "b"]
    blocking.close()

    async def main() -> list[str]:
        awaiting = AsyncGrpcTransport(server.address, api_key=None, tls=False)
        replies = awaiting.stream("LanguageModelService", "Generate", request, 5)
        texts = [reply.tokens.text async for reply in replies]  # type: ignore[attr-defined]
        await awaiting.close()
        return texts

    assert asyncio.run(main()) == ["a", "b"]


def test_a_stream_of_requests_is_carried_too(server: Any) -> None:
    """Requests are sent as an iterator gives them."""

    async def search(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield retrieval_pb2.SearchStreamResponse(batch_id=request.batch_id)

    server.on("RetrievalService.SearchStream", search)
    batches = [retrieval_pb2.SearchStreamRequest(batch_id=name) for name in "xyz"]
    blocking = GrpcTransport(server.address, api_key=None, tls=False)
    replies = blocking.stream("RetrievalService", "SearchStream", iter(batches), 5)
    assert [reply.batch_id for reply in replies] == ["x", "y", "z"]  # type: ignore[attr-defined]
    blocking.close()


@pytest.mark.parametrize("kind", ["blocking", "awaiting"])
def test_leaving_a_stream_cancels_it(server: Any, kind: str) -> None:
    """A caller that stops reading stops the server's work."""
    cancelled = threading.Event()

    async def endless(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            while True:
                yield tokens("a")[0]
                await asyncio.sleep(0.01)
        finally:  # the cancellation reaches the sleep as CancelledError, or the yield as GeneratorExit
            cancelled.set()

    server.on("LanguageModelService.Generate", endless)
    request = language_model_pb2.GenerateRequest()

    async def main() -> None:
        awaiting = AsyncGrpcTransport(server.address, api_key=None, tls=False)
        replies: Any = awaiting.stream("LanguageModelService", "Generate", request, None)
        await anext(replies)
        await replies.aclose()
        assert await asyncio.to_thread(cancelled.wait, 5)
        await awaiting.close()

    if kind == "awaiting":
        asyncio.run(main())
    else:
        blocking = GrpcTransport(server.address, api_key=None, tls=False)
        replies: Any = blocking.stream("LanguageModelService", "Generate", request, None)
        next(replies)
        replies.close()
        assert cancelled.wait(5)
        blocking.close()


def test_a_stream_that_fails_raises_its_class(server: Any) -> None:
    """Failures after some replies are raised like any other."""

    async def breaking(request: Any, context: Any) -> AsyncIterator[Any]:
        yield tokens("a")[0]
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    server.on("LanguageModelService.Generate", breaking)
    blocking = GrpcTransport(server.address, api_key=None, tls=False)
    replies = blocking.stream("LanguageModelService", "Generate", language_model_pb2.GenerateRequest(), 5)
    next(replies)
    with pytest.raises(NotFoundError, match="gone"):
        next(replies)
    blocking.close()


@pytest.mark.skipif(which("openssl") is None, reason="the certificate of the test is made by openssl")
def test_credentials_open_a_channel_over_tls(tmp_path: Path) -> None:
    """A client that trusts the server's certificate talks over TLS."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    private, public = key.read_bytes(), certificate.read_bytes()

    async def main() -> int:
        served = grpc.aio.server()

        async def count(request: Any, context: Any) -> Any:
            return ngram_pb2.CountResponse(results=[{"count": 3}])

        handler = grpc.unary_unary_rpc_method_handler(
            count, ngram_pb2.CountRequest.FromString, ngram_pb2.CountResponse.SerializeToString
        )
        served.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("lodex.v1.NgramService", {"Count": handler}),)
        )
        port = served.add_secure_port("localhost:0", grpc.ssl_server_credentials([(private, public)]))
        await served.start()
        trusting = AsyncClient(f"localhost:{port}", tls=grpc.ssl_channel_credentials(public))
        async with trusting:
            answers = await trusting.count("docs", "x")
        await served.stop(None)
        return answers[0].count

    assert asyncio.run(main()) == 3
