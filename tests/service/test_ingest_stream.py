"""Documents over a stream: what is acknowledged is durable, what is repeated is not added twice."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

import lodex
from lodex.client import AsyncClient, Client, IngestResult, ingest_state
from lodex.client.status import error_of_rpc
from lodex.config import Limits
from lodex.errors import (
    ConflictError,
    DuplicateDocumentError,
    FailedPreconditionError,
    InputError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from lodex.index.store import Store
from lodex.service.indexing import build_passages
from lodex.service.server import Server
from lodex.types import Document
from lodex.v1 import datastore_pb2

INGEST = "/lodex.v1.DatastoreService/Ingest"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.create(tmp_path / "store")


@pytest.fixture
def address(serve: Callable[..., Server], store: Store) -> str:
    """A server over it, under the name `docs`."""
    return serve({"docs": store.path}).address


def documents(n: int, prefix: str = "d") -> Iterator[Document]:
    return (Document(f"{prefix}{i}", f"text number {i}") for i in range(n))


class Stream:
    """A stream that a test drives message by message."""

    def __init__(self, address: str, **start: Any) -> None:
        self._channel = grpc.insecure_channel(address)
        self._address = address
        self._messages: list[datastore_pb2.IngestRequest | None] = []
        self._more = threading.Semaphore(0)
        call = self._channel.stream_stream(
            INGEST,
            request_serializer=datastore_pb2.IngestRequest.SerializeToString,
            response_deserializer=datastore_pb2.IngestResponse.FromString,
        )
        self._replies = call(self._requests(), timeout=60)
        self.send(datastore_pb2.IngestRequest(start={"store": "docs", "request_id": "r", **start}))

    def _requests(self) -> Iterator[datastore_pb2.IngestRequest]:
        while True:
            self._more.acquire()
            message = self._messages.pop(0)
            if message is None:
                return
            yield message

    def send(self, message: datastore_pb2.IngestRequest | None) -> None:
        """Send a message, or close the sending side."""
        self._messages.append(message)
        self._more.release()

    def batch(self, sequence: int, *doc_ids: str, publish: bool = True, text: str = "some text") -> None:
        """Send a batch of documents of these ids."""
        batch = datastore_pb2.IngestBatch(sequence=sequence, publish=publish)
        for doc_id in doc_ids:
            batch.documents.add(doc_id=doc_id, text=text)
        self.send(datastore_pb2.IngestRequest(batch=batch))

    def next(self, event: str) -> Any:
        """The next message, which must be of this sort."""
        try:
            message = next(self._replies)
        except grpc.RpcError as error:
            raise error_of_rpc(error, self._address) from error
        assert message.WhichOneof("event") == event, message
        return getattr(message, event)

    def finish(self) -> Any:
        """Close the sending side; the last message, after the acknowledgement of what was left if any."""
        self.send(None)
        try:
            *_, last = self._replies
        except grpc.RpcError as error:
            raise error_of_rpc(error, self._address) from error
        return last.finished

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *error: object) -> None:
        self.send(None)
        self._channel.close()


def test_what_is_acknowledged_is_in_the_version_that_is_named(address: str, store: Store) -> None:
    """A batch that asks for it is published at once, and the answer comes when it is durable."""
    with Stream(address) as stream:
        assert stream.next("started").next_sequence == 1
        stream.batch(1, "a", "b")
        done = stream.next("acknowledged")
        assert (done.sequence, list(done.rejected)) == (1, [])
        assert {document.doc_id for document in Store.open(store.path).snapshot(done.version)} == {"a", "b"}
        stream.batch(2, "c")
        assert stream.next("acknowledged").version == done.version + 1
        finished = stream.finish()
    assert (finished.documents, finished.rejected, finished.text_bytes) == (3, 0, 27)
    assert finished.info.sources[0].version == finished.version == done.version + 1
    assert finished.info.timing.total_ns > 0


def test_what_nobody_asks_for_is_published_after_a_second(address: str) -> None:
    """Several batches become one version."""
    with Stream(address) as stream:
        stream.next("started")
        begun = time.monotonic()
        for sequence in (1, 2, 3):
            stream.batch(sequence, f"d{sequence}", publish=False)
        assert stream.next("acknowledged").sequence == 3
        assert 0.5 < time.monotonic() - begun < 5


def test_bad_documents_fail_one_by_one(address: str, store: Store) -> None:
    """Each with its place and error; those beside it are added."""
    store.add([Document("old", "was here")])
    with Stream(address) as stream:
        stream.next("started")
        stream.batch(1, "a", "old", "", "a", "b")
        done = stream.next("acknowledged")
        assert [(r.sequence, r.item, r.doc_id, r.error.code) for r in done.rejected] == [
            (1, 1, "old", grpc.StatusCode.ALREADY_EXISTS.value[0]),
            (1, 2, "", grpc.StatusCode.INVALID_ARGUMENT.value[0]),
            (1, 3, "a", grpc.StatusCode.ALREADY_EXISTS.value[0]),
        ]
        assert stream.finish().rejected == 3
    assert {document.doc_id for document in store} == {"old", "a", "b"}


def test_a_stream_may_stop_at_the_first_bad_document(address: str, store: Store) -> None:
    """What was acknowledged stays; of what was not, nothing is there."""
    with Stream(address, stop_on_error=True) as stream:
        stream.next("started")
        stream.batch(1, "a")
        stream.next("acknowledged")
        stream.batch(2, "b", "a", "c")
        with pytest.raises(DuplicateDocumentError, match="'a'"):
            stream.next("acknowledged")
    assert {document.doc_id for document in store} == {"a"}


def test_a_document_may_take_the_place_of_another(address: str, store: Store) -> None:
    """Where the stream says so; the sums tell how many did."""
    store.add([Document("a", "old text")])
    with Stream(address, replace=True) as stream:
        stream.next("started")
        stream.batch(1, "a", "b", text="new text")
        assert stream.finish().replaced == 1
    assert (store.get("a").text, len(store)) == ("new text", 2)


def test_a_request_that_is_repeated_adds_nothing(address: str, store: Store) -> None:
    """Whatever batches it sends again; its sums are those of the first time."""
    sums = []
    for _ in range(2):
        with Stream(address) as stream:
            stream.next("started")
            stream.batch(1, "a", "b")
            stream.batch(2, "c")
            sums.append(stream.finish())
    first, second = sums
    assert (first.version, first.documents, first.rejected) == (second.version, second.documents, second.rejected)
    assert len(store) == first.documents == 3


def test_batches_that_are_sent_again_do_not_count(address: str) -> None:
    """The one after them has the number that it has, and the acknowledgement says it."""
    for last in (2, 3):
        with Stream(address) as stream:
            stream.next("started")
            for sequence in range(1, last):
                stream.batch(sequence, f"d{sequence}", publish=False)
            stream.batch(last, f"d{last}")
            assert stream.next("acknowledged").sequence == last
            assert stream.finish().documents == last


def test_a_stream_is_resumed_where_it_broke(address: str, store: Store) -> None:
    """The server says which batch it wants; the sums are over both streams."""
    with Stream(address) as broken:
        broken.next("started")
        broken.batch(1, "a")
        broken.next("acknowledged")
        broken.batch(2, "b", publish=False)
    with Stream(address) as stream:
        first = stream.next("started").next_sequence
        assert first == 2
        stream.batch(2, "b")
        stream.batch(3, "c")
        finished = stream.finish()
    assert (finished.documents, finished.rejected) == (3, 0)
    assert {document.doc_id for document in store} == {"a", "b", "c"}


def test_a_stream_that_is_resumed_ends_the_one_before(address: str, store: Store) -> None:
    """Two streams of one request never publish the same batch."""
    with Stream(address) as first:
        first.next("started")
        with Stream(address) as second:
            second.next("started")
            second.batch(1, "a")
            second.next("acknowledged")
            first.batch(1, "a")
            with pytest.raises(ConflictError, match="took over"):
                first.next("acknowledged")
            assert second.finish().documents == 1


@pytest.mark.parametrize(
    ("sequence", "match"), [(2, "next batch is 1"), (0, "next batch is 1"), (-1, "next batch is 1")]
)
def test_batches_come_in_turn(address: str, sequence: int, match: str) -> None:
    """A gap is a wrong argument, and nothing of it is added."""
    with Stream(address) as stream:
        stream.next("started")
        stream.batch(sequence, "a")
        with pytest.raises(InvalidArgumentError, match=match):
            stream.next("acknowledged")


def test_a_stream_begins_with_start(address: str) -> None:
    """It names a store that is there and a request."""
    with grpc.insecure_channel(address) as channel:
        for messages, error in [
            ([], InvalidArgumentError),
            ([datastore_pb2.IngestRequest(batch={"sequence": 1})], InvalidArgumentError),
            ([datastore_pb2.IngestRequest(start={"store": "docs"})], InvalidArgumentError),
            ([datastore_pb2.IngestRequest(start={"store": "nowhere", "request_id": "r"})], NotFoundError),
        ]:
            call = channel.stream_stream(INGEST)(iter([message.SerializeToString() for message in messages]))
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert type(error_of_rpc(caught.value, address)) is error


def test_a_server_may_write_nothing(serve: Callable[..., Server], store: Store) -> None:
    """It says so before a document is sent, and in its description."""
    address = serve({"docs": store.path}, read_only=True).address
    with Client(address) as client:
        assert client.info().read_only
        assert client.store("docs").read_only
        for write in (
            lambda: client.ingest("docs", documents(1)),
            lambda: client.delete("docs", "a"),
            lambda: client.compact("docs"),
            lambda: client.create_store("other"),
        ):
            with pytest.raises(FailedPreconditionError, match="read-only"):
                write()


def test_a_sender_is_asked_to_wait_while_indexes_fall_behind(
    serve: Callable[..., Server], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a server that looks after them; the more they lack, the longer."""
    from lodex.service.handlers import writing
    from lodex.service.maintenance import Maintenance

    monkeypatch.setattr(writing, "_UNINDEXED_SEGMENTS", 2)
    monkeypatch.setattr(Maintenance, "_build", lambda *args: None)
    build_passages(store)
    address = serve({"docs": store.path}, maintain=True, maintain_interval_s=60).address
    with Stream(address) as stream:
        stream.next("started")
        for sequence in (1, 2):
            stream.batch(sequence, f"d{sequence}")
            stream.next("acknowledged")
        waits = []
        for sequence in (3, 4):
            stream.batch(sequence, f"d{sequence}")
            waits.append(stream.next("backoff").wait_ms)
            stream.next("acknowledged")
        assert 0 < waits[0] < waits[1]


