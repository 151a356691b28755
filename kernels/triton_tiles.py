# Triton has no types, and what it compiles is no Python: constexpr is its only annotation.
# mypy: ignore-errors
# ruff: noqa: ANN001
"""What kernels in Triton share: tiles of weights, and products of tiles in a stated precision."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


def precision_of(weight: Tensor) -> str:
    """How `multiply` multiplies by a weight: "ieee" in float32, "tf32" by tensor cores.

    Tensor cores would round float32 to 10 bits. Of half precision they lose nothing: its products are exact in float32,
    so Triton's interpreter, which knows no bfloat16, multiplies them widened and adds up the same numbers.
    """
    return "tf32" if weight.is_cuda and weight.dtype != torch.float32 else "ieee"


@triton.jit
def multiply(left, right, total, PRECISION: tl.constexpr) -> Any:
    """Add left (N, K) times right (K, M) to a float32 total (N, M)."""
    if PRECISION == "ieee":
        left = left.to(tl.float32)
        right = right.to(tl.float32)
    return tl.dot(left, right, total, input_precision=PRECISION)


@triton.jit
def row_tile(matrix, rows, end, columns, num_columns) -> Any:
    """Some columns of some rows of a matrix, zero from row `end` on and beyond its columns: (rows, columns)."""
    inside = (rows[:, None] < end) & (columns[None, :] < num_columns)
    return tl.load(matrix + rows[:, None].to(tl.int64) * num_columns + columns[None, :], mask=inside, other=0.0)


@triton.jit
def transposed_tile(matrix, rows, end, columns, num_columns) -> Any:
    """What `row_tile` reads, as the right factor of a product: (columns, rows)."""
    inside = (rows[None, :] < end) & (columns[:, None] < num_columns)
    return tl.load(matrix + rows[None, :].to(tl.int64) * num_columns + columns[:, None], mask=inside, other=0.0)
