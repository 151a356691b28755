"""Listing documents: filtered, paged, of one version, over gRPC and in process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lodex
from lodex.client import Client
from lodex.client.filters import filter_message
from lodex.config import Limits
from lodex.errors import CancelledError, InvalidArgumentError, NotFoundError
from lodex.filters import AllOf, Condition, NoneOf, NumberRange, Prefix, Texts
from lodex.index.deletion import delete_documents
from lodex.index.store import Store
from lodex.service.document_listing import Place, list_page
from lodex.service.embedded import OpenStore
from lodex.service.server import Server
from lodex.types import Document
from lodex.v1 import common_pb2, datastore_pb2

Ask = Callable[..., tuple[Document, ...]]


@pytest.fixture(params=["server", "process"])
def ask(request: pytest.FixtureRequest, client: Client, embedded: OpenStore) -> Ask:
    """`ask(...)` lists documents of the store of the tests in either way."""
    view = client["docs"] if request.param == "server" else embedded
    return view.documents


@pytest.fixture
def headers(store_path: Path) -> list[Document]:
    """The documents without texts, in the order of the store."""
    return [replace(document, text="") for document in Store.open(store_path)]


def test_all_documents_are_listed_in_the_order_of_the_store(ask: Ask, headers: list[Document]) -> None:
    """With every field but the text."""
    assert list(ask()) == headers


def test_a_filter_chooses(ask: Ask, headers: list[Document]) -> None:
    """Written or as a value, over columns and metadata, over all segments."""
    small = [document for document in headers if document.metadata["size"] < 40]
    assert 0 < len(small) < len(headers)
    assert list(ask(where="metadata.size < 40")) == small
    assert list(ask(where=Condition("metadata.size", NumberRange(below=40)))) == small
    named = ask(where='doc_id in ("law", "space", "nothing") and not title ^= "L"')
    assert [document.doc_id for document in named] == ["space"]
    assert ask(where='source = "elsewhere"') == ()


def test_a_limit_is_kept(ask: Ask, headers: list[Document]) -> None:
    """Over pages and segments; none are asked for with 0."""
    for limit in (0, 1, 4, len(headers), 100):
        assert list(ask(limit=limit)) == headers[:limit]
    with pytest.raises(InvalidArgumentError) as caught:
        ask(limit=-1)
    assert caught.value.field == "limit"


def test_an_old_version_is_listed_as_it_was(ask: Ask, headers: list[Document]) -> None:
    """The first ingest made version 2; a version that never was is not found."""
    assert list(ask(version=2)) == headers[:3]
    with pytest.raises(NotFoundError, match="999"):
        ask(version=999)


def test_a_written_filter_that_cannot_be_read_is_shown(ask: Ask) -> None:
    """Where it is read, which is before it is sent."""
    with pytest.raises(InvalidArgumentError, match="column 10"):
        ask(where="source = ")


def pages(client: Client, request: datastore_pb2.ListDocumentsRequest) -> Iterator[Any]:
    while True:
        reply = client.transport.unary("DatastoreService", "ListDocuments", request, 10)
        yield reply
        request.page_token = reply.next_page_token
        if not request.page_token:
            return


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9, 10])
def test_pages_of_any_size_hold_each_document_once(client: Client, headers: list[Document], size: int) -> None:
    """All pages but the last are full, the last is not empty."""
    for where in (None, NoneOf((Condition("doc_id", Texts(("law",))),))):
        request = datastore_pb2.ListDocumentsRequest(target=common_pb2.StoreRef(store="docs"), page_size=size)
        if where is not None:
            request.filter.CopyFrom(filter_message(where))
        wanted = [document.doc_id for document in headers if where is None or document.doc_id != "law"]
        listed = [[document.doc_id for document in reply.documents] for reply in pages(client, request)]
        assert [doc_id for page in listed for doc_id in page] == wanted
        assert all(len(page) == size for page in listed[:-1])
        assert listed[-1]


@pytest.fixture
def growing(tmp_path: Path) -> Store:
    """A store of two segments of 5 documents."""
    store = Store.create(tmp_path / "docs")
    for first in (0, 5):
        store.add(Document(f"d{i}", "text", metadata={"n": i}) for i in range(first, first + 5))
    return store


def test_a_listing_stays_at_its_version(serve: Callable[..., Server], growing: Store) -> None:
    """What is added and deleted between two pages is not seen by the second."""
    with Client(serve({"docs": growing.path}).address) as client:
        request = datastore_pb2.ListDocumentsRequest(target=common_pb2.StoreRef(store="docs"), page_size=4)
        listed = []
        for reply in pages(client, request):
            listed += [document.doc_id for document in reply.documents]
            assert reply.info.sources[0].version == 3
            growing.add([Document(f"late{len(listed)}", "text")])
            delete_documents(growing, [f"d{len(listed) - 1}"])
        assert listed == [f"d{i}" for i in range(10)]


def test_deleted_documents_are_not_listed(growing: Store) -> None:
    """By no filter and on no page, also where a whole segment is gone; the older version still has them."""
    before = growing.version
    delete_documents(growing, ["d0", "d3", *(f"d{i}" for i in range(5, 10))])
    with lodex.open(growing.path) as opened:
        assert [document.doc_id for document in opened.documents()] == ["d1", "d2", "d4"]
        assert [document.doc_id for document in opened.documents(where="metadata.n >= 2")] == ["d2", "d4"]
        assert len(opened.documents(version=before)) == 10


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"page_token": "nonsense"}, "page_token"),
        ({"page_size": -1}, "page_size"),
        ({"target": {"store": "docs", "version": 2}}, "page_token"),
        ({"filter": {"all_of": {}}}, "page_token"),
        ({"filter": {}, "page_token": ""}, "filter.predicate"),
        ({"filter": {"condition": {"field": "lang", "truth": True}}, "page_token": ""}, "filter.condition.field"),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_its_field(client: Client, change: dict[str, Any], field: str) -> None:
    """A token of another listing, a negative page, a filter that is none."""
    fields = {"target": {"store": "docs"}, "page_size": 2}
    first = datastore_pb2.ListDocumentsRequest(**fields)
    fields["page_token"] = client.transport.unary("DatastoreService", "ListDocuments", first, 10).next_page_token
    with pytest.raises(InvalidArgumentError) as caught:
        client.transport.unary(
            "DatastoreService", "ListDocuments", datastore_pb2.ListDocumentsRequest(**fields | change), 10
        )
    assert caught.value.field == field


@pytest.mark.parametrize("cursor", ["x", "1", "1:", ":1", "-1:0", "1:-1", "1:1:1", "1.0:2", "99999999999:1", "²:1"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    """One that was made by someone else."""
    with pytest.raises(InvalidArgumentError) as caught:
        Place.read(cursor, "page_token")
    assert caught.value.field == "page_token"


def test_a_cursor_beyond_the_end_ends_the_listing(growing: Store) -> None:
    """It finds nothing, and does not fail."""
    for place in (Place(0, 5), Place(1, 99), Place(2, 0), Place(9_999_999_999, 9_999_999_999)):
        page, following = list_page(growing.snapshot(), AllOf(()), place, 10, 1 << 20, lambda: None)
        assert [document.doc_id for document in page] == (
            [f"d{i}" for i in range(5, 10)] if place == Place(0, 5) else []
        )
        assert following is None


def test_a_page_has_no_more_bytes_than_a_message_may(tmp_path: Path, serve: Callable[..., Server]) -> None:
    """Documents with much metadata make short pages; one that alone is beyond makes a page of its own."""
    store = Store.create(tmp_path / "docs")
    store.add(Document(f"d{i}", "", metadata={"x": "x" * 3000 * (1 + i % 3)}) for i in range(12))
    limits = Limits(max_message_bytes=16_384)
    with Client(serve({"docs": store.path}, limits=limits).address) as client:
        assert list(client.documents("docs")) == list(store)


def test_work_that_nobody_waits_for_ends(growing: Store) -> None:
    """A listing that finds nothing asks at every step whether it should go on."""

    def give_up() -> None:
        raise CancelledError("gone")

    with pytest.raises(CancelledError):
        list_page(growing.snapshot(), Condition("source", Prefix("x")), Place(), 10, 1 << 20, give_up)
