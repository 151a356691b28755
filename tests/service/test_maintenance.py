"""What a server does by itself: new documents are found in every index, versions are followed, segments merged."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lodex.client import Client
from lodex.config import Limits
from lodex.errors import DataLossError, FailedPreconditionError, NotFoundError
from lodex.index.manifest import manifest_path
from lodex.index.ngrams import NgramIndex
from lodex.index.open_files import OpenFiles
from lodex.index.store import Store
from lodex.service import maintenance
from lodex.service.application import Application
from lodex.service.catalog import Catalog
from lodex.service.indexing import build_dense_index, build_suffix_index, update_indexes
from lodex.service.maintenance import Maintenance, lacks_parts
from lodex.service.models import Models
from lodex.service.server import Server
from lodex.types import Document


@pytest.fixture
def store(tmp_path: Path, byte_tokenizer: Path) -> Store:
    """A store of one document with a suffix index over bytes."""
    store = Store.create(tmp_path / "store")
    store.add([Document("first", "one fish two fish")])
    build_suffix_index(store, str(byte_tokenizer))
    return store


def until(claim: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for a claim to become true."""
    end = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.slow
def test_new_documents_are_soon_found_in_every_index(
    serve: Callable[..., Server], tmp_path: Path, byte_tokenizer: Path
) -> None:
    """Those that come through the server, and those that another process adds."""
    store = Store.create(tmp_path / "store")
    store.add([Document("first", "one fish two fish")])
    build_suffix_index(store, str(byte_tokenizer))
    build_dense_index(store)
    address = serve({"docs": store.path}, maintain=True, maintain_interval_s=0.2).address
    with Client(address) as client:
        client.ingest("docs", [Document("red", "a red herring swims")])
        until(lambda: client.count("docs", "herring")[0].count == 1)
        until(lambda: client.search("docs", "a red herring swims", k=1)[0][0].passage.doc_id == "red")
        Store.open(store.path).add([Document("blue", "a blue whale sings")])
        until(lambda: client.count("docs", "whale")[0].count == 1)
        until(lambda: client.search("docs", "a blue whale sings", k=1)[0][0].passage.doc_id == "blue")
        until(lambda: all(index.segments_ok == index.segments_total for index in client.indexes("docs")))


def test_small_segments_are_merged(serve: Callable[..., Server], store: Store) -> None:
    """While documents keep coming; every one of them is counted."""
    address = serve({"docs": store.path}, maintain=True, maintain_interval_s=0.2).address
    with Client(address) as client:
        for i in range(30):
            client.ingest("docs", [Document(f"d{i}", f"fish number {i}")])
        until(lambda: client.store("docs").segments < 12)
        until(lambda: client.count("docs", " fish", literal=True)[0].count == 2)
        until(lambda: client.count("docs", "fish number", literal=True)[0].count == 30)


def test_readers_follow_versions_and_never_mix_them(serve: Callable[..., Server], store: Store) -> None:
    """Every reply is that of the version it names, while documents come and go and segments are merged."""
    address = serve({"docs": store.path}, maintain=True, maintain_interval_s=0.1).address
    stop = threading.Event()
    seen: dict[int, set[int]] = {}
    failures: list[Exception] = []

    def read() -> None:
        with Client(address) as client:
            last = 0
            while not stop.is_set():
                try:
                    answers = client.count("docs", ["fish", "fish"])
                    assert answers[0].count == answers[1].count
                    assert answers.version >= last
                    last = answers.version
                    complete = answers.provenance.segments_ok == answers.provenance.segments_total
                    if complete:
                        seen.setdefault(answers.version, set()).add(answers[0].count)
                except Exception as error:  # noqa: BLE001  # shown at the end
                    failures.append(error)
                    return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with Client(address) as client:
        for i in range(25):
            client.upsert("docs", [Document(f"d{i % 7}", "fish " * (i + 1))])
            if i % 5 == 4:
                client.delete("docs", f"d{i % 7}")
    until(lambda: not lacks_parts(store.snapshot().manifest))
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert len(seen) > 3
    assert all(len(counts) == 1 for counts in seen.values())


