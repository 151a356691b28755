"""The ranges by which vectors become eight-bit integers: measured once on many texts, kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError, FailedPreconditionError, NotFoundError

FILE = "int8_ranges.safetensors"
"""What the file is called in the folder of a model."""


@dataclass(frozen=True, slots=True)
class Int8Ranges:
    """Of each dimension the least value and the step, (d,) float32: integer i is about minimum + step * (i + 128)."""

    minimum: npt.NDArray[np.float32]
    step: npt.NDArray[np.float32]

    def encode(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Vectors (n, d) to the nearest integers; what lies outside a range becomes its end."""
        places = np.rint((vectors - self.minimum) / self.step) - 128
        integers: npt.NDArray[np.int8] = np.clip(places, -128, 127).astype(np.int8)
        return integers

    def decode(self, integers: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """The values that integers (n, d) stand for."""
        return (self.minimum + self.step * (integers.astype(np.float32) + 128)).astype(np.float32)


def read_int8_ranges(path: Path, fingerprint: str) -> Int8Ranges:
    """Ranges from a safetensors file with `minimum` and `step`, (d,) float32, and the embedder's `fingerprint`.

    NotFoundError, DataLossError for a file that is not such, FailedPreconditionError for one of another embedder.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise NotFoundError(f"no int8 ranges at {path}")
    try:
        with safe_open(path, "numpy") as file:
            minimum, step = (file.get_tensor(name) for name in ("minimum", "step"))
            measured = (file.metadata() or {}).get("fingerprint", "")
    except (SafetensorError, OSError) as error:
        raise DataLossError(f"{path} has no int8 ranges: {error}") from error
    is_sound = (
        minimum.dtype == step.dtype == np.float32
        and minimum.ndim == 1
        and minimum.shape == step.shape
        and np.isfinite(minimum).all()
        and np.isfinite(step).all()
        and (step > 0).all()
    )
    if not is_sound:
        raise DataLossError(f"{path}: minimum and step must be finite float32 of one shape (d,), every step positive")
    if measured != fingerprint:
        raise FailedPreconditionError(
            f"the int8 ranges of {path} were measured on vectors of {measured or 'an embedder it does not name'}, "
            f"these are of {fingerprint}"
        )
    return Int8Ranges(minimum, step)
