"""What a store answers to a fixed set of questions, in a form that two stores can be compared by."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import xxhash
from faults.corpus import DIMENSION, STREAM, WORDS, builders, document, keys_of, tokenizer, vector_of

from lodex.index.build import build_index
from lodex.index.dense import DenseIndex
from lodex.index.knn import KnnIndex
from lodex.index.ngrams import NgramIndex
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.stream_parts import stream_parts

COUNTS, SEARCHES, NEIGHBOURS = 1000, 200, 200
_K = 10

Floats = npt.NDArray[np.float32]
State = Mapping[str, tuple[int, int]]
"""The documents a store should hold: the number and revision of each, by doc_id."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Digests of all documents, and of the answers to 1,000 counts, 200 searches and 200 kNN queries."""

    documents: str
    counts: str
    searches: str
    neighbours: str

    def differ_from(self, other: Answers) -> list[str]:
        """The names of what is not the same."""
        return [name for name in self.__slots__ if getattr(self, name) != getattr(other, name)]


def complete(store: Store) -> Snapshot:
    """Build whatever index lacks a part."""
    for name, builder in builders().items():
        build_index(store, name, builder)
    return store.snapshot()


def answers(store: Store) -> Answers:
    """Ask everything of the newest version, every segment of which must be in every index; exact modes throughout."""
    snapshot = store.snapshot()
    documents = sorted((d.doc_id, d.text, d.title, dict(d.metadata).get("revision")) for d in snapshot)
    if not snapshot.segments:
        return Answers(_digest(documents), "", "", "")
    return Answers(_digest(documents), _counts(snapshot), _searches(snapshot), _neighbours(snapshot))


def rebuilt(store: Store, state: State) -> Answers:
    """What an empty store answers once it is given the documents of a state in one write."""
    store.add(document(*revision) for _, revision in sorted(state.items()))
    complete(store)
    return answers(store)


@cache
def _ngrams() -> list[list[list[int]]]:
    """Words at random, and pieces of documents, whether a store still has them or not."""
    rng = random.Random(1)
    queries = []
    for _ in range(COUNTS):
        ids = tokenizer().encode(" ".join(rng.choices(WORDS, k=rng.randrange(0, 4))))
        if rng.random() < 0.7:
            text = tokenizer().encode(document(rng.randrange(45), rng.randrange(2)).text)
            begin = rng.randrange(len(text))
            ids = text[begin : begin + rng.randrange(1, 7)]
        queries.append([ids.tolist()])
    return queries


@cache
def _vectors() -> Floats:
    """Vectors in any direction, and some of documents that were embedded."""
    queries = np.random.default_rng(2).normal(size=(SEARCHES, DIMENSION)).astype(np.float32)
    for i in range(SEARCHES // 4):
        queries[i] = vector_of(f"Title {i} {document(i, i % 2).text}")
    return queries


@cache
def _keys() -> Floats:
    """Keys at random, and some that documents have."""
    queries = np.random.default_rng(3).integers(-40, 41, (NEIGHBOURS, DIMENSION)).astype(np.float32)
    for i in range(NEIGHBOURS // 2):
        queries[i] = keys_of(tokenizer().encode(document(i % 45).text))[i % 6]
    return queries


def prepare() -> None:
    """Make the questions, so that processes forked from now on have them."""
    _ngrams(), _vectors(), _keys()


def _counts(snapshot: Snapshot) -> str:
    """The counts, and the distributions after some of the n-grams."""
    index = NgramIndex(snapshot, "suffix")
    _require_all(index)
    counts = [count.count for count in index.count(_ngrams())]
    return _digest((counts, index.ntd(_ngrams()[:50])))


def _searches(snapshot: Snapshot) -> str:
    """Score, key and document of each hit, bit for bit."""
    index = DenseIndex(snapshot, "dense")
    _require_all(index)
    nearest = index.nearest(_vectors(), _K, exact=True)
    hits = [[(m.score, m.key) for m in matches] for matches in nearest]
    return _digest((hits, [index.doc_ids(matches) for matches in nearest]))


def _neighbours(snapshot: Snapshot) -> str:
    """Distance, token, document and place in the document of each neighbour, bit for bit."""
    index = KnnIndex(snapshot, "knn")
    _require_all(index)
    found = index.search(_keys(), _K, exact=True)
    doc_ids = np.full(found.positions.shape, "", object)
    places = np.full(found.positions.shape, -1, np.int64)
    for number, (segment, stream, _) in enumerate(stream_parts(snapshot, "knn", STREAM)):
        here = found.segments == number
        doc_ids[here] = [segment.doc_id(row) for row in stream.rows_of(found.positions[here]).tolist()]
        places[here] = stream.positions_in_document(found.positions[here])
    return _digest([a.tolist() for a in (found.distances, found.token_ids, doc_ids, places)])


def _require_all(index: NgramIndex | DenseIndex | KnnIndex) -> None:
    if index.segments_ok != index.segments_total:
        raise ValueError(f"index {index.name!r} covers {index.segments_ok} of {index.segments_total} segments")


def _digest(value: object) -> str:
    return xxhash.xxh3_128_hexdigest(repr(value).encode())
