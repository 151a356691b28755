"""The files of a kNN artefact, and the rows of float16 that they hold, read as float32.

An entry is a token of a segment's stream, separators included. Entry i has as its key the state of a language model
after it has read token i in its document, the separator being the start; its value is token i + 1, or the end of the
document, which both stand in the stream. So there is no file of values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

# Rows of float16 without header, in the order of entries or, where there are lists, of lists.
KEYS = "keys.f16"
# The squared length of each row of KEYS.
SQUARES = "squares.f32"
# For a large segment: the centroids, where the rows of each begin and end, and the entry of each row.
CENTROIDS = "centroids.f32"
BOUNDS = "bounds.u64"
ENTRIES = "entries.u64"

Keys = npt.NDArray[np.float16]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class KeySource:
    """What made the keys: a model by name and fingerprint, and the windows in which it read long documents."""

    model: str
    fingerprint: str
    dimension: int
    window_tokens: int
    stride_tokens: int


def map_keys(path: Path, num_entries: int, dimension: int) -> Keys:
    """The rows of a file, mapped: (num_entries, dimension)."""
    shape = (num_entries, dimension)
    # An empty file cannot be mapped.
    return np.memmap(path, "<f2", "r", shape=shape) if num_entries else np.empty(shape, np.float16)


def squared_lengths(rows: Floats) -> Floats:
    """The squared length of each row, summed in one order whatever rows stand beside it: (n, d) -> (n,)."""
    squares: Floats = np.einsum("ij,ij->i", rows, rows)
    return squares


def squared_distances(query: Floats, keys: Keys) -> Floats:
    """The squared distance of each key (n, d) from a query (d,), as the sum of squared differences in float32.

    Each depends on its key and the query alone, bit for bit. Squared L2, as FAISS and Khandelwal et al. have it.
    """
    differences = keys.astype(np.float32)
    differences -= query
    return squared_lengths(differences)
