"""Zipfian whitening: vectors centred and made isotropic under the frequencies with which they occur."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.embed.vectors.tensor_file import read_tensor_file, write_tensor_file
from lodex.errors import DataLossError, DimensionMismatchError, FailedPreconditionError, InvalidArgumentError

_KIND = "lodex.whitening"
# Directions with less than this share of the largest variance, and those that vary by less than a float32 of the mean
# can tell, hold rounding errors alone.
_LEAST_VARIANCE = 1e-10
_LEAST_SPREAD = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Whitening:
    """x -> (x - `mean`) `transform`: mean (d,) and transform (d, k) float32, columns by descending variance.

    k is below d where vectors vary in fewer directions, or where fewer were asked for.
    """

    mean: npt.NDArray[np.float32]
    transform: npt.NDArray[np.float32]

    def apply(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Whiten vectors (n, d): (n, k) float32, not normalised. DimensionMismatchError for another d."""
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise DimensionMismatchError(f"expected vectors (n, {len(self.mean)}), got {vectors.shape}")
        # In float64: BLAS may sum a row otherwise among other rows, and that is lost when it is rounded to float32.
        centred = vectors.astype(np.float64) - self.mean
        return (centred @ self.transform.astype(np.float64)).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write a safetensors file of `mean` and `transform`, whole or not at all."""
        write_tensor_file(path, _KIND, {"mean": self.mean, "transform": self.transform})

    @classmethod
    def open(cls, path: Path) -> Whitening:
        """Read what `save` wrote. DataLossError for a file that is damaged or holds something else."""
        tensors = read_tensor_file(path, _KIND, ("mean", "transform"))
        mean, transform = tensors["mean"], tensors["transform"]
        if mean.ndim != 1 or transform.ndim != 2 or len(transform) != len(mean):
            raise DataLossError(f"{path}: a mean {mean.shape} and a transform {transform.shape} do not fit together")
        return cls(mean, transform)


class WeightedMoments:
    """Mean and covariance of weighted vectors that come in any number of batches, in float64.

    Batches are merged by differences to their own means (Chan, Golub and LeVeque 1983), so that vectors far from zero
    lose no digits. Holds (d, d) numbers, however many vectors there are.
    """

    def __init__(self, dimension: int) -> None:
        self._total = 0.0
        self._mean = np.zeros(dimension)
        self._scatter = np.zeros((dimension, dimension))

    def add(self, vectors: npt.NDArray[np.floating[Any]], weights: npt.NDArray[Any]) -> None:
        """Take in vectors (n, d) that occur `weights` (n,) times: counts or probabilities, at least 0.

        Those of weight 0 count for nothing. InvalidArgumentError for shapes that disagree and for numbers that are
        negative or not finite.
        """
        d = len(self._mean)
        if vectors.ndim != 2 or vectors.shape[1] != d or weights.shape != (len(vectors),):
            raise InvalidArgumentError(
                f"expected vectors (n, {d}) and weights (n,), got {vectors.shape} and {weights.shape}"
            )
        w = weights.astype(np.float64)
        if not np.isfinite(w).all() or (w < 0).any():
            row = int((~np.isfinite(w) | (w < 0)).argmax())
            raise InvalidArgumentError(f"weight {row} is {w[row]}; a frequency is a number that is not negative")
        if not np.isfinite(vectors).all():
            raise InvalidArgumentError(f"vector {int((~np.isfinite(vectors)).any(axis=1).argmax())} is not finite")
        total = float(w.sum())
        if total == 0:
            return
        x = vectors.astype(np.float64)
        mean = w @ x / total
        x -= mean
        whole = self._total + total
        shift = mean - self._mean
        self._scatter += (x * w[:, None]).T @ x + np.outer(shift, shift) * (self._total * total / whole)
        self._mean += shift * (total / whole)
        self._total = whole

    def whitening(self, dimensions: int | None = None) -> Whitening:
        """The map that makes what was added uncorrelated, each direction with variance one.

        Directions without variance are left out: nothing is known of their scale. `dimensions` keeps those of the
        largest variance. The sign of a direction is arbitrary and chosen such that its largest part is positive.
        FailedPreconditionError while nothing varies; InvalidArgumentError for more dimensions than vary.
        """
        if self._total == 0:
            raise FailedPreconditionError("nothing to whiten by: no vector with a positive weight was added")
        variances, directions = np.linalg.eigh(self._scatter / self._total)  # ascending
        variances, directions = variances[::-1], directions[:, ::-1]
        least = max(variances[0] * _LEAST_VARIANCE, (_LEAST_SPREAD * np.abs(self._mean).max()) ** 2)
        rank = int((variances > least).sum())
        if rank == 0:
            raise FailedPreconditionError("nothing to whiten by: all vectors are the same")
        kept = rank if dimensions is None else dimensions
        if not 1 <= kept <= rank:
            raise InvalidArgumentError(f"expected 1 to {rank} dimensions, for so many vary, got {kept}", "dimensions")
        directions = directions[:, :kept]
        largest = np.abs(directions).argmax(axis=0)
        directions = directions * np.sign(directions[largest, np.arange(kept)])
        transform = directions / np.sqrt(variances[:kept])
        return Whitening(self._mean.astype(np.float32), transform.astype(np.float32))


def fit_whitening(vectors: npt.NDArray[np.floating[Any]], probabilities: npt.NDArray[Any]) -> Whitening:
    """Whiten by the frequencies of a vocabulary: vectors (v, d) of its words, probabilities or counts (v,).

    With p scaled to sum 1: mu = sum p x, Sigma = sum p (x - mu)(x - mu)^T = U L U^T, and x becomes (x - mu) U L^-1/2.
    Usual whitening gives each word the same weight, so that rare words decide. For vectors of texts instead of words
    the probabilities are how often each occurs. See `WeightedMoments` for what is refused, and for many vectors.

    Yokoi et al. 2024, Zipfian Whitening (arXiv:2411.00680).
    """
    if vectors.ndim != 2:
        raise InvalidArgumentError(f"expected vectors (v, d), got {vectors.shape}")
    moments = WeightedMoments(vectors.shape[1])
    moments.add(vectors, probabilities)
    return moments.whitening()
