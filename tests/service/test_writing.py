"""Deleting documents, making and removing stores, naming versions and indexes: over gRPC and in this process."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lodex
from lodex.client import Client
from lodex.config import Limits
from lodex.errors import (
    AlreadyExistsError,
    ConflictError,
    DuplicateDocumentError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from lodex.filters import Condition, Texts
from lodex.index.history import tag
from lodex.index.store import Store
from lodex.service import jobs as jobs_module
from lodex.service.indexing import build_suffix_index
from lodex.service.server import Server
from lodex.service.store_root import StoreRoot
from lodex.types import Document
from lodex.v1 import datastore_pb2


@pytest.fixture
def store(tmp_path: Path, byte_tokenizer: Path) -> Store:
    """A store of ten documents in two segments with a suffix index over bytes."""
    store = Store.create(tmp_path / "store")
    for first in (0, 5):
        store.add(
            Document(f"d{i}", f"fish number {i}", source="odd" if i % 2 else "even", metadata={"number": i})
            for i in range(first, first + 5)
        )
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


def test_documents_are_deleted_by_their_ids(client: Client, store: Store) -> None:
    """Those that are not there are named; no later answer holds the others."""
    before = store.version
    result = client.delete("docs", ["d1", "nothing", "d7", "d1"])
    assert (result.deleted, result.missing, result.version) == (2, ("nothing",), before + 1)
    assert client.count("docs", "fish", literal=True)[0].count == 8
    assert client.count("docs", "fish", literal=True, version=before)[0].count == 10
    assert isinstance(client.get("docs", "d1").errors[0], NotFoundError)
    assert client.store("docs").deleted_documents == 2


@pytest.mark.parametrize("where", ['source = "odd"', Condition("source", Texts(("odd",)))])
def test_documents_are_deleted_by_a_filter(client: Client, store: Store, where: Any) -> None:
    """All for which it is true, in one version."""
    assert client.delete("docs", where=where).deleted == 5
    assert {document.source for document in store} == {"even"}


def test_a_deletion_is_carried_out_once(client: Client, store: Store) -> None:
    """What was added again under the same id since is not deleted by the request that is repeated."""
    first = client.delete("docs", "d1", request_id="r")
    client.upsert("docs", [Document("d1", "here again")])
    again = client.delete("docs", "d1", request_id="r")
    assert (again.deleted, again.version) == (first.deleted, first.version)
    assert "d1" in store


@pytest.mark.parametrize(("ids", "where"), [(None, None), (["d1"], 'source = "odd"'), ([], None)])
def test_a_deletion_says_what(client: Client, store: Store, ids: Any, where: Any) -> None:
    """Ids or a filter, and some."""
    with pytest.raises(InvalidArgumentError):
        client.delete("docs", ids, where=where)
    assert len(store) == 10


def test_a_deletion_has_its_limit(serve: Callable[..., Server], store: Store) -> None:
    """It is that of an ingest."""
    address = serve({"docs": store.path}, limits=Limits(max_ingest_documents=3)).address
    with Client(address) as client:
        with pytest.raises(InvalidArgumentError, match="limit is 3") as caught:
            client.delete("docs", ["a", "b", "c", "d"])
        assert caught.value.field == "doc_ids"
        with pytest.raises(InvalidArgumentError, match="limit is 3"):
            client.ingest("docs", [Document(str(i), "x") for i in range(4)])


def test_versions_are_listed_and_named(client: Client, store: Store) -> None:
    """Newest first, each with what made it; a name keeps one and can be taken away."""
    client.delete("docs", "d1")
    newest, *others = client.versions("docs")
    assert (newest.version, newest.parent, newest.change, newest.documents) == (
        store.version,
        store.version - 1,
        "delete",
        9,
    )
    assert [version.version for version in others] == list(range(store.version - 1, 0, -1))
    assert others[-1].parent is None
    assert client.versions("docs", limit=2) == (newest, others[0])
    assert client.tag("docs", "good", version=others[0].version).tags == ("good",)
    assert client.versions("docs")[1].tags == ("good",)
    with pytest.raises(NotFoundError):
        client.tag("docs", "good", version=1, remove=True)
    assert client.tag("docs", "good", remove=True).tags == ()
    for name, version, error in [("No Name", None, InvalidArgumentError), ("x", 99, NotFoundError)]:
        with pytest.raises(error):
            client.tag("docs", name, version=version)


def test_versions_come_page_by_page(client: Client, store: Store) -> None:
    """Each once."""
    request = datastore_pb2.ListVersionsRequest(store="docs", page_size=2)
    found = []
    while True:
        reply: Any = client.transport.unary("DatastoreService", "ListVersions", request, 10)
        found += [version.version for version in reply.versions]
        assert len(reply.versions) <= 2
        if not reply.next_page_token:
            break
        request.page_token = reply.next_page_token
    assert found == list(range(store.version, 0, -1))


def test_an_alias_moves_from_one_index_to_another(client: Client, store: Store, byte_tokenizer: Path) -> None:
    """Queries by the alias follow it; an index that is needed is not dropped."""
    build_suffix_index(store, str(byte_tokenizer), "other")
    version = client.set_alias("docs", "current", "suffix")
    assert client.count("docs", "fish", index="current", literal=True)[0].count == 10
    assert client.set_alias("docs", "current", "other") == version + 1
    with pytest.raises(FailedPreconditionError, match="current"):
        client.drop_index("docs", "other")
    assert client.drop_index("docs", "suffix") == version + 2
    assert client.count("docs", "fish", index="current", literal=True)[0].count == 10
    client.set_alias("docs", "current", None)
    with pytest.raises(NotFoundError):
        client.count("docs", "fish", index="current")
    with pytest.raises(AlreadyExistsError):
        client.set_alias("docs", "other", "other")
    with pytest.raises(InvalidArgumentError):
        client.drop_index("docs", "")


class TestStores:
    """Stores that clients make under a folder of the server."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """The folder."""
        return tmp_path / "root"

    @pytest.fixture
    def client(self, serve: Callable[..., Server], store: Store, root: Path) -> Iterator[Client]:
        """A client of a server that has it."""
        with Client(serve({"given": store.path}, store_root=root).address) as connected:
            yield connected

    def test_a_store_is_made_filled_and_removed(self, client: Client, root: Path) -> None:
        """It is served at once, and gone at once."""
        assert client.create_store("mine").documents == 0
        assert client.ingest("mine", [Document("a", "text")]).documents == 1
        assert client.info().stores == ("given", "mine")
        with pytest.raises(AlreadyExistsError):
            client.create_store("mine")
        with pytest.raises(ConflictError):
            client.drop_store("mine", expected_version=1)
        client.drop_store("mine", expected_version=client.store("mine").version)
        assert client.info().stores == ("given",)
        with pytest.raises(NotFoundError):
            client.get("mine", "a")
        assert list(root.iterdir()) == []
        assert client.create_store("mine").documents == 0

    def test_a_request_makes_a_store_once(self, client: Client) -> None:
        """Repeated it finds what it made."""
        request = datastore_pb2.CreateStoreRequest(store="mine", request_id="r")
        for _ in range(2):
            reply: Any = client.transport.unary("DatastoreService", "CreateStore", request, 10)
            assert reply.store.name == "mine"
        request.request_id = "s"
        with pytest.raises(AlreadyExistsError):
            client.transport.unary("DatastoreService", "CreateStore", request, 10)

    def test_the_operators_stores_stay(self, client: Client, store: Store) -> None:
        """A client neither removes nor replaces them."""
        with pytest.raises(FailedPreconditionError, match="operator"):
            client.drop_store("given")
        with pytest.raises(FailedPreconditionError, match="operator"):
            client.create_store("given")
        assert len(store) == 10

    def test_jobs_end_with_their_store(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """With NotFoundError: the one at work, also where it fails for want of its files, and the one that waits."""
        begun, dropped = threading.Event(), threading.Event()

        def compact(store: Store, *args: Any, check: Callable[[], None], **options: Any) -> Any:
            begun.set()
            dropped.wait(10)
            store.commit(lambda latest: replace(latest, aliases={"x": "y"}), "alias")
            raise OSError("a file is gone")

        monkeypatch.setattr(jobs_module, "compact", compact)
        client.create_store("mine")
        working, waiting = client.compact("mine", request_id="a"), client.compact("mine", request_id="b")
        assert begun.wait(10)
        client.drop_store("mine")
        client.create_store("mine")
        dropped.set()
        for operation in (working, waiting):
            with pytest.raises(NotFoundError, match="store 'mine' was dropped"):
                operation.result(30)
        assert client.store("mine").version == 2
        assert client.compact("mine", request_id="a").name != working.name

    def test_a_stream_ends_with_its_store(self, client: Client) -> None:
        """Nothing more of it gets into another store of that name."""
        client.create_store("mine")
        client.ingest("mine", [Document("here", "text")])

        def documents() -> Iterator[Document]:
            yield Document("before", "text")
            client.drop_store("mine")
            client.create_store("mine")
            for i in range(2000):
                yield Document(f"after {i}", "text")

        with pytest.raises(NotFoundError, match="store 'mine' was dropped"):
            client.ingest("mine", documents(), batch=1000)
        assert client.documents("mine") == ()
        assert client.ingest("mine", [Document("new", "text")]).documents == 1

    @pytest.mark.parametrize("name", ["", "No", "../x", "a/b", ".new-x"])
    def test_names_have_their_form(self, client: Client, name: str) -> None:
        """Before they meet the disk."""
        with pytest.raises(InvalidArgumentError):
            client.create_store(name)

    def test_stores_are_found_at_the_next_start(self, client: Client, root: Path) -> None:
        """And what an interrupted run left is removed."""
        client.create_store("mine")
        (root / ".deleted-0").mkdir()
        (root / ".new-0").mkdir()
        (root / "stranger").mkdir()
        assert [name for name, _ in StoreRoot(root).stores()] == ["mine"]
        assert sorted(path.name for path in root.iterdir()) == ["mine", "stranger"]

    def test_without_a_folder_there_are_no_new_stores(self, serve: Callable[..., Server], store: Store) -> None:
        """The error names the setting."""
        with (
            Client(serve({"docs": store.path}).address) as client,
            pytest.raises(FailedPreconditionError, match="store_root"),
        ):
            client.create_store("mine")


class TestEmbedded:
    """What `lodex.open` gives beside the methods of a client."""

    def test_what_is_added_is_in_the_indexes_at_once(self, store: Store) -> None:
        """Also what takes the place of another."""
        with lodex.open(store.path) as db:
            db.add([Document("new", "a whale")])
            assert db.upsert([Document("d0", "another whale"), Document("d1", "third whale")]).replaced == 2
            assert db.ingest([Document("late", "last whale"), Document("d1", "twice")]).rejected == 1
            assert db.count("whale", literal=True)[0].count == 4
            assert db.delete("new").deleted == 1
            assert db.delete(where='source = "odd"').deleted == 4
            assert db.count("whale", literal=True)[0].count == 3
            with pytest.raises(DuplicateDocumentError):
                db.add([Document("late", "x")])

    def test_an_older_version_is_only_read(self, store: Store) -> None:
        """By its number or its tag."""
        tag(store.path, "before")
        version = store.version
        store.delete(["d1"])
        for options in ({"version": version}, {"tag": "before"}):
            with lodex.open(store.path, "docs", **options) as db:
                assert db.info().version == version
                assert db.info().read_only
                assert db.count("fish", literal=True)[0].count == 10
                for write in (lambda db=db: db.add([Document("x", "y")]), lambda db=db: db.delete("d2")):
                    with pytest.raises(FailedPreconditionError, match="only read"):
                        write()
        with pytest.raises(InvalidArgumentError):
            lodex.open(store.path, version=1, tag="before")
        with pytest.raises(NotFoundError, match="nothing"):
            lodex.open(store.path, tag="nothing")
