"""A store with deletions answers every exact question as one that never had the documents."""

import dataclasses
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import (
    DataLossError,
    DuplicateDocumentError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from lodex.index.build import Builder, build_index
from lodex.index.deletion import delete_chosen, delete_documents, with_deleted
from lodex.index.dense import DenseIndex
from lodex.index.dense_build import DenseBuilder
from lodex.index.knn import KnnIndex
from lodex.index.knn_build import KnnBuilder
from lodex.index.knn_files import KeySource
from lodex.index.manifest import Manifest
from lodex.index.ngrams import NgramIndex
from lodex.index.passages import PassagesBuilder
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.index.verify import verify_store
from lodex.types import Document, Embeddings, EncoderInfo

D = 6
VOCABULARY = {"<|endoftext|>": 0, "a": 1, "b": 2, "c": 3, "d": 4}
MODEL = {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "<|endoftext|>"}
TOKENIZER = Tokenizer(
    json.dumps({"model": MODEL, "pre_tokenizer": {"type": "WhitespaceSplit"}, "added_tokens": []}), "letters"
)
ENCODER = EncoderInfo(name="hashed", fingerprint="sha256:1", dimension=D, max_tokens=256, normalized=True)
SOURCE = KeySource(model="hashed", fingerprint="sha256:1", dimension=D, window_tokens=64, stride_tokens=32)


def hashed(word: str) -> npt.NDArray[np.float32]:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=D).astype(np.float32)


