"""Shorter vectors from models that were trained to give them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError


def check_dimensions(dimensions: int, dimension: int, declared: Sequence[int]) -> None:
    """InvalidArgumentError, naming the field `dimensions`, for a size that a model does not declare.

    `dimension` is that of the whole vectors, which every model declares. A model that was not trained for it has the
    same in its first dimensions as in any others, so nothing is cut there.
    """
    if dimensions == dimension or dimensions in declared:
        return
    sizes = ", ".join(str(size) for size in sorted({*declared, dimension}, reverse=True))
    why = "" if declared else "; the model does not declare that its vectors may be cut (Matryoshka)"
    raise InvalidArgumentError(f"expected one of {sizes} dimensions, got {dimensions}{why}", "dimensions")


def truncate_dimensions(
    vectors: npt.NDArray[np.float32], dimensions: int, declared: Sequence[int], *, normalize: bool = True
) -> npt.NDArray[np.float32]:
    """Keep the first `dimensions` of each vector and scale it to length one again: (n, d) -> (n, dimensions) float32.

    Whether the vectors had length one before makes no difference. A vector that is zero there stays zero. With
    `normalize` false they are cut alone. See `check_dimensions` for what is refused.

    Kusupati et al. 2022, Matryoshka Representation Learning (arXiv:2205.13147).
    """
    if vectors.ndim != 2:
        raise InvalidArgumentError(f"expected vectors (n, d), got {vectors.shape}")
    check_dimensions(dimensions, vectors.shape[1], declared)
    cut = np.ascontiguousarray(vectors[:, :dimensions], dtype=np.float32)
    return unit_length(cut) if normalize else cut


def unit_length(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each vector divided by its length, zero where it is zero: (n, d) -> (n, d) float32."""
    lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1, keepdims=True))
    scaled: npt.NDArray[np.float32] = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled
