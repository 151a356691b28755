"""One segment of a dense index: its vectors in a file, searched whole or through inverted lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.deletions import Deletions
from lodex.index.dense_ivf import LISTS, InvertedLists
from lodex.index.passages import PassageTable
from lodex.index.receipt import Artefact

VECTORS = "vectors.f32"
# How many more than k are fetched at first, so that rounding seldom leaves the k-th in doubt.
_SLACK = 16
_TILE_ROWS = 16_384

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Candidate = tuple[float, bytes, int]


class DensePart:
    """The vectors of one segment's passages, mapped: row i of (n, d) belongs to passage i.

    Passages of deleted documents are never found; `num_live` are the others.
    """

    def __init__(self, artefact: Artefact, table: PassageTable, dimension: int, deletions: Deletions) -> None:
        self.num_vectors = artefact.receipt.rows
        path = artefact.file(VECTORS)
        shape = (self.num_vectors, dimension)
        if self.num_vectors != table.num_passages or path.stat().st_size != self.num_vectors * dimension * 4:
            raise DataLossError(f"{path} does not hold {table.num_passages} vectors of {dimension} float32")
        self._table = table
        # An empty file cannot be mapped.
        self._vectors = np.memmap(path, "<f4", "r", shape=shape) if self.num_vectors else np.empty(shape, np.float32)
        self._lists = InvertedLists.open(artefact, dimension) if LISTS in artefact.receipt.files else None
        self._deleted = deletions.mask[table.rows] if len(deletions) else None
        self.num_live = self.num_vectors - (0 if self._deleted is None else int(self._deleted.sum()))
        # A float32 inner product of d terms is off by less than this times the two lengths, in whatever order it is
        # summed (Higham 2002, section 3.1); twice the textbook bound also covers the final rounding of a score.
        self._rounding = (dimension + 4) * 2.0**-23 * float(artefact.receipt.details["largest_norm"])

    def nearest(
        self, queries: npt.NDArray[np.float32], k: int, nprobe: int | None, exact: bool
    ) -> Iterator[list[Candidate]]:
        """For each query the best min(k, n) as (score, key, row): highest score first, equal ones by ascending key."""
        k = min(k, self.num_live)
        if k == 0:
            return ([] for _ in queries)
        found = self._scan(queries, k) if exact or self._lists is None else self._probe(self._lists, queries, k, nprobe)
        return (self._best(rows, scores, k) for rows, scores in found)

    def _scan(self, queries: npt.NDArray[np.float32], k: int) -> Iterator[tuple[Rows, Scores]]:
        """Rows that include the best k and all that tie with the k-th, proven from the error of float32 products."""
        fetch = min(k + _SLACK, self.num_live)
        estimates, fetched = self._fetch(queries, fetch)
        for query, estimate, rows in zip(queries, estimates, fetched, strict=True):
            scores = self._scores(query, rows)
            error = self._rounding * float(np.linalg.norm(query)) + np.finfo(np.float32).tiny
            kth = np.partition(scores, -k)[-k]
            if fetch < self.num_live and kth <= estimate[-1] + error:
                rows = self._live(np.flatnonzero(self._vectors @ query >= kth - error))
                scores = self._scores(query, rows)
            yield rows, scores

    def _fetch(self, queries: npt.NDArray[np.float32], fetch: int) -> tuple[Scores, Rows]:
        """Estimates of the best rows of each query and these rows, both (queries, fetch), best first."""
        if self._deleted is None:
            return faiss.knn(queries, self._vectors, fetch, metric=faiss.METRIC_INNER_PRODUCT)
        best = faiss.ResultHeap(len(queries), fetch, keep_max=True)
        for begin in range(0, self.num_vectors, _TILE_ROWS):
            tile = slice(begin, begin + _TILE_ROWS)
            estimates = queries @ self._vectors[tile].T
            estimates[:, self._deleted[tile]] = -np.inf
            rows = np.arange(begin, begin + estimates.shape[1])
            best.add_result(estimates, np.broadcast_to(rows, estimates.shape).copy())
        best.finalize()
        return best.D, best.I

    def _live(self, rows: Rows) -> Rows:
        return rows if self._deleted is None else rows[~self._deleted[rows]]

    def _probe(
        self, lists: InvertedLists, queries: npt.NDArray[np.float32], k: int, nprobe: int | None
    ) -> Iterator[tuple[Rows, Scores]]:
        for query in queries:
            rows = lists.candidates(query, k, nprobe, self._selector)
            yield rows, self._scores(query, rows)

    @cached_property
    def _selector(self) -> Any:
        """What FAISS passes over, None where nothing is deleted."""
        if self._deleted is None:
            return None
        selector: Any = faiss.IDSelectorBitmap
        return selector(np.packbits(~self._deleted, bitorder="little"))

    def _scores(self, query: npt.NDArray[np.float32], rows: Rows) -> Scores:
        """Inner products summed in float64, each row by itself, so that equal vectors have equal scores."""
        wide = query.astype(np.float64)
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), 4096):
            block = self._vectors[rows[start : start + 4096]].astype(np.float64)
            scores[start : start + 4096] = (block * wide).sum(axis=1)
        return scores

    def _best(self, rows: Rows, scores: Scores, k: int) -> list[Candidate]:
        if len(rows) > k:
            reaching = scores >= np.partition(scores, -k)[-k]
            rows, scores = rows[reaching], scores[reaching]
        return sorted(self._candidates(rows, scores), key=lambda candidate: (-candidate[0], candidate[1]))[:k]

    def _candidates(self, rows: Rows, scores: Scores) -> Iterable[Candidate]:
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
            yield score, self._table.key(row), row
