"""The gRPC server on loopback: what it refuses, what it promises, how it stops."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lodex.client import Client
from lodex.client.status import error_of_rpc
from lodex.config import Limits
from lodex.errors import (
    AlreadyExistsError,
    DeadlineExceededError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from lodex.index.ngrams import NgramIndex
from lodex.service.rpc import SERVICES
from lodex.service.server import Server
from lodex.v1 import ngram_pb2, retrieval_pb2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
METHODS = [(service.name, method) for service in SERVICES.values() for method in service.methods]
BUILT = {
    "EmbeddingService": {"Embed", "EmbedStream", "Tokenize", "Detokenize"},
    "RetrievalService": {"Search", "FetchDocuments", "FetchPassages"},
    "NgramService": {method.name for method in SERVICES["NgramService"].methods},
    "LanguageModelService": {"Score", "Generate", "Ask"},
    "RerankService": {"Rerank", "RerankStream"},
    "DatastoreService": {method.name for method in SERVICES["DatastoreService"].methods} | {"GetStore"},
    "AdminService": {"GetServerInfo"},
}


@contextmanager
def channel(address: str) -> Iterator[grpc.Channel]:
    opened = grpc.insecure_channel(address)
    try:
        yield opened
    finally:
        opened.close()


def ask_raw(address: str, path: str, data: bytes, **options: Any) -> bytes:
    """Send bytes to a unary method; raises the error of the reply, as a client does."""
    with channel(address) as opened:
        try:
            reply: bytes = opened.unary_unary(path)(data, timeout=10, **options)
        except grpc.RpcError as error:
            raise error_of_rpc(error, address) from error
    return reply


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a\x04\x0a\x02\xc3\x28"], ids=repr)
@pytest.mark.parametrize("method", ["NgramService/Count", "RetrievalService/Search", "DatastoreService/GetStore"])
def test_bytes_that_are_no_message_are_a_wrong_argument(address: str, method: str, data: bytes) -> None:
    """Broken framing, a length beyond the end and bad UTF-8 answer INVALID_ARGUMENT, never UNKNOWN."""
    with pytest.raises(InvalidArgumentError, match="is not a lodex"):
        ask_raw(address, f"/lodex.v1.{method}", data)


@pytest.mark.parametrize(("service", "method"), METHODS, ids=lambda value: getattr(value, "full_name", value))
def test_what_is_not_built_says_so(address: str, service: str, method: Any) -> None:
    """Every method of the seven services is there; one that is not built answers UNIMPLEMENTED and names itself."""
    is_built = method.name in BUILT.get(service, ())
    sends = "stream" if method.client_streaming else "unary"
    answers = "stream" if method.server_streaming else "unary"
    with channel(address) as opened:
        call = getattr(opened, f"{sends}_{answers}")(f"/lodex.v1.{service}/{method.name}")
        request = GetMessageClass(method.input_type)().SerializeToString()
        try:
            reply = call(iter([request]) if method.client_streaming else request, timeout=10)
            list(reply) if method.server_streaming else None
            error = None
        except grpc.RpcError as failure:
            error = error_of_rpc(failure, address)
    assert isinstance(error, UnimplementedError) != is_built
    if not is_built:
        assert f"{service}/{method.name}" in str(error)
        assert "promised" in str(error)


def test_an_unknown_method_is_unimplemented_too(address: str) -> None:
    """What the protocol does not know is left to gRPC."""
    with pytest.raises(UnimplementedError):
        ask_raw(address, "/lodex.v1.NgramService/Guess", b"")


def test_wrong_input_names_its_field(client: Client) -> None:
    """INVALID_ARGUMENT carries the path of the field, NOT_FOUND what there is."""
    with pytest.raises(NotFoundError, match=r"no store 'nowhere'.*docs"):
        client.count("nowhere", "cat")
    with pytest.raises(InvalidArgumentError) as caught:
        client.count("No Name", "cat")
    assert caught.value.field == "target.store"
    with pytest.raises(InvalidArgumentError) as caught:
        client.search("docs", "cat", k=0)
    assert caught.value.field == "k"
    with pytest.raises(InvalidArgumentError) as caught:
        client.count("docs", "cat", version=-3)
    assert caught.value.field == "target.version"


def test_limits_are_enforced_and_reported(client: Client) -> None:
    """A request beyond a limit that GetServerInfo reports is refused by the name of its field."""
    limits = client.info().limits
    with pytest.raises(InvalidArgumentError, match=str(limits["max_batch_items"])) as caught:
        client.count("docs", ["cat"] * (limits["max_batch_items"] + 1))
    assert caught.value.field == "queries"
    long_text, long_ngram = "x" * (limits["max_text_bytes"] + 1), [1] * (limits["max_ngram_tokens"] + 1)
    answers = client.count("docs", [long_text, long_ngram, "cat"])
    assert [error.field for error in answers.errors.values()] == ["queries[0].text", "queries[1]"]
    assert answers[2].count > 0


def test_a_field_that_is_not_built_is_not_ignored(address: str) -> None:
    """A request that means more than this release knows is refused rather than answered wrongly."""
    request = retrieval_pb2.SearchRequest(fusion={})
    request.target.store = "docs"
    with pytest.raises(UnimplementedError, match="fusion"):
        ask_raw(address, "/lodex.v1.RetrievalService/Search", request.SerializeToString())


def test_a_reply_beyond_the_size_of_a_message_is_refused(serve: Callable[..., Server], store_path: Path) -> None:
    """The error says what to do, instead of gRPC's own limit at the client."""
    address = serve({"docs": store_path}, limits=Limits(max_message_bytes=4000)).address
    with Client(address) as client, pytest.raises(ResourceExhaustedError, match="fewer items"):
        client.ntd("docs", [""] * 30, top_k=50)


