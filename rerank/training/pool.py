"""The passages of a store that lists are made of: their sentences, their vectors, their neighbours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.errors import FailedPreconditionError
from lodex.index.dense_build import KIND
from lodex.index.dense_part import VECTORS
from lodex.index.segment import doc_id_hash
from lodex.index.snapshot import Snapshot

Vectors = npt.NDArray[np.float32]
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_MIN_WORDS = 6
_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class PooledPassage:
    """A passage as sentences, with the title of its document, "" where that has none.

    `document` numbers the document in its pool and `ordinal` the passage in the document.
    """

    title: str
    sentences: tuple[str, ...]
    document: int
    ordinal: int


class Pool:
    """Passages of some documents with their vectors (n, d) float32, which a dense index holds."""

    def __init__(self, passages: Sequence[PooledPassage], vectors: Vectors) -> None:
        self.passages = passages
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.passages)

    def neighbours(self, rows: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
        """The k nearest passages of each of `rows`, (n, k), nearest first, equal ones by number; never itself."""
        k = min(k, len(self) - 1)
        found = np.empty((len(rows), k), np.int64)
        for begin in range(0, len(rows), _AT_ONCE):
            part = rows[begin : begin + _AT_ONCE]
            scores = self.vectors[part] @ self.vectors.T  # (queries, n)
            scores[np.arange(len(part)), part] = -np.inf
            found[begin : begin + len(part)] = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return found

    def are_adjacent(self, one: int, other: int) -> bool:
        """Whether one passage follows the other in a document: both may answer a query about either."""
        a, b = self.passages[one], self.passages[other]
        return a.document == b.document and abs(a.ordinal - b.ordinal) <= 1


def read_pools(snapshot: Snapshot, index: str, held_out_share: float) -> tuple[Pool, Pool]:
    """The passages of a dense index to train on, and those of the documents held out, by a hash of their ids.

    Passages of fewer than 6 words are left out. FailedPreconditionError where the index does not cover the store, or
    one of the pools would have fewer passages than a list.
    """
    entry = snapshot.index(index)
    if entry.kind != KIND:
        raise FailedPreconditionError(f"index {index!r} is of kind {entry.kind!r}, lists are made from {KIND!r}")
    passages: tuple[list[PooledPassage], list[PooledPassage]] = ([], [])
    vectors: tuple[list[Vectors], list[Vectors]] = ([], [])
    first_document = 0
    for segment, part in snapshot.parts(index):
        if part is None:
            raise FailedPreconditionError(f"index {index!r} does not cover every segment: run lodex index update")
        table = snapshot.passages(segment, str(entry.config["chunking"]))
        matrix = np.fromfile(part.file(VECTORS), "<f4").reshape(table.num_passages, -1)
        titles = {row: segment.header(row).title for row in np.unique(table.rows).tolist()}
        held_out = {row: is_held_out(segment.doc_id(row), held_out_share) for row in titles}
        for i, row in enumerate(table.rows.tolist()):
            text = table.text(i)
            if len(text.split()) < _MIN_WORDS:
                continue
            sentences = tuple(" ".join(s.split()) for s in _SENTENCE.split(text) if s and s.strip())
            number = first_document + row
            passages[held_out[row]].append(PooledPassage(titles[row], sentences, number, int(table.ordinals[i])))
            vectors[held_out[row]].append(matrix[i])
        first_document += segment.num_documents
    for name, found in zip(("to train on", "held out"), passages, strict=True):
        if len(found) < 64:
            raise FailedPreconditionError(f"{len(found)} passages are {name}, lists need 64 at least")
    train, apart = (Pool(p, np.stack(v)) for p, v in zip(passages, vectors, strict=True))
    return train, apart


def is_held_out(doc_id: str, share: float) -> bool:
    """Whether a document is held out: the same ones in every store and version."""
    return doc_id_hash(doc_id) % 10_000 < round(share * 10_000)
