"""The files of one shard of embedded texts: rows of numbers in the order of the texts, and how to read them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.files import write_array
from lodex.index.jobs import TaskResult
from lodex.index.receipt import Artefact

EMBED = "embed"
"""The kind of the task, and of the artefact that holds a shard."""
SHARD_ROWS = 2048
SHARD_BYTES = 16 << 20
"""Texts of a shard at most, and bytes of text unless one text alone has more: what a kill may lose."""

_SUFFIXES = {"float32": "f32", "float16": "f16", "int8": "i8", "uint8": "u8"}


def vectors_name(dtype: npt.DTypeLike) -> str:
    """The file of vectors of a numpy type: `vectors.f32`, `.f16`, `.i8`, or `.u8` for packed bits."""
    return f"vectors.{_SUFFIXES[np.dtype(dtype).name]}"


def write_vectors(out: Path, vectors: npt.NDArray[Any], tokens: int, truncated: int) -> TaskResult:
    """Write vectors (n, width), little-endian, row by row, without header.

    The details of the result say how many tokens were read and how many texts were cut.
    """
    write_array(out / vectors_name(vectors.dtype), vectors.astype(vectors.dtype.newbyteorder("<"), copy=False))
    return TaskResult(rows=len(vectors), details={"tokens": tokens, "truncated": truncated})


def read_vectors(shard: Artefact, dtype: npt.DTypeLike, width: int) -> npt.NDArray[Any]:
    """The vectors (n, width) of a shard; DataLossError where they are not what was written, to the last byte."""
    path = shard.file(vectors_name(dtype), whole=True)
    vectors = np.fromfile(path, np.dtype(dtype).newbyteorder("<"))
    if vectors.size != shard.receipt.rows * width:
        raise DataLossError(f"{path} does not hold {shard.receipt.rows} rows of {width} {np.dtype(dtype).name}")
    return vectors.reshape(-1, width)
