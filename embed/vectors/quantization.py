"""Vectors in a byte or a bit a dimension."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.embed.vectors.tensor_file import read_tensor_file, write_tensor_file
from lodex.errors import DataLossError, DimensionMismatchError, FailedPreconditionError, InvalidArgumentError

_KIND = "lodex.int8"
_BUCKETS = 255  # as wide as the range takes for the last of 256 to hold the maximum alone


@dataclass(frozen=True, slots=True)
class Int8Ranges:
    """Where the 256 buckets of each dimension lie: bucket b begins at `minimum` + b `step`, both (d,) float32.

    Code b - 128 stands for bucket b, and for its centre, minimum + (code + 128.5) step: so a vector within the ranges
    is off by half a step at most, in both directions alike. `step` is 0 where the calibration did not vary. Codes are
    those of `quantize_embeddings` in sentence-transformers for the same ranges.
    """

    minimum: npt.NDArray[np.float32]
    step: npt.NDArray[np.float32]

    def encode(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int8]:
        """Codes of vectors (n, d): (n, d) int8. What lies outside the ranges goes to their ends.

        DimensionMismatchError for another d, InvalidArgumentError for numbers that are not finite.
        """
        self._check(vectors)
        if not np.isfinite(vectors).all():
            row = int((~np.isfinite(vectors)).any(axis=1).argmax())
            raise InvalidArgumentError(f"vector {row} is not finite and has no codes")
        width = np.where(self.step == 0, np.float32(1), self.step)
        buckets = np.clip(np.floor((vectors.astype(np.float32) - self.minimum) / width), 0, _BUCKETS)
        return (buckets - 128).astype(np.int8)

    def decode(self, codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """The centres of the buckets of codes (n, d): (n, d) float32. DimensionMismatchError for another d."""
        self._check(codes)
        return self.minimum + (codes.astype(np.float32) + np.float32(128.5)) * self.step

    def save(self, path: Path) -> None:
        """Write a safetensors file of `minimum` and `step`, whole or not at all."""
        write_tensor_file(path, _KIND, {"minimum": self.minimum, "step": self.step})

    @classmethod
    def open(cls, path: Path) -> Int8Ranges:
        """Read what `save` wrote. DataLossError for a file that is damaged or holds something else."""
        tensors = read_tensor_file(path, _KIND, ("minimum", "step"))
        minimum, step = tensors["minimum"], tensors["step"]
        if minimum.ndim != 1 or step.shape != minimum.shape or (step < 0).any():
            raise DataLossError(f"{path}: a minimum {minimum.shape} and steps {step.shape} are no ranges")
        return cls(minimum, step)

    def _check(self, rows: npt.NDArray[Any]) -> None:
        if rows.ndim != 2 or rows.shape[1] != len(self.minimum):
            raise DimensionMismatchError(f"expected rows (n, {len(self.minimum)}) of these ranges, got {rows.shape}")


def fit_int8(calibration: npt.NDArray[np.floating[Any]]) -> Int8Ranges:
    """Ranges from the smallest to the largest value of each dimension among calibration vectors (n, d).

    They belong to a model, not to a request: vectors that were quantised by different ranges cannot meet, and ranges
    of the very vectors that are quantised change with each batch. Some thousands of texts of the domain are enough.
    FailedPreconditionError for fewer than two vectors, InvalidArgumentError for numbers that are not finite.
    """
    if calibration.ndim != 2:
        raise InvalidArgumentError(f"expected calibration vectors (n, d), got {calibration.shape}")
    if len(calibration) < 2:
        raise FailedPreconditionError(f"int8 needs vectors to calibrate by, at least 2, got {len(calibration)}")
    if not np.isfinite(calibration).all():
        row = int((~np.isfinite(calibration)).any(axis=1).argmax())
        raise InvalidArgumentError(f"calibration vector {row} is not finite")
    minimum = calibration.min(axis=0).astype(np.float32)
    maximum = calibration.max(axis=0).astype(np.float32)
    return Int8Ranges(minimum, (maximum - minimum) / _BUCKETS)


def to_bits(vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """One bit a dimension, 1 where the value is above 0, the first dimension highest: (n, d) -> (n, ceil(d / 8)) uint8.

    The bits behind the last dimension are 0. InvalidArgumentError for NaN, which has no sign.
    """
    if vectors.ndim != 2:
        raise InvalidArgumentError(f"expected vectors (n, d), got {vectors.shape}")
    if np.isnan(vectors).any():
        raise InvalidArgumentError(f"vector {int(np.isnan(vectors).any(axis=1).argmax())} has NaN, which has no bit")
    return np.packbits(vectors > 0, axis=1)


def from_bits(bits: npt.NDArray[np.uint8], dimension: int) -> npt.NDArray[np.float32]:
    """The signs that `to_bits` kept, 1 and -1: (n, ceil(d / 8)) -> (n, d) float32."""
    if bits.ndim != 2 or bits.shape[1] != -(-dimension // 8):
        raise DimensionMismatchError(
            f"expected rows of {-(-dimension // 8)} bytes for {dimension} bits, got {bits.shape}"
        )
    return np.unpackbits(bits, axis=1, count=dimension).astype(np.float32) * 2 - 1
