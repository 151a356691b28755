"""Operations: jobs that are started, watched, awaited and cancelled, over gRPC and in this process."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.longrunning import operations_pb2
from google.protobuf.message import Message

import lodex
from lodex.client import AsyncClient, Client
from lodex.client.plan import Call
from lodex.errors import (
    CancelledError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    LodexError,
    NotFoundError,
)
from lodex.index.store import Store
from lodex.service import jobs as jobs_module
from lodex.service import operations as operations_module
from lodex.service.indexing import build_suffix_index
from lodex.service.operations import JobMeter, Operations
from lodex.service.server import Server
from lodex.types import Document
from lodex.v1 import datastore_pb2

SERVICE = "google.longrunning.Operations"


@pytest.fixture
def store(tmp_path: Path, byte_tokenizer: Path) -> Store:
    """A store of twelve segments with a suffix index over bytes."""
    store = Store.create(tmp_path / "store")
    for i in range(12):
        store.add([Document(f"d{i}", f"fish number {i}")])
    build_suffix_index(store, str(byte_tokenizer))
    return store


@pytest.fixture(params=["grpc", "embedded"])
def client(request: pytest.FixtureRequest, serve: Callable[..., Server], store: Store) -> Iterator[Client]:
    """A client of the store `docs`, of a server or of this process."""
    if request.param == "grpc":
        with Client(serve({"docs": store.path}).address) as connected:
            yield connected
    else:
        with lodex.open(store.path, "docs") as opened:
            yield opened.client


def ask(client: Client, method: str, request: Message) -> Any:
    def plan() -> Any:
        return (yield Call(SERVICE, method, request))

    return client.run(plan())


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Compactions go on, step by step, until it is set."""
    opened = threading.Event()
    compact = jobs_module.compact

    def slow(store: Store, full: bool, *, throttle: Any, progress: JobMeter, check: Callable[[], None]) -> Any:
        progress.start("waiting", 1000, "steps")
        while not opened.wait(0.01):
            progress.advance(1)
        return compact(store, full, throttle=throttle, progress=progress, check=check)

    monkeypatch.setattr(jobs_module, "compact", slow)
    yield opened
    opened.set()


def test_a_job_is_started_and_its_result_is_awaited(client: Client, store: Store) -> None:
    """The handle tells how far it is, then what came of it."""
    operation = client.compact("docs", full=True)
    result = operation.result(30)
    assert (result.segments_before, result.segments_after, result.version) == (12, 1, store.version)
    assert operation.done
    assert (operation.progress.job, operation.progress.store) == ("compact_store", "docs")
    assert operation.progress.done == operation.progress.total
    assert client.count("docs", "fish", literal=True)[0].count == 12


def test_progress_is_live(client: Client, gate: threading.Event) -> None:
    """And a wait that is too short says so, while the job goes on."""
    operation = client.compact("docs")
    end = time.monotonic() + 10
    while operation.progress.done < 3:
        assert time.monotonic() < end
    progress = operation.progress
    assert (progress.phase, progress.total, progress.unit, operation.done) == ("waiting", 1000, "steps", False)
    with pytest.raises(DeadlineExceededError, match="goes on"):
        operation.result(0.1)
    gate.set()
    assert operation.result(30).segments_before == 12


def test_a_job_is_cancelled_at_its_next_check(client: Client, store: Store, gate: threading.Event) -> None:
    """It ends with CancelledError, and nothing was published."""
    version = store.version
    operation, waiting = client.compact("docs"), client.compact("docs")
    operation.cancel()
    with pytest.raises(CancelledError):
        operation.result(30)
    assert store.version == version
    waiting.cancel()
    with pytest.raises(CancelledError):
        waiting.result(30)


def test_the_same_request_is_the_same_operation(client: Client) -> None:
    """Whether it is at work or has ended; another request is another one."""
    first = client.compact("docs", request_id="r")
    first.result(30)
    assert client.compact("docs", request_id="r").name == first.name
    assert client.compact("docs", request_id="s").name != first.name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda c: c.compact("docs", request_id="r"), lambda c: c.compact("docs", full=True, request_id="r")),
        (
            lambda c: c.build_index("docs", "p1", "passages", {"chunking": "180w"}, request_id="r"),
            lambda c: c.build_index("docs", "p2", "passages", {"chunking": "180w"}, request_id="r"),
        ),
        (lambda c: c.verify("docs", request_id="r"), lambda c: c.verify("docs", version=1, request_id="r")),
    ],
    ids=["compact", "build_index", "verify"],
)
def test_an_id_is_of_one_request(client: Client, first: Callable[..., Any], second: Callable[..., Any]) -> None:
    """Another request of the same job under it is refused, and the first one is found still."""
    name = first(client).name
    with pytest.raises(InvalidArgumentError, match="was used for another") as caught:
        second(client)
    assert caught.value.field == "request_id"
    assert first(client).name == name