def test_a_silent_sender_is_not_waited_for(serve: Callable[..., Server], store: Store) -> None:
    """A stream may last, as long as something comes."""
    from lodex.errors import DeadlineExceededError

    address = serve({"docs": store.path}, limits=Limits(default_deadline_s=0.5)).address
    with grpc.insecure_channel(address) as channel:
        stop = threading.Event()

        def messages() -> Iterator[bytes]:
            yield datastore_pb2.IngestRequest(start={"store": "docs", "request_id": "r"}).SerializeToString()
            for sequence in range(1, 5):
                time.sleep(0.3)
                batch = datastore_pb2.IngestBatch(sequence=sequence, documents=[{"doc_id": str(sequence)}])
                yield datastore_pb2.IngestRequest(batch=batch).SerializeToString()
            stop.wait(30)

        with pytest.raises(grpc.RpcError) as caught:
            list(channel.stream_stream(INGEST)(messages()))
        stop.set()
        assert isinstance(error_of_rpc(caught.value, address), DeadlineExceededError)
    assert len(store) == 4


def test_a_full_disk_ends_the_stream_and_it_can_be_resumed(
    address: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With RESOURCE_EXHAUSTED; when there is room again the same batch is taken."""
    sync = os.fsync

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Stream(address) as stream:
        stream.next("started")
        monkeypatch.setattr(os, "fsync", fail)
        stream.batch(1, "a")
        with pytest.raises(ResourceExhaustedError):
            stream.next("acknowledged")
    monkeypatch.setattr(os, "fsync", sync)
    with Stream(address) as stream:
        assert stream.next("started").next_sequence == 1
        stream.batch(1, "a")
        assert stream.finish().documents == 1
    assert {document.doc_id for document in store} == {"a"}


def test_a_failed_sync_makes_the_store_read_only(
    serve: Callable[..., Server], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write is tried again, the probes are told, and reads are answered."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from lodex.errors import DataLossError

    address = serve({"docs": store.path}).address
    sync = os.fsync

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with Client(address) as client:
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(DataLossError):
            client.ingest("docs", documents(1))
        monkeypatch.setattr(os, "fsync", sync)
        with pytest.raises(FailedPreconditionError, match="sync"):
            client.ingest("docs", documents(1))
        assert client.store("docs").read_only
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        for service, expected in [("lodex.v1.DatastoreService", "NOT_SERVING"), ("lodex.v1.NgramService", "SERVING")]:
            status = check(health_pb2.HealthCheckRequest(service=service), timeout=10).status
            assert health_pb2.HealthCheckResponse.ServingStatus.Name(status) == expected


def test_another_process_may_win_a_doc_id(address: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check and the commit: that document alone is left out."""
    from lodex.index.writer import StoreWriter

    commit = StoreWriter.commit

    def late(writer: StoreWriter, *args: Any) -> Any:
        monkeypatch.setattr(StoreWriter, "commit", commit)
        Store.open(store.path).add([Document("b", "of another")])
        return commit(writer, *args)

    monkeypatch.setattr(StoreWriter, "commit", late)
    with Stream(address) as stream:
        stream.next("started")
        stream.batch(1, "a", "b", "c")
        done = stream.next("acknowledged")
        assert [rejected.doc_id for rejected in done.rejected] == ["b"]
    assert store.get("b").text == "of another"
    assert len(store) == 3


# ------------------------------------------------------------------------------------------ clients


def test_both_clients_send_documents_as_they_come(address: str, store: Store) -> None:
    """Lazily, in batches; what was left out is told by its place."""
    with Client(address) as client:
        result = client.ingest("docs", documents(25), batch=10)
        assert (result.documents, result.rejected, result.version) == (25, 0, store.version)
        result = client["docs"].ingest([Document("d3", "x"), Document("new", "x"), Document("d4", "x")], batch=1)
        assert [(rejected.position, rejected.doc_id) for rejected in result.errors] == [(0, "d3"), (2, "d4")]
        assert isinstance(result.errors[0].error, DuplicateDocumentError)
        assert client.upsert("docs", [Document("d3", "changed")]).replaced == 1

    async def main() -> None:
        async def slowly() -> Any:
            for document in documents(5, "slow"):
                await asyncio.sleep(0.001)
                yield document

        async with AsyncClient(address) as client:
            assert (await client.ingest("docs", slowly(), batch=2)).documents == 5
            assert (await client["docs"].upsert(documents(5, "slow"))).replaced == 5

    asyncio.run(main())
    assert store.get("d3").text == "changed"
    assert len(store) == 31


def test_a_document_that_fits_no_message_is_left_out(
    address: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As others that are refused are, and at its place; with stop_on_error it ends the ingest."""
    monkeypatch.setattr(ingest_state, "DOCUMENT_BYTES", 1000)
    large = Document("large", "x" * 1000)
    given = [Document("a", "x"), large, Document("", "x"), Document("b", "x"), large]

    def check(result: IngestResult) -> None:
        assert (result.documents, result.rejected) == (2, 3)
        places = [(rejected.position, rejected.doc_id) for rejected in result.errors]
        assert places == [(1, "large"), (2, ""), (4, "large")]
        assert isinstance(result.errors[0].error, InputError)
        assert "holds 1,000" in str(result.errors[0].error)

    with Client(address) as client:
        check(client.ingest("docs", given))
        with pytest.raises(InputError, match="'large' takes"):
            client.ingest("docs", [Document("c", "x"), large], stop_on_error=True)

    async def main() -> None:
        async with AsyncClient(address) as client:
            await client.delete("docs", ["a", "b"])
            check(await client.ingest("docs", given, batch=2))
            with pytest.raises(InputError, match="'large' takes"):
                await client.ingest("docs", [large], stop_on_error=True)

    asyncio.run(main())


def test_in_this_process_too(tmp_path: Path) -> None:
    """Without a server, with the same answers."""
    with lodex.open(tmp_path / "store", create=True) as db:
        result = db.ingest([*documents(3), Document("", "x"), Document("d0", "x")], batch=2)
        assert (result.documents, result.rejected) == (3, 2)
        assert [rejected.position for rejected in result.errors] == [3, 4]
        assert db.ingest(documents(3), request_id=result.request_id, batch=2).documents == 3
        assert len(db.store) == 3


def test_a_fault_of_the_documents_is_the_callers_own(address: str, store: Store) -> None:
    """What their iterator raises is raised, and what was not published is not there."""

    def failing() -> Iterator[Document]:
        yield Document("a", "x")
        raise KeyError("mine")

    with Client(address) as client, pytest.raises(KeyError, match="mine"):
        client.ingest("docs", failing())

    async def main() -> None:
        async with AsyncClient(address) as client:
            with pytest.raises(KeyError, match="mine"):
                await client.ingest("docs", failing())

    asyncio.run(main())
    assert len(store) == 0


def test_two_streams_into_one_store_lose_nothing(address: str, store: Store) -> None:
    """Each document is added by exactly one of them."""
    results: list[Any] = []

    def send(prefix: str) -> None:
        with Client(address) as client:
            shared = [Document(f"s{i}", "shared") for i in range(40)]
            results.append(client.ingest("docs", [*shared, *documents(40, prefix)], batch=7))

    threads = [threading.Thread(target=send, args=(prefix,)) for prefix in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.documents for result in results) == len(store) == 120
    assert sum(result.rejected for result in results) == 40


def test_a_server_that_leaves_publishes_what_it_has(
    serve: Callable[..., Server], background: Callable[..., Any], store: Store
) -> None:
    """And says that it is leaving; what it acknowledged is there."""
    server = serve({"docs": store.path}, drain_grace_s=20)
    with Stream(server.address) as stream:
        stream.next("started")
        stream.batch(1, "a", publish=False)
        time.sleep(0.1)
        threading.Thread(target=background, args=(server.drain(),)).start()
        assert stream.next("acknowledged").sequence == 1
        with pytest.raises(UnavailableError, match="leaving"):
            stream.next("acknowledged")
    assert {document.doc_id for document in store} == {"a"}


PROGRAM = """
import sys
from lodex.service.server import serve_stores
serve_stores([sys.argv[1]], lambda address: print(address, flush=True), port=int(sys.argv[2]), maintain=False)
"""


@contextmanager
def process(store: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-c", PROGRAM, f"docs={store}", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


@pytest.mark.slow
def test_an_ingest_outlives_its_server(store: Store) -> None:
    """Killed twice in the middle and started again: every document is there once, and the sums are right."""
    sent = 0
    addresses: list[str] = []
    changed = threading.Condition()

    def slow_documents() -> Iterator[Document]:
        nonlocal sent
        for document in documents(300):
            time.sleep(0.01)
            sent += 1
            yield document

    def run(address: str, out: list[Any]) -> None:
        with Client(address) as client:
            out.append(client.ingest("docs", slow_documents(), batch=5))

    out: list[Any] = []
    port = 0
    sender: threading.Thread | None = None
    for i in range(3):
        with process(store.path, port) as (server, address):
            port = int(address.rpartition(":")[2])
            addresses.append(address)
            if sender is None:
                sender = threading.Thread(target=run, args=(address, out))
                sender.start()
            if i == 2:
                sender.join(60)
                break
            time.sleep(1.5)
            server.send_signal(signal.SIGKILL)
            server.wait()
    del changed
    assert sent == 300
    assert (out[0].documents, out[0].rejected) == (300, 0)
    assert sorted(document.doc_id for document in store) == sorted(f"d{i}" for i in range(300))


def test_a_document_beyond_the_limit_is_left_out(serve: Callable[..., Server], store: Store) -> None:
    """By its size in UTF-8."""
    address = serve({"docs": store.path}, limits=Limits(max_document_bytes=10)).address
    with Client(address) as client:
        result = client.ingest("docs", [Document("a", "x" * 10), Document("b", "ä" * 6), Document("c", "x" * 11)])
    assert [(rejected.doc_id, type(rejected.error)) for rejected in result.errors] == [
        ("b", InputError),
        ("c", InputError),
    ]
