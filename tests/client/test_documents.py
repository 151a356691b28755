"""How the clients list documents."""

from collections.abc import Callable
from typing import Any

import pytest

from lodex.errors import InvalidArgumentError
from lodex.types import Document
from lodex.v1 import common_pb2, datastore_pb2

Ask = Callable[..., Any]


def page(*doc_ids: str, following: str = "") -> datastore_pb2.ListDocumentsResponse:
    documents = [common_pb2.Document(doc_id=doc_id, title="T", metadata_json='{"n":1}') for doc_id in doc_ids]
    return datastore_pb2.ListDocumentsResponse(documents=documents, next_page_token=following)


def serve_pages(server: Any, pages: dict[str, datastore_pb2.ListDocumentsResponse]) -> None:
    async def answer(request: Any, context: Any) -> Any:
        return pages[request.page_token]

    server.on("DatastoreService.ListDocuments", answer)


def test_all_pages_are_read_under_one_filter(server: Any, ask: Ask) -> None:
    """Each request has the filter and the version; only the page changes. A page may be empty before the end."""
    serve_pages(server, {"": page("a", following="2"), "2": page(following="3"), "3": page("b")})
    listed = ask("documents", "docs", where='source = "x"', version=7)
    assert listed == tuple(Document(doc_id, "", title="T", metadata={"n": 1}) for doc_id in "ab")
    assert [request.page_token for request in server.requests] == ["", "2", "3"]
    for request in server.requests:
        assert (request.target.store, request.target.version) == ("docs", 7)
        assert list(request.filter.condition.texts.values) == ["x"]


def test_no_filter_is_sent_for_all_documents(server: Any, ask: Ask) -> None:
    """An absent filter is not an empty one."""
    serve_pages(server, {"": page("a")})
    assert [document.doc_id for document in ask("documents", "docs")] == ["a"]
    assert not server.requests[0].HasField("filter")
    assert not server.requests[0].target.HasField("version")


def test_no_more_is_asked_for_than_is_wanted(server: Any, ask: Ask) -> None:
    """The last page is cut by the server, and none is asked for beyond it."""
    serve_pages(server, {"": page("a", "b", following="2"), "2": page("c", following="3")})
    assert [document.doc_id for document in ask("documents", "docs", limit=3)] == ["a", "b", "c"]
    assert [request.page_size for request in server.requests] == [3, 1]


def test_a_filter_that_cannot_be_read_is_not_sent(server: Any, ask: Ask) -> None:
    """The caller sees the place in the text."""
    with pytest.raises(InvalidArgumentError, match="column 7"):
        ask("documents", "docs", where="source")
    assert not server.requests