def test_a_request_beyond_the_size_of_a_message_is_refused(serve: Callable[..., Server], store_path: Path) -> None:
    """Before it is read into memory."""
    address = serve({"docs": store_path}, limits=Limits(max_message_bytes=4000)).address
    with Client(address) as client, pytest.raises(ResourceExhaustedError):
        client.count("docs", "x" * 5000)


def test_tls_is_spoken_with_a_certificate(serve: Callable[..., Server], store_path: Path, tmp_path: Path) -> None:
    """A client that trusts it is answered; one that speaks plain text, or trusts others, is not."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=lodex", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *curve, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    address = serve({"docs": store_path}, tls_certificate=certificate, tls_key=key).address
    trusting = grpc.ssl_channel_credentials(certificate.read_bytes())
    with Client(address, tls=trusting) as client:
        assert client.info().stores == ("docs",)
    for tls in (False, True):
        with Client(address, tls=tls) as client, pytest.raises((UnavailableError, DeadlineExceededError)):
            client.info(timeout_s=1)


def test_a_second_server_on_the_port_does_not_start(serve: Callable[..., Server], store_path: Path) -> None:
    """Otherwise each would get a part of the connections."""
    port = int(serve({"docs": store_path}).address.rpartition(":")[2])
    with pytest.raises(AlreadyExistsError, match=str(port)):
        serve({"docs": store_path}, port=port)


def test_health_is_told_for_the_whole_and_for_each_service(address: str) -> None:
    """Services without any method are NOT_SERVING, liveness is on its own name."""
    with channel(address) as opened:
        check = health_pb2_grpc.HealthStub(opened).Check
        names = ["", "liveness", *(service.full_name for service in SERVICES.values())]
        statuses = {name: check(health_pb2.HealthCheckRequest(service=name), timeout=10).status for name in names}
    unbuilt = {f"lodex.v1.{name}" for name in SERVICES.keys() - BUILT.keys()}
    assert statuses == {name: NOT_SERVING if name in unbuilt else SERVING for name in names}


def test_reflection_lists_the_seven_services(address: str) -> None:
    """A stranger's tool finds them without our protos."""
    with channel(address) as opened:
        stub = reflection_pb2_grpc.ServerReflectionStub(opened)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (reply,) = stub.ServerReflectionInfo(iter([request]), timeout=10)
    names = {service.name for service in reply.list_services_response.service}
    assert names >= {f"lodex.v1.{name}" for name in SERVICES}
    assert len(SERVICES) == 7