def test_a_version_that_is_removed_under_a_request_is_read_again(
    serve: Callable[..., Server], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the newest version, unless the request named this one: then it is told that it is not kept."""
    address = serve({"docs": store.path}).address
    store.add([Document("second", "three fish")])
    version = store.version
    count = NgramIndex.count

    def remove_and_fail(index: NgramIndex, queries: Any) -> Any:
        monkeypatch.setattr(NgramIndex, "count", count)
        store.add([Document(f"after {version}", "four fish")])
        manifest_path(store.path, version).unlink()
        raise DataLossError("a file is missing")

    with Client(address) as client:
        monkeypatch.setattr(NgramIndex, "count", remove_and_fail)
        assert client.count("docs", "fish").version == version + 1
        version += 1

        monkeypatch.setattr(NgramIndex, "count", remove_and_fail)
        with pytest.raises(NotFoundError, match="not kept"):
            client.count("docs", "fish", version=version)


def test_a_server_finds_the_newest_version_over_gaps(serve: Callable[..., Server], store: Store) -> None:
    """Where another process removed the version that the server last saw, and those after it."""
    with Client(serve({"docs": store.path}).address) as client:
        seen = client.count("docs", "fish").version
        for i in range(3):
            store.add([Document(f"later {i}", "fish")])
        for version in range(seen, store.version):
            manifest_path(store.path, version).unlink()
        assert client.count("docs", "fish").version == store.version


def test_what_fails_is_tried_again_later_and_later(
    serve: Callable[..., Server], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads go on meanwhile; when the cause is gone the indexes are built."""
    tries: list[float] = []
    builders = maintenance.index_builders

    def fail(*args: Any) -> Any:
        tries.append(time.monotonic())
        raise FailedPreconditionError("no such model")

    monkeypatch.setattr(maintenance, "index_builders", fail)
    monkeypatch.setattr(maintenance, "_FIRST_PAUSE_S", 0.3)
    server = serve({"docs": store.path}, maintain=True, maintain_interval_s=0.05)
    with Client(server.address) as client:
        client.ingest("docs", [Document("second", "three fish")])
        until(lambda: len(tries) == 2)
        assert tries[1] - tries[0] > 0.25
        assert client.count("docs", "fish").provenance.segments_ok == 1
        monkeypatch.setattr(maintenance, "index_builders", builders)
        until(lambda: client.count("docs", "fish").provenance.segments_ok == 2)


def test_it_stops_in_the_middle(store: Store) -> None:
    """And waits for its threads."""
    application = Application(Catalog({"docs": store}), Models(), Limits())
    begun = Maintenance(application.access, application.models, application.language_models, 0.05)
    begun.start()
    store.add([Document("second", "three fish")])
    begun.close()
    assert not any(
        thread.name.startswith(("lodex-index build", "lodex-compaction")) for thread in threading.enumerate()
    )


def test_a_read_only_server_touches_nothing(serve: Callable[..., Server], store: Store) -> None:
    """Nor does one whose store is opened at a version."""
    store.add([Document("second", "three fish")])
    serve({"docs": store.path}, maintain=True, read_only=True, maintain_interval_s=0.05)
    version = store.version
    time.sleep(0.4)
    assert store.version == version


def test_the_first_query_of_a_version_opens_what_is_new(
    serve: Callable[..., Server], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the fifteen segments that were there before."""
    for i in range(15):
        store.add([Document(f"d{i}", f"fish number {i}")])
    update_indexes(store)
    opened: list[tuple[Any, tuple[str, ...]]] = []
    shared = OpenFiles.shared

    def note(files: OpenFiles, what: Any, ids: tuple[str, ...], open: Callable[[], Any]) -> Any:
        def noted() -> Any:
            opened.append((what, ids))
            return open()

        return shared(files, what, ids, noted)

    with Client(serve({"docs": store.path}).address) as client:
        before = client.count("docs", "fish")[0].count
        other = Store.open(store.path)
        other.add([Document("new", "one fish more")])
        update_indexes(other)
        monkeypatch.setattr(OpenFiles, "shared", note)
        assert client.count("docs", "fish")[0].count == before + 1
    assert 0 < len(opened) < 10
