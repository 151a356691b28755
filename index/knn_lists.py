"""Inverted lists over the keys of a large segment: made with FAISS, measured, and chosen from for a query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.dense_ivf import one_thread
from lodex.index.files import write_array
from lodex.index.knn_files import (
    BOUNDS,
    CENTROIDS,
    ENTRIES,
    KEYS,
    SQUARES,
    Floats,
    Keys,
    Rows,
    map_keys,
    squared_lengths,
)
from lodex.index.receipt import Artefact

RECALL_TARGET = 0.95
_RECALL_K = 256
_SAMPLE = 256
_SEED = 1234
_ITERATIONS = 10
_TRAINING_KEYS_PER_LIST = 48
_BLOCK_FLOATS = 1 << 22


class KeyLists:
    """The lists of one artefact, mapped: rows [bounds[i], bounds[i + 1]) are of the entries nearest to centroid i."""

    def __init__(self, centroids: Floats, bounds: Rows, entries: npt.NDArray[np.uint64], nprobe: int) -> None:
        self.bounds = bounds
        self.entries = entries
        self.nprobe = nprobe
        self.nlist = len(centroids)
        self._centroids = centroids
        self._squares = squared_lengths(centroids)
        self._sizes = np.diff(bounds)

    @classmethod
    def open(cls, artefact: Artefact, dimension: int) -> KeyLists:
        """Map the lists of an artefact; DataLossError for what its receipt does not describe."""
        n = artefact.receipt.rows
        try:
            nlist, nprobe = int(artefact.receipt.details["nlist"]), int(artefact.receipt.details["nprobe"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataLossError(f"{artefact.path}: the receipt says nothing of lists: {error!r}") from error
        centroids = _read(artefact, CENTROIDS, "<f4", (nlist, dimension))
        bounds = _read(artefact, BOUNDS, "<u8", (nlist + 1,)).astype(np.int64)
        entries = _read(artefact, ENTRIES, "<u8", (n,))
        if bounds[0] != 0 or bounds[-1] != n or (np.diff(bounds) < 0).any():
            raise DataLossError(f"{artefact.path / BOUNDS} is not an ascending list of places in {n} rows")
        return cls(centroids, bounds, entries, nprobe)

    def nearest(self, query: Floats, k: int, nprobe: int | None, sizes: Rows | None = None) -> Rows:
        """The lists of the `nprobe` nearest centroids, nearest first, and as many more as it takes to hold k rows.

        `sizes` (nlist,) says how many rows of each list count, all unless given.

        One query at a time, so that an answer does not depend on those beside it.
        """
        # Not a product by BLAS: so small a one is shared among its threads, which then wait for each other, busily.
        near = np.einsum("ld,d->l", self._centroids, query)
        order = np.argsort(self._squares - 2 * near, kind="stable")
        held = np.cumsum((self._sizes if sizes is None else sizes)[order])
        enough = int(np.searchsorted(held, k)) + 1
        return order[: max(nprobe or self.nprobe, enough)]


def group_keys(ungrouped: Path, n: int, d: int, out: Path) -> dict[str, Any]:
    """Write the files of a segment in the order of lists; returns facts for the receipt, nprobe and its recall too.

    `ungrouped` holds the rows (n, d) in the order of entries. Centroids are those of k-means over an even sample, one
    thread and a fixed seed, so that the same keys give the same bytes on the same library. Within a list the entries
    ascend. Memory: the sample, at most 48 keys a list, and 16 bytes an entry.
    """
    keys = map_keys(ungrouped, n, d)
    nlist = max(1, min(n, int(4 * n**0.5)))
    with one_thread():
        centroids = _train(keys, nlist)
        assigned = _assign(keys, centroids)
    entries = np.argsort(assigned, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(assigned, minlength=nlist))])
    write_array(out / CENTROIDS, centroids.astype("<f4"))
    write_array(out / BOUNDS, bounds.astype("<u8"))
    write_array(out / ENTRIES, entries.astype("<u8"))
    with (out / KEYS).open("wb") as file, (out / SQUARES).open("wb") as squares_file:
        for begin, end in _blocks(n, d):
            block = keys[entries[begin:end]]
            file.write(block.tobytes())
            squares_file.write(squared_lengths(block.astype(np.float32)).astype("<f4").tobytes())
    lists = KeyLists(centroids, bounds, entries.astype(np.uint64), nlist)
    with one_thread():
        nprobe, recall = choose_nprobe(lists, keys, assigned)
    return {
        "nlist": nlist,
        "nprobe": nprobe,
        "recall": round(recall, 4),
        "recall_k": min(_RECALL_K, n - 1),
        "recall_sample": min(n, _SAMPLE),
    }


def choose_nprobe(lists: KeyLists, keys: Keys, assigned: Rows, target: float = RECALL_TARGET) -> tuple[int, float]:
    """The fewest lists to probe for a mean recall of `target` of the 256 nearest entries, and that recall.

    Measured on entries evenly spaced over the segment, each searched for among the others: the rank that the list of
    each of its nearest neighbours has by the distance of its centroid. `keys` (n, d) and `assigned` (n,), the list of
    each, are in the order of entries.
    """
    n, d = keys.shape
    k = min(_RECALL_K, n - 1)
    if k < 1:
        return 1, 1.0
    sample = np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64)
    queries = keys[sample].astype(np.float32)
    best = faiss.ResultHeap(len(sample), k + 1)
    for begin, end in _blocks(n, d):
        distances, numbers = faiss.knn(queries, keys[begin:end].astype(np.float32), min(k + 1, end - begin))
        best.add_result(distances, numbers + begin)
    best.finalize()
    ranks = []
    for row, query, nearest in zip(sample, queries, best.I, strict=True):
        rank_of = np.empty(lists.nlist, np.int64)
        rank_of[lists.nearest(query, 1, lists.nlist)] = np.arange(lists.nlist)
        ranks.append(rank_of[assigned[nearest[nearest != row][:k]]])
    every = np.sort(np.concatenate(ranks))
    nprobe = int(every[int(np.ceil(target * len(every))) - 1]) + 1
    return nprobe, float((every < nprobe).mean())


def _train(keys: Keys, nlist: int) -> Floats:
    n, d = keys.shape
    sample = np.linspace(0, n - 1, min(n, nlist * _TRAINING_KEYS_PER_LIST)).astype(np.int64)
    kmeans: Any = faiss.Kmeans(
        d, nlist, niter=_ITERATIONS, seed=_SEED, min_points_per_centroid=1, max_points_per_centroid=1 << 30
    )
    kmeans.train(keys[sample].astype(np.float32))
    centroids: Floats = kmeans.centroids.reshape(nlist, d).astype(np.float32)
    return centroids


def _assign(keys: Keys, centroids: Floats) -> Rows:
    n, d = keys.shape
    quantizer: Any = faiss.IndexFlatL2(d)
    quantizer.add(centroids)
    assigned = np.empty(n, np.int64)
    for begin, end in _blocks(n, d):
        assigned[begin:end] = quantizer.search(keys[begin:end].astype(np.float32), 1)[1][:, 0]
    return assigned


def _blocks(n: int, d: int) -> list[tuple[int, int]]:
    rows = max(1, _BLOCK_FLOATS // d)
    return [(begin, min(begin + rows, n)) for begin in range(0, n, rows)]


def _read(artefact: Artefact, name: str, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    path = artefact.file(name)
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if path.stat().st_size != expected:
        raise DataLossError(f"{path} has {path.stat().st_size} bytes, {dtype} of shape {shape} were expected")
    return np.memmap(path, dtype, "r", shape=shape) if expected else np.empty(shape, dtype)
