"""Small safetensors files of what was fitted to vectors: whitening, ranges of int8."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError

_VERSION = "1"


def write_tensor_file(path: Path, kind: str, tensors: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Write float32 arrays under their names, with {"kind": kind, "version": "1"} as metadata, whole or not at all."""
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(t) for name, t in tensors.items()}, {"kind": kind, "version": _VERSION})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_tensor_file(path: Path, kind: str, names: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Read what `write_tensor_file` wrote: these names and no others, float32 and finite.

    DataLossError for a file that is damaged, of another kind or of a version that is not known here.
    """
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, npt.NDArray[np.float32]] = {}
    try:
        with safe_open(path, "np") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            if (metadata.get("kind"), metadata.get("version")) != (kind, _VERSION):
                raise DataLossError(f"{path}: expected {kind} version {_VERSION}, the file says {metadata}")
            if set(file.keys()) != set(names):
                raise DataLossError(f"{path}: expected the tensors {sorted(names)}, found {sorted(file.keys())}")
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise DataLossError(f"{path}: not a whole safetensors file: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise DataLossError(f"{path}: {name} is {tensor.dtype}, expected finite float32")
    return tensors
