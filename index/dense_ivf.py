"""Inverted lists over the vectors of a large segment: made, measured and read with FAISS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.receipt import Artefact

LISTS = "lists.faiss"
RECALL_TARGET = 0.95
_RECALL_K = 10
_SAMPLE = 256
_SEED = 1234
_TRAINING_POINTS_PER_LIST = 64
_ADD_ROWS = 65_536
# The limits of FAISS's reader belong to the process, so one reader at a time sets them.
_reader_limits = threading.Lock()

Vectors = npt.NDArray[np.float32]


class InvertedLists:
    """Vectors in lists around centroids, at one byte a component: enough to choose candidates, not to score them."""

    def __init__(self, index: Any, nprobe: int) -> None:
        self._index = index
        self.nlist = int(index.nlist)
        self.nprobe = nprobe

    @classmethod
    def open(cls, artefact: Artefact, dimension: int) -> InvertedLists:
        """Map the lists of an artefact. The checksum is compared first: no damaged bytes reach the native reader."""
        path = artefact.file(LISTS, whole=True)
        index = _read(path)
        found = (type(index), index.d, index.ntotal, index.metric_type)
        expected = (
            faiss.IndexIVFScalarQuantizer,
            dimension,
            artefact.receipt.rows,
            faiss.METRIC_INNER_PRODUCT,
        )
        if found != expected:
            raise DataLossError(f"{path} holds {found}, its receipt says {expected}")
        return cls(index, int(artefact.receipt.details["nprobe"]))

    def candidates(
        self, query: Vectors, k: int, nprobe: int | None = None, selector: Any = None
    ) -> npt.NDArray[np.int64]:
        """Rows that hold the best k of the lists probed, and more; further lists are probed until there are k.

        A `selector` of FAISS says which rows may be found, all unless given; at least k must be among them.

        One query at a time: FAISS rounds a batch in another way, and an answer would depend on its neighbours.
        """
        fetch = min(4 * k + 32, int(self._index.ntotal))
        probes = min(nprobe or self.nprobe, self.nlist)
        while True:
            rows: npt.NDArray[np.int64] = self._index.search(query[None], fetch, params=_probing(probes, selector))[1][
                0
            ]
            rows = rows[rows >= 0]
            if len(rows) >= k or probes == self.nlist:
                return rows
            probes = min(2 * probes, self.nlist)


def build_lists(vectors: Vectors, path: Path) -> dict[str, Any]:
    """Write the lists of `vectors` (n, d) and return facts for the receipt: nlist, and nprobe with the recall it gives.

    One thread and a fixed seed, so that the same vectors give the same bytes on the same library.
    """
    n, d = vectors.shape
    nlist = min(n, int(4 * n**0.5))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(d), d, nlist, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, True
    )
    index.cp.seed = _SEED
    index.cp.niter = 10
    index.cp.spherical = True
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _TRAINING_POINTS_PER_LIST
    with one_thread():
        sample = np.linspace(0, n - 1, min(n, nlist * _TRAINING_POINTS_PER_LIST)).astype(np.int64)
        index.train(vectors[sample])
        for start in range(0, n, _ADD_ROWS):
            index.add(vectors[start : start + _ADD_ROWS])
    with path.open("wb") as file:
        # FAISS's own writer raises the same error for a full disk as for a defect.
        writer: Any = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]  # made by SWIG at run time
        faiss.write_index(index, writer)
    nprobe, recall = choose_nprobe(InvertedLists(index, nlist), vectors)
    return {"nlist": nlist, "nprobe": nprobe, "recall_at_10": round(recall, 4), "recall_sample": min(n, _SAMPLE)}


def choose_nprobe(lists: InvertedLists, vectors: Vectors, target: float = RECALL_TARGET) -> tuple[int, float]:
    """The fewest lists to probe for a mean recall@10 of `target`, and that recall; all lists where none reaches it.

    Measured on passages evenly spaced over the segment, each searched for among the others.
    """
    n = len(vectors)
    sample = np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64)
    k = min(_RECALL_K, n - 1)
    queries = vectors[sample]
    _, nearest = faiss.knn(queries, vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    # The k-th best score among the others: duplicates may stand for each other.
    thresholds = [
        float((vectors[rows[rows != row][:k]] @ query).min()) - 1e-6
        for query, rows, row in zip(queries, nearest, sample, strict=True)
    ]

    def recall(nprobe: int) -> float:
        hits = 0
        for query, threshold, row in zip(queries, thresholds, sample, strict=True):
            rows = lists.candidates(query, k + 1, nprobe)
            hits += min(k, int(np.count_nonzero(vectors[rows[rows != row]] @ query >= threshold)))
        return hits / (k * len(sample))

    low, high = 1, lists.nlist
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if recall(middle) >= target else (middle + 1, high)
    return high, recall(high)


def _probing(nprobe: int, selector: Any) -> Any:
    parameters: Any = faiss.SearchParametersIVF()
    parameters.nprobe = nprobe
    if selector is not None:
        parameters.sel = selector
    return parameters


def _read(path: Path) -> Any:
    """Map an index file, with no single allocation above the size of the file."""
    size = path.stat().st_size
    with _reader_limits:
        before = faiss.get_deserialization_vector_byte_limit()
        faiss.set_deserialization_vector_byte_limit(size)
        try:
            index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except RuntimeError as error:
            raise DataLossError(f"{path} cannot be read: {error}") from error
        finally:
            faiss.set_deserialization_vector_byte_limit(before)
    # By default every search starts a crowd of threads to touch the lists ahead of itself.
    mapped: Any = faiss.downcast_InvertedLists(index.invlists)
    mapped.prefetch_nthread = 0
    return index


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenMP's number of threads belongs to the calling thread; it is put back."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
