# Triton has no types, and what it compiles is no Python: constexpr is its only annotation.
# mypy: ignore-errors
# ruff: noqa: ANN001
"""SPLADE's max pooling in Triton: the product with the LM head and the maximum over each text in one pass.

A program has one text and some terms; it goes through the tokens of the text and keeps the largest logit of each term,
so what is written is (B, V) and not (n, V). Products add up in float32.

The block sizes are chosen by the size of shared memory and registers, not tuned by measurement.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lodex.kernels.splade_activation import activate
from lodex.kernels.triton_tiles import multiply, precision_of, row_tile, transposed_tile

# Tokens and terms of a tile, and bytes of a row of its factors.
_TOKENS, _TERMS, _INNER_BYTES = 64, 128, 128


def splade_pool_triton(
    states: Tensor, begins: Tensor, weight: Tensor, bias: Tensor | None, softcap: float | None
) -> Tensor:
    """What `splade_pool` does, on a GPU."""
    weight = weight.contiguous()
    B, (V, H) = len(begins) - 1, weight.shape
    maxima = states.new_empty(B, V, dtype=torch.float32)
    with torch.cuda.device_of(states):
        # Programs that stand side by side read the same terms: the weights are the larger of the two.
        max_products_kernel[(B, triton.cdiv(V, _TERMS))](
            states.contiguous(), begins, weight, maxima, V, H,
            BLOCK_N=_TOKENS, BLOCK_V=_TERMS, BLOCK_H=_INNER_BYTES // weight.itemsize,
            PRECISION=precision_of(weight), num_warps=8,
        )  # fmt: skip
    return activate(maxima, bias, softcap)


@triton.jit
def max_products_kernel(
    states, begins, weight, maxima, V, H,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_H: tl.constexpr, PRECISION: tl.constexpr,
) -> Any:  # fmt: skip
    """One text and some terms: the largest product of a token with each."""
    text = tl.program_id(0)
    terms = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    begin = tl.load(begins + text)
    end = tl.load(begins + text + 1)
    largest = tl.full((BLOCK_V,), -float("inf"), dtype=tl.float32)
    broken = tl.zeros((BLOCK_V,), dtype=tl.int32)
    for first_row in range(begin, end, BLOCK_N):
        rows = first_row + tl.arange(0, BLOCK_N)
        products = tl.zeros((BLOCK_N, BLOCK_V), dtype=tl.float32)
        for first in range(0, H, BLOCK_H):
            columns = first + tl.arange(0, BLOCK_H)
            tile = row_tile(states, rows, end, columns, H)
            products = multiply(tile, transposed_tile(weight, terms, V, columns, H), products, PRECISION)
        largest = tl.maximum(largest, tl.max(tl.where(rows[:, None] < end, products, -float("inf")), 0))
        broken = tl.maximum(broken, tl.max((products != products).to(tl.int32), 0))
    # The maximum of a GPU passes over NaN, that of torch does not; a broken model shall not look whole.
    largest = tl.where(broken > 0, float("nan"), largest)
    tl.store(maxima + text.to(tl.int64) * V + terms, largest, mask=terms < V)