def embed(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
    return Embeddings(np.stack([hashed(text) for text in texts]), np.zeros(len(texts), np.bool_), len(texts))


def make_keys(documents: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
    """The key of a context is that of its last two tokens, so that many entries are at one distance."""
    for ids in documents:
        context = [-1, -1, *ids.tolist()]
        yield np.stack([hashed(repr(context[i : i + 2])) for i in range(len(ids) + 1)])


def builders(lists: bool = False) -> dict[str, Builder]:
    few = 2 if lists else 1_000_000
    return {
        "document": PassagesBuilder("document"),
        "letters": TokensBuilder(TOKENIZER),
        "suffix": SuffixBuilder("letters"),
        "dense": DenseBuilder("document", ENCODER, embed, ivf_from=few),
        "knn": KnnBuilder("letters", SOURCE, make_keys, lists_from=few),
    }


def build_all(store: Store, lists: bool = False) -> Snapshot:
    for name, builder in builders(lists).items():
        build_index(store, name, builder)
    return store.snapshot()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Store]:
    """Stores of one segment for each batch of documents, with every index."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    numbers = count()

    def made(batches: Iterable[Sequence[Document]], lists: bool = False) -> Store:
        store = Store.create(tmp_path / f"store-{next(numbers)}")
        for batch in batches:
            store.add(batch)
        build_all(store, lists)
        return store

    return made


def spell(letters: Sequence[int]) -> str:
    return " ".join(" abcd"[letter] for letter in letters)


def ngram_answers(snapshot: Snapshot, queries: Sequence[Sequence[int]]) -> list[Any]:
    index = NgramIndex(snapshot)
    asked = [[np.array(query, np.int64)] for query in queries]
    after = [[np.array([2], np.int64)]] * len(asked)
    found = index.search_docs(asked, page_size=100)
    return [
        [answer.count for answer in index.count(asked)],
        [(p.prompt_count, p.continuation_count) for p in index.prob(asked, after)],
        [(p.prompt_count, p.continuation_count, p.suffix_length) for p in index.infgram_prob(asked, after)],
        *[
            [
                (d.token_ids.tolist(), d.counts.tolist(), d.prompt_count, d.distinct, d.suffix_length)
                for d in distributions
            ]
            for distributions in (index.ntd(asked), index.infgram_ntd(asked), index.infgram_ntd(asked, top_k=1))
        ],
        [(o.count, sorted((hit.doc_id, hit.begin, hit.match) for hit in o.occurrences)) for o in found],
    ]


def dense_answers(snapshot: Snapshot, words: Sequence[str], **how: Any) -> list[Any]:
    queries = np.stack([hashed(word) for word in words])
    found = DenseIndex(snapshot).search(queries, 4, **how)
    return [[(hit.passage.id, hit.passage.text, hit.score) for hit in hits] for hits in found]


def knn_answers(snapshot: Snapshot, words: Sequence[str], k: int = 5, **how: Any) -> list[Any]:
    index = KnnIndex(snapshot)
    found = index.search(np.stack([hashed(word) for word in words]), k, **how)
    places = [
        [index.occurrence(int(s), int(p)) for s, p in zip(*row, strict=True) if s >= 0]
        for row in zip(found.segments, found.positions, strict=True)
    ]
    return [
        found.distances.tolist(),
        found.token_ids.tolist(),
        [[(place.doc_id, place.begin, place.match) for place in row] for row in places],
    ]


QUERIES = [(), (0,), (1,), (2, 1), (1, 2), (1, 1, 1), (3, 1, 2), (0, 1), (2, 0), (0, 0), (1, 2, 0), (2, 3, 1, 4, 1)]
WORDS = ["a", "a b", "[-1, 1]", "[1, 2]", "[2, 1]", "[-1, -1]", "nothing like it"]


def assert_same(one: Snapshot, other: Snapshot) -> None:
    """Both stores answer alike; documents may stand in another order."""
    assert sorted((d.doc_id, d.text) for d in one) == sorted((d.doc_id, d.text) for d in other)
    assert len(one) == len(other)
    assert ngram_answers(one, QUERIES) == ngram_answers(other, QUERIES)
    assert dense_answers(one, WORDS) == dense_answers(other, WORDS)
    assert knn_answers(one, WORDS) == knn_answers(other, WORDS)
    assert knn_answers(one, WORDS[:1], 10_000) == knn_answers(other, WORDS[:1], 10_000)


texts = st.lists(st.integers(1, 4), max_size=7).map(spell)
batches_of_texts = st.lists(st.lists(texts, min_size=1, max_size=4), min_size=1, max_size=3)


@given(batches_of_texts, st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_deleting_is_never_having_added(make: Any, batches: list[list[str]], data: st.DataObject) -> None:
    """After deletions in steps, replacements and additions, answers are those of a store built of what is left."""
    live = {f"doc-{i}.{j}": text for i, batch in enumerate(batches) for j, text in enumerate(batch)}
    store = make([Document(f"doc-{i}.{j}", text) for j, text in enumerate(batch)] for i, batch in enumerate(batches))
    for step in range(2):
        gone = data.draw(st.lists(st.sampled_from(sorted(live)), unique=True, max_size=len(live) - 1))
        assert delete_documents(store, gone).documents == len(gone)
        live = {doc_id: text for doc_id, text in live.items() if doc_id not in gone}
        changed = data.draw(st.dictionaries(st.sampled_from([*sorted(live), f"new-{step}"]), texts, max_size=2))
        store.add([Document(doc_id, text) for doc_id, text in changed.items()], replace=True)
        live |= changed
        build_all(store)
    fresh = make([[Document(doc_id, text) for doc_id, text in live.items()]])
    assert_same(store.snapshot(), fresh.snapshot())
    assert not verify_store(store.path).damaged


def three_segments(make: Callable[..., Store], n: int = 12, lists: bool = False) -> tuple[Store, list[Document]]:
    rng = np.random.default_rng(7)
    documents = [Document(f"doc-{i}", spell(rng.integers(1, 5, rng.integers(0, 9)).tolist())) for i in range(n)]
    return make([documents[i::3] for i in range(3)], lists), documents


def test_lists_are_searched_without_the_deleted(make: Callable[..., Store]) -> None:
    """Through inverted lists, all probed, dense and kNN answers are those of a store without the documents."""
    store, documents = three_segments(make, 120, lists=True)
    gone = [document.doc_id for document in documents[::3]] + ["doc-1", "doc-2"]
    store.delete(gone)
    fresh = make([[d for d in documents if d.doc_id not in gone]], lists=True)
    assert dense_answers(store.snapshot(), WORDS, nprobe=1000) == dense_answers(fresh.snapshot(), WORDS, nprobe=1000)
    assert knn_answers(store.snapshot(), WORDS, nprobe=1000) == knn_answers(fresh.snapshot(), WORDS, nprobe=1000)
    assert all(len(hits) == 4 for hits in dense_answers(store.snapshot(), WORDS, nprobe=1))
    entries = sum(len(document.text.split()) + 1 for document in documents if document.doc_id not in gone)
    (distances,), *_ = knn_answers(store.snapshot(), WORDS[:1], entries, nprobe=1)
    assert np.isfinite(distances).all()


def test_an_old_version_still_has_what_was_deleted(make: Callable[..., Store]) -> None:
    """A version that is pinned answers as before the deletion."""
    store, documents = three_segments(make)
    before = store.snapshot()
    counted, near = ngram_answers(before, QUERIES), knn_answers(before, WORDS)
    store.delete([document.doc_id for document in documents[:7]])
    for pinned in (before, store.snapshot(before.version), Store.open(store.path, before.version).snapshot()):
        assert "doc-3" in pinned
        assert ngram_answers(pinned, QUERIES) == counted
        assert knn_answers(pinned, WORDS) == near
    assert ngram_answers(store.snapshot(), QUERIES) != counted


def test_a_deleted_document_is_found_in_no_way(make: Callable[..., Store]) -> None:
    """It is not there by its id, in the listing, nor as a passage, and may be added again."""
    store, documents = three_segments(make)
    store.delete(["doc-4"])
    snapshot = store.snapshot()
    assert "doc-4" not in snapshot
    with pytest.raises(NotFoundError):
        snapshot.get("doc-4")
    with pytest.raises(NotFoundError):
        snapshot.passage("doc-4#0")
    store.add([documents[4]])
    assert store.get("doc-4") == documents[4]
    with pytest.raises(DuplicateDocumentError):
        store.add([documents[4]])


def test_unknown_ids_are_named_and_delete_nothing(make: Callable[..., Store]) -> None:
    """Ids of no document are returned in order; where none is there, no version is published."""
    store, _ = three_segments(make)
    version = store.version
    assert delete_documents(store, ["x", "y"]).missing == ("x", "y")
    assert store.version == version
    done = delete_documents(store, ["y", "doc-1", "x", "doc-1"])
    assert (done.documents, done.missing, done.version) == (1, ("y", "x"), version + 1)
    assert delete_documents(store, ["doc-1"]).documents == 0


def test_a_segment_of_which_nothing_is_left_leaves_the_version(make: Callable[..., Store]) -> None:
    """With its parts of every index; an empty store counts nothing."""
    store, documents = three_segments(make)
    store.delete([document.doc_id for document in documents[::3]])
    assert len(store.snapshot().segments) == 2
    store.delete([document.doc_id for document in documents])
    manifest = store.snapshot().manifest
    assert not manifest.segments
    assert not any(entry.parts for entry in manifest.indexes.values())
    store.add([documents[0]])
    build_all(store)
    assert_same(store.snapshot(), make([[documents[0]]]).snapshot())


def test_a_request_is_carried_out_once(make: Callable[..., Store]) -> None:
    """Deleting again with the same request id deletes nothing, though the document was added again meanwhile."""
    store, documents = three_segments(make)
    first = delete_documents(store, ["doc-5", "nobody"], "take-down-1")
    assert (first.documents, first.missing) == (1, ("nobody",))
    store.add([documents[5]])
    assert delete_documents(store, ["doc-5", "nobody"], "take-down-1") == first
    assert "doc-5" in store


def test_an_id_of_another_request_is_refused(make: Callable[..., Store]) -> None:
    """A take-down never reports as done what was another request, be it a deletion or an ingest."""
    store, documents = three_segments(make)
    delete_documents(store, ["doc-5"], "one")
    with store.writer() as writer:
        writer.add(documents[5])
        writer.commit("two", 1)
    version = store.version
    for request_id in ("one", "two"):
        with pytest.raises(InvalidArgumentError, match="another request") as caught:
            delete_documents(store, ["doc-6"], request_id)
        assert caught.value.field == "request_id"
    with store.writer() as writer, pytest.raises(InvalidArgumentError, match="another request"):
        writer.commit("one", 1)
    assert store.version == version


def test_an_index_built_after_a_deletion_leaves_it_out(make: Callable[..., Store]) -> None:
    """What is to be subtracted is sorted in memory where the deletion came before the index, or while it was built."""
    store, documents = three_segments(make)
    store.delete(["doc-0", "doc-4", "doc-7"])
    build_index(store, "again", SuffixBuilder("letters"))
    kept = [d for d in documents if d.doc_id not in ("doc-0", "doc-4", "doc-7")]
    index, fresh = NgramIndex(store.snapshot(), "again"), NgramIndex(make([kept]).snapshot())
    asked = [[np.array(query, np.int64)] for query in QUERIES]
    assert [c.count for c in index.count(asked)] == [c.count for c in fresh.count(asked)]


def test_rows_are_deleted_on_top_of_what_others_deleted(make: Callable[..., Store]) -> None:
    """A deletion that lost the race to publish is repeated on the newer version, and both hold."""
    store, _ = three_segments(make)
    other = Store.open(store.path)
    raced = False

    def choose(snapshot: Snapshot) -> Any:
        nonlocal raced
        if not raced:
            raced = True
            other.delete(["doc-0"])
        segment, row = snapshot.locate("doc-3")
        return {segment.id: np.array([row], np.uint32)}

    delete_chosen(store, choose)
    assert "doc-0" not in store
    assert "doc-3" not in store
    assert len(store) == 10


def test_a_store_opened_at_a_version_is_not_written(make: Callable[..., Store]) -> None:
    """Neither deletions nor additions change history."""
    store, documents = three_segments(make)
    pinned = Store.open(store.path, store.version)
    with pytest.raises(FailedPreconditionError, match="opened at version"):
        pinned.delete(["doc-0"])
    with pytest.raises(FailedPreconditionError, match="opened at version"):
        pinned.add(documents)


def test_tombstones_of_another_segment_are_refused(make: Callable[..., Store]) -> None:
    """Rows beyond a segment, or parts to subtract that are of other deletions, are damage."""
    store, _ = three_segments(make)

    def swap(latest: Manifest) -> Manifest:
        first, second, third = with_deleted(
            store.files, latest, {s.id: np.array([i], np.uint32) for i, s in enumerate(latest.segments)}
        ).segments
        return dataclasses.replace(
            latest,
            segments=(
                dataclasses.replace(first, deleted=second.deleted),
                dataclasses.replace(second, deleted=first.deleted),
                third,
            ),
        )

    snapshot = store.commit(swap, "mischief")
    with pytest.raises(DataLossError):
        list(snapshot)
