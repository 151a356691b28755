"""Versions that are removed while somebody reads them: what is pinned is gone, everyone else reads the newest."""

import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

import lodex
from lodex.client import Client
from lodex.config import Limits
from lodex.errors import DataLossError, NotFoundError
from lodex.index.purge import purge
from lodex.index.store import Store
from lodex.service import maintenance
from lodex.service.application import Application
from lodex.service.call import Call, ReadVersion
from lodex.service.catalog import Catalog
from lodex.service.embedded import iterate_inline
from lodex.service.indexing import build_suffix_index
from lodex.service.maintenance import Maintenance
from lodex.service.models import Models
from lodex.service.operations import JobMeter, on_kept_version
from lodex.service.rpc import Rpc, all_rpcs
from lodex.service.server import Server
from lodex.types import Document
from lodex.v1 import language_model_pb2


@pytest.fixture
def store(tmp_path: Path, byte_tokenizer: Path) -> Store:
    """A store of two segments with a suffix index over bytes."""
    store = Store.create(tmp_path / "store")
    for first in (0, 5):
        store.add(Document(f"d{i}", f"fish number {i}") for i in range(first, first + 5))
    build_suffix_index(store, str(byte_tokenizer))
    return store


def remove_newest(store: Store) -> int:
    """Purge the newest version away, as another process would; its number."""
    version = store.version
    store.delete(["d1", "d6"])
    purge(Store.open(store.path))
    assert not store.keeps(version)
    return version


READS: dict[str, Callable[[Any], Any]] = {
    "count": lambda db: db.count("fish"),
    "search_docs": lambda db: db.search_docs("fish"),
    "documents": lambda db: db.documents(),
    "get": lambda db: db.get("d1"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_store_that_is_opened_at_a_version_says_that_it_is_gone(store: Store, read: Callable[[Any], Any]) -> None:
    """Whatever is read, and whether or not its files had been opened."""
    with lodex.open(store.path, version=store.version) as db:
        version = remove_newest(store)
        with pytest.raises(NotFoundError, match=f"version {version} of the store is not kept any more"):
            read(db)


def test_a_store_that_is_served_goes_on_at_the_newest(
    serve: Callable[..., Server], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document whose segment was removed under the request is looked for again, and not reported as an error."""
    snapshot = Store.snapshot
    with Client(serve({"docs": store.path}).address) as client:

        def remove_after(opened: Store, version: int | None = None) -> Any:
            found = snapshot(opened, version)
            monkeypatch.setattr(Store, "snapshot", snapshot)
            remove_newest(store)
            return found

        monkeypatch.setattr(Store, "snapshot", remove_after)
        assert client.get("docs", "d2")[0].text == "fish number 2"


@pytest.mark.parametrize(("said", "is_pinned"), [(0, False), (1, False), (0, True)])
def test_a_stream_begins_anew_until_it_has_said_something(store: Store, said: int, is_pinned: bool) -> None:
    """Then, and at a version that was asked for, it ends with NotFoundError."""
    lost = remove_newest(store)

    async def generate(request: Any, call: Call) -> AsyncGenerator[Any, None]:
        is_first = not answer_from
        answer_from.append(lost if is_first else store.version)
        call.reads.append(ReadVersion(store, answer_from[-1], is_pinned))
        for _ in range(said):
            yield language_model_pb2.GenerateResponse(tokens={"text": "some"})
        if is_first:
            raise DataLossError("a file is missing")
        yield language_model_pb2.GenerateResponse(tokens={"text": "all"})

    answer_from: list[int] = []
    method = all_rpcs([])["LanguageModelService", "Generate"].method
    messages = iterate_inline(Rpc(method, generate).stream(language_model_pb2.GenerateRequest(), Call()))
    if said or is_pinned:
        with pytest.raises(NotFoundError, match=f"version {lost} of the store is not kept"):
            list(messages)
    else:
        assert [message.tokens.text for message in messages] == ["all"]
        assert answer_from == [lost, store.version]


def test_a_loss_that_is_one_stays_one(store: Store) -> None:
    """Where the version that was read is there, its damage is told."""
    call = Call()
    call.reads.append(ReadVersion(store, store.version, True))

    async def generate(request: Any, call: Call) -> AsyncGenerator[Any, None]:
        raise DataLossError("a file is missing")
        yield

    method = all_rpcs([])["LanguageModelService", "Generate"].method
    with pytest.raises(DataLossError):
        list(iterate_inline(Rpc(method, generate).stream(language_model_pb2.GenerateRequest(), call)))


def test_a_job_is_done_again_where_a_version_was_removed_under_it(store: Store) -> None:
    """At once, once; what fails on a version that is kept is raised."""
    tries: list[int] = []

    def work() -> str:
        tries.append(store.version)
        if len(tries) == 1:
            remove_newest(store)
            raise DataLossError("a file is missing")
        return "done"

    assert on_kept_version(store, work, JobMeter("work", "docs")) == "done"
    assert tries[0] < tries[1] == store.version

    def fail() -> str:
        tries.append(store.version)
        raise DataLossError("a file is damaged")

    tries.clear()
    with pytest.raises(DataLossError):
        on_kept_version(store, fail, JobMeter("work", "docs"))
    assert len(tries) == 1


def test_maintenance_makes_no_noise_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The indexes are built in the same round, without a warning."""
    store.add([Document("late", "three fish")])
    build = maintenance.build_with
    tries: list[int] = []

    def once_removed(*args: Any) -> Any:
        tries.append(store.version)
        if len(tries) == 1:
            remove_newest(store)
            raise DataLossError("a file is missing")
        return build(*args)

    monkeypatch.setattr(maintenance, "build_with", once_removed)
    application = Application(Catalog({"docs": store}), Models(), Limits())
    begun = Maintenance(application.access, application.models, application.language_models, 60)
    with caplog.at_level(logging.INFO):
        begun._look_after(begun._lanes[0], "docs", store)
    assert len(tries) == 2
    assert begun.failing("docs") == ()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