def test_a_store_goes_by_its_name_or_as_the_only_one(store: Store) -> None:
    """The request is the same."""
    with lodex.open(store.path, "docs") as db:
        assert db.client.compact("", request_id="r").name == db.client.compact("docs", request_id="r").name


def test_jobs_that_write_a_store_take_turns(client: Client, gate: threading.Event) -> None:
    """One at a time; a check of its files does not wait for them."""
    first, second = client.compact("docs"), client.compact("docs")
    assert client.verify("docs").result(30).damages == ()
    assert second.progress.phase == ""
    gate.set()
    assert second.result(30).segments_after == first.result(30).segments_after


def test_an_error_of_a_job_is_its_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its class; a defect is an InternalError."""

    def fail(error: Exception) -> Callable[..., Any]:
        def failing(*args: Any, **kwargs: Any) -> Any:
            raise error

        return failing

    for error, expected in [(FailedPreconditionError("not now"), FailedPreconditionError), (KeyError(), InternalError)]:
        monkeypatch.setattr(jobs_module, "compact", fail(error))
        with pytest.raises(expected):
            client.compact("docs").result(30)


def test_operations_are_listed_and_forgotten(client: Client) -> None:
    """Page by page, oldest first; one that is at work cannot be forgotten."""
    names = [client.compact("docs", request_id=str(i)).name for i in range(3)]
    for i in range(3):
        client.compact("docs", request_id=str(i)).result(30)
    page = ask(client, "ListOperations", operations_pb2.ListOperationsRequest(page_size=2))
    rest = ask(
        client, "ListOperations", operations_pb2.ListOperationsRequest(page_size=2, page_token=page.next_page_token)
    )
    assert [operation.name for operation in [*page.operations, *rest.operations]] == names
    ask(client, "DeleteOperation", operations_pb2.DeleteOperationRequest(name=names[0]))
    with pytest.raises(NotFoundError, match=names[0]):
        ask(client, "GetOperation", operations_pb2.GetOperationRequest(name=names[0]))
    unfinished = ask(client, "ListOperations", operations_pb2.ListOperationsRequest(filter="done=false"))
    assert list(unfinished.operations) == []
    with pytest.raises(InvalidArgumentError):
        ask(client, "ListOperations", operations_pb2.ListOperationsRequest(filter="nonsense"))


def test_one_at_work_cannot_be_forgotten(client: Client, gate: threading.Event) -> None:
    """It is cancelled first."""
    name = client.compact("docs").name
    with pytest.raises(FailedPreconditionError):
        ask(client, "DeleteOperation", operations_pb2.DeleteOperationRequest(name=name))


def test_a_wait_ends_in_time(client: Client, gate: threading.Event) -> None:
    """With the operation as it is."""
    request = operations_pb2.WaitOperationRequest(name=client.compact("docs").name)
    request.timeout.FromMilliseconds(100)
    begun = time.monotonic()
    assert not ask(client, "WaitOperation", request).done
    assert 0.05 < time.monotonic() - begun < 5


def test_the_metadata_are_those_of_the_contract(client: Client) -> None:
    """JobProgress with its times, and the response that the RPC names."""
    operation = client.verify("docs")
    operation.result(30)
    message = ask(client, "GetOperation", operations_pb2.GetOperationRequest(name=operation.name))
    progress, response = datastore_pb2.JobProgress(), datastore_pb2.VerifyStoreResponse()
    assert message.metadata.Unpack(progress)
    assert message.response.Unpack(response)
    assert progress.start_time.ToNanoseconds() <= progress.end_time.ToNanoseconds()
    assert response.files > 0


def test_an_awaiting_client_has_handles_too(serve: Callable[..., Server], store: Store) -> None:
    """With the same answers."""
    address = serve({"docs": store.path}).address

    async def main() -> None:
        async with AsyncClient(address) as client:
            operation = await client.compact("docs", full=True)
            assert (await operation.result(30)).segments_after == 1
            assert await operation.done()
            assert (await operation.progress()).job == "compact_store"
            checked = await client["docs"].verify()
            assert (await checked.result()).damages == ()

    asyncio.run(main())


def test_a_server_that_leaves_stops_its_jobs(
    serve: Callable[..., Server], background: Callable[..., Any], store: Store, gate: threading.Event
) -> None:
    """At their next check."""
    server = serve({"docs": store.path})
    with Client(server.address) as client:
        client.compact("docs")
    begun = time.monotonic()
    background(server.drain())
    assert time.monotonic() - begun < 10


# ------------------------------------------------------------------------------------------ the jobs


def test_an_index_is_built_beside_the_others(client: Client, store: Store) -> None:
    """By its kind and configuration; one that is there is built where it lacks segments."""
    built = client.build_index("docs", "180w", "passages").result(60)
    assert (built.index.kind, built.index.segments_ok, built.version) == ("passages", 12, store.version)
    store.add([Document("more", "three fish")])
    built = client.build_index("docs", "suffix").result(60)
    assert built.index.segments_ok == built.index.segments_total == 13
    assert client.count("docs", "three fish", literal=True)[0].count == 1


@pytest.mark.parametrize(
    ("index", "kind", "config", "field"),
    [
        ("", "suffix", None, "index"),
        ("a/b", "suffix", None, "index"),
        ("new", "", None, "kind"),
        ("new", "nonsense", None, "kind"),
        ("suffix", "dense", None, "kind"),
        ("180w", "passages", {"colour": "red"}, "config_json"),
        ("new", "suffix", {"tokenizer": "/etc/passwd"}, "config_json.tokenizer"),
        ("new", "suffix", {"stream": "nothing"}, "config_json"),
        ("new", "suffix", {"page_keys": "yes"}, "config_json.page_keys"),
        ("new", "dense", {"ivf_from": "many"}, "config_json.ivf_from"),
    ],
)
def test_what_cannot_be_built_is_refused_by_its_field(
    client: Client, index: str, kind: str, config: Any, field: str
) -> None:
    """And nothing is published."""
    version = client.store("docs").version
    with pytest.raises(InvalidArgumentError) as caught:
        client.build_index("docs", index, kind, config).result(60)
    assert caught.value.field == field
    assert client.store("docs").version == version


def test_deleted_documents_are_purged_and_old_versions_collected(client: Client, store: Store) -> None:
    """Their bytes are gone from every file."""
    client.delete("docs", "d3")
    purged = client.purge("docs").result(60)
    assert purged.documents == 1
    assert purged.versions > 0
    assert not any(b"fish number 3" in path.read_bytes() for path in store.path.rglob("*") if path.is_file())
    before = len(client.versions("docs"))
    would = client.gc("docs", keep_versions=1, grace_s=0, dry_run=True).result(60)
    assert len(client.versions("docs")) == before
    assert client.gc("docs", keep_versions=1, grace_s=0).result(60).versions == would.versions == before - 1
    assert client.count("docs", "fish", literal=True)[0].count == 11


def test_damage_is_found_and_told(client: Client, store: Store) -> None:
    """By the place in the store, not on the server's disk."""
    path = next(store.path.glob("segments/*/text.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    (damage,) = client.verify("docs").result(60).damages
    assert "text.arrow" in damage
    assert str(store.path) not in damage


def test_only_files_within_the_roots_are_imported(serve: Callable[..., Server], store: Store, tmp_path: Path) -> None:
    """Neither a link nor dots nor a glob leads out; bad lines are counted."""
    root, other = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    other.mkdir()
    (root / "good.jsonl").write_text('{"id": "new", "text": "four fish"}\nnonsense\n{"id": "d1", "text": "twice"}\n')
    (other / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(other / "secret.txt")
    (root / "folder").symlink_to(other)
    address = serve({"docs": store.path}, import_roots=(root,)).address
    with Client(address) as client:
        result = client.import_files("docs", "good.jsonl").result(60)
        assert (result.documents, result.rejected, result.version) == (1, 2, store.version)
        assert any("good.jsonl:2" in example for example in result.examples)
        for inputs in (
            str(other / "secret.txt"),
            "../out/secret.txt",
            "link.txt",
            "folder",
            str(root / "folder" / "*.txt"),
            str(root),
            "python-docs",
            "-",
        ):
            with pytest.raises(InvalidArgumentError):
                client.import_files("docs", inputs).result(60)
    assert len(store) == 13
    with Client(serve({"docs": store.path}).address) as client, pytest.raises(InvalidArgumentError, match="no files"):
        client.import_files("docs", str(root / "good.jsonl"))


# ------------------------------------------------------------------------------------------ the class


def test_finished_operations_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, by number and by age; those at work stay."""
    monkeypatch.setattr(operations_module, "KEEP", 3)
    operations = Operations()
    release = threading.Event()

    def wait(meter: JobMeter) -> Message:
        release.wait(10)
        return datastore_pb2.CompactStoreResponse()

    begun = operations.start("wait", "docs", "", wait)
    quick = [operations.start("quick", "docs", str(i), wait, f"lane{i}") for i in range(2)]
    release.set()
    for operation in [begun, *quick]:
        operation.ended.result(10)
    later = operations.start("later", "docs", "", wait)
    later.ended.result(10)
    assert [operation.name for operation in operations.all()][-1] == later.name
    with pytest.raises(NotFoundError):
        operations.get(begun.name)
    monkeypatch.setattr(operations_module, "KEEP_S", -1.0)
    assert operations.all() == ()
    operations.close()
    with pytest.raises(LodexError, match="leaving"):
        operations.start("late", "docs", "", wait)