class TestApiKey:
    """A server that requires a key."""

    @pytest.fixture
    def locked(self, serve: Callable[..., Server], store_path: Path) -> str:
        """Its address."""
        return serve({"docs": store_path}, api_key="open sesame").address

    def test_the_right_key_opens(self, locked: str) -> None:
        """A client that has it notices nothing."""
        with Client(locked, api_key="open sesame") as client:
            assert client.info().stores == ("docs",)

    @pytest.mark.parametrize("key", [None, "", "open", "open sesame!", "OPEN SESAME"])
    def test_no_key_or_another_is_refused(self, locked: str, key: str | None) -> None:
        """Without telling which of the two it was."""
        with Client(locked, api_key=key) as client, pytest.raises(UnauthenticatedError, match="API key"):
            client.count("docs", "cat")

    def test_unknown_paths_and_reflection_are_closed_too(self, locked: str) -> None:
        """Nothing is told to those without the key; unbuilt streams are no way around it."""
        for path in ("/lodex.v1.NgramService/Guess", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
            with pytest.raises(UnauthenticatedError):
                ask_raw(locked, path, b"")

    def test_probes_need_no_key(self, locked: str) -> None:
        """An orchestrator asks for health without one."""
        with channel(locked) as opened:
            check = health_pb2_grpc.HealthStub(opened).Check
            assert check(health_pb2.HealthCheckRequest(), timeout=10).status == SERVING


@dataclass
class Gate:
    """Where requests wait: each arrives, and goes on when it is opened."""

    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opened: threading.Event = field(default_factory=threading.Event)


class TestSlowRequests:
    """Requests whose look-up waits until the test lets it go on."""

    @pytest.fixture
    def gate(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
        """Where counts wait."""
        gate, count = Gate(), NgramIndex.count

        def wait_and_count(index: NgramIndex, queries: Any) -> Any:
            gate.arrived.release()
            gate.opened.wait(20)
            return count(index, queries)

        monkeypatch.setattr(NgramIndex, "count", wait_and_count)
        yield gate
        gate.opened.set()

    def test_the_clients_deadline_holds(self, client: Client, gate: Gate) -> None:
        """The client is told in time, whatever the look-up does."""
        with pytest.raises(DeadlineExceededError):
            client.count("docs", "cat", timeout_s=0.2)

    def test_a_request_without_deadline_gets_the_servers(
        self, serve: Callable[..., Server], store_path: Path, gate: Gate
    ) -> None:
        """No request waits for ever."""
        address = serve({"docs": store_path}, limits=Limits(default_deadline_s=0.2)).address
        request = ngram_pb2.CountRequest(queries=[ngram_pb2.NgramQuery(text="cat")])
        request.target.store = "docs"
        with channel(address) as opened, pytest.raises(grpc.RpcError) as caught:
            opened.unary_unary("/lodex.v1.NgramService/Count")(request.SerializeToString())
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    def test_requests_beyond_the_limit_are_refused_at_once(
        self, serve: Callable[..., Server], store_path: Path, gate: Gate
    ) -> None:
        """With RESOURCE_EXHAUSTED, not with the CANCELLED of gRPC's own random drops; the others are answered."""
        address = serve({"docs": store_path}, limits=Limits(max_concurrent_requests=2), workers=2).address
        with Client(address) as client, ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(client.count, "docs", "cat") for _ in range(2)]
            assert all(gate.arrived.acquire(timeout=10) for _ in waiting)
            with pytest.raises(ResourceExhaustedError, match="limit"):
                client.stores()
            gate.opened.set()
            assert all(answer.result()[0].count for answer in waiting)

    def test_requests_at_work_end_before_the_server_does(
        self, serve: Callable[..., Server], background: Callable[..., Any], store_path: Path, gate: Gate
    ) -> None:
        """Draining tells the probes, refuses what is new, and lets what is at work be answered."""
        server = serve({"docs": store_path}, drain_delay_s=0.5, drain_grace_s=20)
        with Client(server.address) as client, channel(server.address) as probe, ThreadPoolExecutor(2) as pool:
            check = health_pb2_grpc.HealthStub(probe).Check
            waiting = pool.submit(client.count, "docs", "cat")
            assert gate.arrived.acquire(timeout=10)
            drained = pool.submit(background, server.drain())
            while check(health_pb2.HealthCheckRequest(), timeout=10).status == SERVING:
                pass
            assert check(health_pb2.HealthCheckRequest(service="liveness"), timeout=10).status == SERVING
            gate.opened.set()
            assert waiting.result(20)[0].count > 0
            drained.result(20)
            with pytest.raises(UnavailableError):
                client.stores(timeout_s=2)
