"""RetrievalService: searching by meaning, fetching by id."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lodex
from lodex.client import Client
from lodex.errors import (
    DimensionMismatchError,
    FailedPreconditionError,
    FingerprintMismatchError,
    InvalidArgumentError,
    NotFoundError,
    UnimplementedError,
)
from lodex.index.manifest import Manifest
from lodex.index.store import Store
from lodex.types import Document, Embeddings
from lodex.v1 import common_pb2, retrieval_pb2


def test_hits_are_those_of_brute_force(client: Client, documents: tuple[Document, ...]) -> None:
    """Every passage scored by the inner product of its vector and the query's, best first."""
    query = "an animal that sits on a carpet"
    full = [document for document in documents if document.text]
    passages = client.embed([f"{document.title} {document.text}" for document in full], "passage").vectors
    scores = passages @ client.embed(query, "query").vectors[0]
    expected = [full[i].doc_id for i in np.argsort(-scores)]
    hits = client.search("docs", query, k=100)[0]
    assert [hit.passage.doc_id for hit in hits] == expected
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1], atol=1e-5)
    assert expected[0] == "animals"


def test_a_hit_has_every_field_of_its_document(client: Client, documents: tuple[Document, ...]) -> None:
    """Provenance is never left out."""
    (hit,) = client.search("docs", "how do I read a file?", k=1)[0]
    (document,) = (document for document in documents if document.doc_id == "files")
    found = hit.passage
    assert (found.id, found.text) == ("files#0", document.text)
    for name in ("source", "title", "url", "date", "metadata"):
        assert getattr(found, name) == getattr(document, name)


def test_a_bad_query_fails_alone(client: Client) -> None:
    """An empty text has no meaning to search by; its neighbours are answered."""
    answers = client.search("docs", ["rockets", " ", "pasta"], k=1)
    assert answers[0][0].passage.doc_id == "space"
    assert answers[2][0].passage.doc_id == "cooking"
    assert {i: error.field for i, error in answers.errors.items()} == {1: "queries[1].text"}


def test_a_bad_vector_fails_alone(client: Client) -> None:
    """A row that is not made of numbers; the others are searched for."""
    vectors = client.embed(["rockets", "pasta"], "query").vectors
    answers = client.search("docs", vectors=np.stack([vectors[0], vectors[1] * np.nan, vectors[1]]), k=1)
    assert answers[0][0].passage.doc_id == "space"
    assert answers[2][0].passage.doc_id == "cooking"
    assert {i: error.field for i, error in answers.errors.items()} == {1: "vectors[1]"}


def test_vectors_must_be_of_the_embedder(client: Client) -> None:
    """By their dimension, and by their fingerprint where they bring one."""
    with pytest.raises(DimensionMismatchError, match=r"d=3.*d=384") as caught:
        client.search("docs", vectors=np.ones((2, 3)))
    assert caught.value.field == "vectors"
    embeddings = client.embed("pasta", "query")
    assert client.search("docs", vectors=embeddings, k=1)[0][0].passage.doc_id == "cooking"
    with pytest.raises(FingerprintMismatchError, match="sha256:other"):
        client.search("docs", vectors=replace(embeddings, fingerprint="sha256:other"))


def test_vectors_beside_queries_belong_to_them(client: Client) -> None:
    """Row i is the vector of query i, which is then not embedded; a count that differs is refused."""
    vectors = client.embed(["rockets", "pasta"], "query").vectors
    request = retrieval_pb2.SearchRequest(
        target=common_pb2.IndexRef(store="docs"),
        queries=[retrieval_pb2.SearchQuery(text="no such thing")] * 2,
        vectors=common_pb2.Tensor(
            data_type=common_pb2.DATA_TYPE_FLOAT32, shape=vectors.shape, data=vectors.astype("<f4").tobytes()
        ),
        k=1,
    )
    reply = client.transport.unary("RetrievalService", "Search", request, 10)
    assert [result.hits[0].passage.doc_id for result in reply.results] == ["space", "cooking"]
    del request.queries[1]
    with pytest.raises(InvalidArgumentError, match="2 vectors for 1 queries"):
        client.transport.unary("RetrievalService", "Search", request, 10)


@pytest.mark.parametrize(
    "part",
    [
        {"filter": common_pb2.Filter(condition=common_pb2.Condition(field="title", prefix="A"))},
        {"legs": [retrieval_pb2.SearchLeg(index="dense")]},
        {"rerank": retrieval_pb2.RerankStage()},
        {"read_mask": {"paths": ["id"]}},
    ],
    ids=lambda part: next(iter(part)),
)
def test_what_would_change_the_answer_is_not_ignored(client: Client, part: dict[str, object]) -> None:
    """Filters, legs and reranking are promised; a request with one is refused, not answered without it."""
    request = retrieval_pb2.SearchRequest(target=common_pb2.IndexRef(store="docs"), **part)
    with pytest.raises(UnimplementedError, match=next(iter(part))):
        client.transport.unary("RetrievalService", "Search", request, 10)


def test_documents_and_passages_come_back_whole(client: Client, documents: tuple[Document, ...]) -> None:
    """As they were added, in the order asked for; one that is not there fails its item."""
    ids = [document.doc_id for document in documents]
    assert list(client.get("docs", ids)) == list(documents)
    answers = client.passages("docs", ["nothing#0", "files#0", "files#1", "files"])
    assert answers[1].text == next(document.text for document in documents if document.doc_id == "files")
    assert all(isinstance(error, NotFoundError) for error in answers.errors.values())
    assert list(answers.errors) == [0, 2, 3]


def test_an_index_of_an_unknown_embedder_takes_vectors_only(store_path: Path, tmp_path: Path) -> None:
    """The server never opens what a store's manifest names, but for the embedders it was given."""

    def rename(manifest: Manifest) -> Manifest:
        entry = manifest.indexes["dense"]
        config = dict(entry.config) | {"encoder": dict(entry.config["encoder"]) | {"name": "/etc"}}
        return replace(manifest, indexes=dict(manifest.indexes) | {"dense": replace(entry, config=config)})

    copy = Path(shutil.copytree(store_path, tmp_path / "copy", symlinks=True))
    Store.open(copy).commit(rename, "build")
    with lodex.open(copy) as db:
        with pytest.raises(FailedPreconditionError, match=r"'/etc'.*minilm"):
            db.search("pasta")
        vectors: Embeddings = db.embed("pasta", "query")
        assert db.search(vectors=vectors, k=1)[0][0].passage.doc_id == "cooking"
