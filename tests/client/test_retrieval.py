"""Search and fetching by id of both clients, against a real server with canned answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lodex.client import codec
from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.types import Document, Embeddings
from lodex.v1 import common_pb2, retrieval_pb2

Ask = Callable[..., Any]
PASSAGE = common_pb2.Passage(
    id="a#1", doc_id="a", ordinal=1, begin=5, end=9, text="text", key="0" * 32, metadata_json='{"n": 9007199254740993}'
)


@pytest.fixture
def searched(server: Any, info: Any) -> Any:
    """A server that finds one passage for each query."""
    result = retrieval_pb2.SearchResult(hits=[retrieval_pb2.Hit(passage=PASSAGE, score=0.5)])
    server.on("RetrievalService.Search", retrieval_pb2.SearchResponse(results=[result], info=info))
    return server


def test_a_search_by_text_gives_hits(searched: Any, ask: Ask) -> None:
    """Each query has its passages with their scores, and metadata keeps large integers exact."""
    answers = ask("search", "docs", "read a file", k=3, index="dense", nprobe=8, exact=True, version=7)
    (hit,) = answers[0]
    assert (hit.score, hit.passage.id, hit.passage.text) == (0.5, "a#1", "text")
    assert hit.passage.metadata == {"n": 9007199254740993}
    assert answers.version == 7
    (request,) = searched.requests
    assert [query.text for query in request.queries] == ["read a file"]
    assert (request.k, request.parameters.nprobe, request.parameters.exact) == (3, 8, True)
    assert (request.target.store, request.target.index, request.target.version) == ("docs", "dense", 7)
    assert not request.HasField("vectors")


@pytest.mark.parametrize(
    ("vectors", "dtype", "shape"),
    [
        ([0.5, 1.0], np.float32, (1, 2)),
        ([[0.5, 1.0], [2.0, 3.0]], np.float32, (2, 2)),
        (np.ones((2, 3), dtype=np.float64), np.float32, (2, 3)),
        (np.ones((2, 3), dtype=np.float16), np.float16, (2, 3)),
        (np.ones((4, 6), dtype=np.float32)[::2, ::2], np.float32, (2, 3)),
        (np.ones((2, 3), dtype=">f4"), np.float32, (2, 3)),
    ],
)
def test_a_search_by_vectors_sends_them_whole(searched: Any, ask: Ask, vectors: Any, dtype: Any, shape: Any) -> None:
    """Vectors of any layout arrive with their values; a single one is a batch of one."""
    ask("search", "docs", vectors=vectors)
    received = codec.array(searched.requests[0].vectors)
    assert (received.dtype, received.shape) == (dtype, shape)
    assert np.array_equal(received, np.asarray(vectors).reshape(shape))


def test_embeddings_bring_their_fingerprint(searched: Any, ask: Ask) -> None:
    """Vectors that come from a server say of which embedder they are."""
    embeddings = Embeddings(np.ones((1, 2), np.float32), np.zeros(1, np.bool_), fingerprint="f00d")
    ask("search", "docs", vectors=embeddings)
    assert searched.requests[0].fingerprint == "f00d"
    assert codec.array(searched.requests[0].vectors).shape == (1, 2)


@pytest.mark.parametrize("arguments", [{}, {"queries": "a", "vectors": [1.0]}, {"vectors": np.ones((1, 2, 3))}])
def test_a_search_takes_texts_or_vectors(ask: Ask, arguments: dict[str, Any]) -> None:
    """Neither, both, or a stack of matrices is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError):
        ask("search", "docs", **arguments)


@pytest.mark.parametrize(("bad", "words"), [(1, "is int"), (b"a", "is bytes"), ("\ud800", "is no Unicode text")])
def test_queries_that_are_no_text_are_named(ask: Ask, bad: Any, words: str) -> None:
    """What cannot be a text is refused by its place, a broken surrogate as well as a number."""
    with pytest.raises(InvalidArgumentError, match=rf"queries\[1\] {words}") as caught:
        ask("search", "docs", ["a", bad])
    assert caught.value.field == "queries[1]"


def test_documents_are_fetched_by_id(server: Any, ask: Ask, info: Any) -> None:
    """Documents come in the order of the ids, and a missing one fails alone."""
    found = common_pb2.Document(doc_id="a", text="x", date="2024-01-01", metadata_json='{"k": [1, 2.5]}')
    results = [
        retrieval_pb2.FetchDocumentsResult(document=found),
        retrieval_pb2.FetchDocumentsResult(error={"code": 5, "message": "no document 'b'"}),
    ]
    server.on("RetrievalService.FetchDocuments", retrieval_pb2.FetchDocumentsResponse(results=results, info=info))
    answers = ask("get", "docs", ["a", "b"], version=3)
    assert answers[0] == Document("a", "x", date="2024-01-01", metadata={"k": [1, 2.5]})
    with pytest.raises(NotFoundError, match="no document 'b'"):
        answers[1]
    assert list(server.requests[0].doc_ids) == ["a", "b"]
    assert (server.requests[0].target.store, server.requests[0].target.version) == ("docs", 3)


def test_passages_are_fetched_by_id(server: Any, ask: Ask, info: Any) -> None:
    """A lone id is a batch of one; the chunking that numbers it may be named."""
    result = retrieval_pb2.FetchPassagesResult(passage=PASSAGE)
    server.on("RetrievalService.FetchPassages", retrieval_pb2.FetchPassagesResponse(results=[result], info=info))
    (passage,) = ask("passages", "docs", "a#1", chunking="180w")
    assert (passage.doc_id, passage.ordinal, passage.begin, passage.end) == ("a", 1, 5, 9)
    assert (list(server.requests[0].passage_ids), server.requests[0].chunking) == (["a#1"], "180w")
