"""Rows of a sparse matrix that come from many batches, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Weights of B texts: `indptr` (B + 1,) int64, `ids` (nnz,) uint32 ascending in a row, `weights` (nnz,) float32."""

    indptr: npt.NDArray[np.int64]
    ids: npt.NDArray[np.uint32]
    weights: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """How many rows."""
        return len(self.indptr) - 1


def join_rows(parts: Sequence[SparseRows], places: Sequence[Sequence[int]]) -> SparseRows:
    """All rows of `parts` in one, row j of part i at place `places[i][j]`: each of 0 to n - 1 once."""
    count = sum(len(part) for part in parts)
    order = np.empty(count, np.int64)
    order[np.concatenate([np.asarray(p, np.int64) for p in places] or [order])] = np.arange(count)
    lengths = np.concatenate([np.diff(part.indptr) for part in parts] or [order])
    begins = np.cumsum(lengths) - lengths
    indptr = np.zeros(count + 1, np.int64)
    np.cumsum(lengths[order], out=indptr[1:])
    # Where each entry of the result lies among those of the parts: the begin of its row there, and its place in it.
    source = np.repeat(begins[order] - indptr[:-1], lengths[order]) + np.arange(indptr[-1])
    ids = np.concatenate([part.ids for part in parts] or [np.empty(0, np.uint32)])
    weights = np.concatenate([part.weights for part in parts] or [np.empty(0, np.float32)])
    return SparseRows(indptr, ids[source], weights[source])
