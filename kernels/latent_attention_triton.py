# Triton has no types, and what it compiles is no Python: constexpr is its only annotation.
# mypy: ignore-errors
# ruff: noqa: ANN001
"""Latent-attention pooling in Triton: five passes, none of which writes the logits or the inside of the MLP.

    moments        mean and deviation of each row, for a LayerNorm that is applied where rows are read
    latent_shares  LayerNorm, logits of one head's latents, softmax: (n, heads * R)
    add_product    shares times answers, added to the states
    moments        again
    gated_means    LayerNorm, both halves of the MLP's first layer, GEGLU, mean over each text: (B, M)
    means          of the states after attention: (B, H)
    add_product    the second layer of the MLP, for a text instead of for each of its tokens

The last step is there because the mean of the states is what is wanted, and the MLP's second layer is linear: the mean
of x + W g + b is mean(x) + W mean(g) + b. At the published size this saves 67 of 235 million multiplications a token,
and with it no array of (n, M) is written. Products add up in float32; the states between passes have the dtype of the
weights. A text is summed by one program in the order of its tokens, so its vector does not depend on its neighbours.

The block sizes are chosen by the size of shared memory and registers, not tuned by measurement.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lodex.kernels.latent_weights import LatentWeights
from lodex.kernels.pooled_tokens import select_pooled
from lodex.kernels.triton_tiles import multiply, precision_of, row_tile, transposed_tile

# Rows and output columns of a tile, and bytes of a row of its factors. A tile of logits holds all latents of a head.
_ROWS, _COLUMNS, _INNER_BYTES = 64, 128, 128
_ROWS_OF_LOGITS, _INNER_BYTES_OF_LOGITS = 32, 64


def latent_attention_pool_triton(hidden: Tensor, pooled: Tensor, offsets: Tensor, head: LatentWeights) -> Tensor:
    """What `latent_attention_pool` does, on a GPU."""
    x, begins = select_pooled(hidden, pooled, offsets)  # (n, H)
    B, H, M = len(begins) - 1, head.hidden, head.out.shape[1]
    shape = {"BLOCK_N": _ROWS, "BLOCK_M": _COLUMNS, "BLOCK_H": _INNER_BYTES // x.itemsize}
    with torch.cuda.device_of(x):
        shares = _latent_shares(x, head)
        x = _add_product(x, shares, head.answers, None, x.dtype)
        gated = x.new_empty(B, M, dtype=torch.float32)
        means = x.new_empty(B, H, dtype=torch.float32)
        norm = (*_moments(x, head.eps), head.mlp_norm_weight, head.mlp_norm_bias)
        gated_means_kernel[(B, triton.cdiv(M, _COLUMNS))](
            x, *norm, head.gated, head.gated_bias, begins, gated, H, M,
            **shape, PRECISION=precision_of(x), num_warps=8,
        )  # fmt: skip
        means_kernel[(B, triton.cdiv(H, _COLUMNS))](x, begins, means, H, BLOCK_N=_ROWS, BLOCK_H=_COLUMNS)
        return _add_product(means, gated, head.out, head.out_bias, torch.float32)


def _latent_shares(x: Tensor, head: LatentWeights) -> Tensor:
    """How much of each latent each token takes, head after head: (n, H) -> (n, heads * R)."""
    n, H = x.shape
    shares = x.new_empty(n, len(head.scores))
    norm = (*_moments(x, head.eps), head.norm_weight, head.norm_bias)
    latent_shares_kernel[(triton.cdiv(n, _ROWS_OF_LOGITS), head.heads)](
        x, *norm, head.scores, shares, n, H, head.latents, len(head.scores),
        BLOCK_N=_ROWS_OF_LOGITS, BLOCK_R=max(16, triton.next_power_of_2(head.latents)),
        BLOCK_H=_INNER_BYTES_OF_LOGITS // x.itemsize, PRECISION=precision_of(x), num_warps=8, num_stages=2,
    )  # fmt: skip
    return shares


def _moments(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and 1 / standard deviation of each row: (n, H) -> (n,), (n,) float32."""
    n, H = x.shape
    mean, scale = x.new_empty(2, n, dtype=torch.float32)
    moments_kernel[(n,)](x, mean, scale, H, eps, BLOCK_H=triton.next_power_of_2(H))
    return mean, scale


def _add_product(x: Tensor, factors: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Add factors W^T + bias to x: (n, O), (n, I) and (O, I) to (n, O); factors are read in the dtype of W."""
    n, width = factors.shape
    outputs = len(weight)
    y = x.new_empty(n, outputs, dtype=dtype)
    add_product_kernel[(triton.cdiv(n, _ROWS), triton.cdiv(outputs, _COLUMNS))](
        x, factors, weight, weight if bias is None else bias, y, n, width, outputs, HAS_BIAS=bias is not None,
        BLOCK_N=_ROWS, BLOCK_O=_COLUMNS, BLOCK_I=_INNER_BYTES // weight.itemsize,
        PRECISION=precision_of(weight), num_warps=8,
    )  # fmt: skip
    return y


@triton.jit
def moments_kernel(x, mean, scale, H, eps, BLOCK_H: tl.constexpr) -> Any:
    """One row: its mean and 1 / sqrt(variance + eps), the variance from differences to the mean."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK_H)
    values = tl.load(x + row * H + columns, mask=columns < H, other=0.0).to(tl.float32)
    centre = tl.sum(values, 0) / H
    spread = tl.where(columns < H, values - centre, 0.0)
    tl.store(mean + row, centre)
    tl.store(scale + row, tl.rsqrt(tl.sum(spread * spread, 0) / H + eps))


@triton.jit
def normed_tile(x, rows, end, columns, H, centre, scale, norm_weight, norm_bias) -> Any:
    """LayerNorm of some columns of some rows, in the dtype of x; zero beyond row `end` and column H."""
    values = row_tile(x, rows, end, columns, H).to(tl.float32)
    weight = tl.load(norm_weight + columns, mask=columns < H, other=0.0).to(tl.float32)
    bias = tl.load(norm_bias + columns, mask=columns < H, other=0.0).to(tl.float32)
    normed = (values - centre[:, None]) * scale[:, None] * weight[None, :] + bias[None, :]
    return normed.to(x.dtype.element_ty)


@triton.jit
def latent_shares_kernel(
    x, mean, scale, norm_weight, norm_bias, scores, shares, n, H, R, inner,
    BLOCK_N: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_H: tl.constexpr, PRECISION: tl.constexpr,
) -> Any:  # fmt: skip
    """Some tokens and one head: the softmax over its latents."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    latents = tl.arange(0, BLOCK_R)
    of_head = tl.program_id(1) * R + latents
    last = tl.program_id(1) * R + R
    centre = tl.load(mean + rows, mask=rows < n, other=0.0)
    spread = tl.load(scale + rows, mask=rows < n, other=0.0)
    logits = tl.zeros((BLOCK_N, BLOCK_R), dtype=tl.float32)
    for first in range(0, H, BLOCK_H):
        columns = first + tl.arange(0, BLOCK_H)
        normed = normed_tile(x, rows, n, columns, H, centre, spread, norm_weight, norm_bias)
        logits = multiply(normed, transposed_tile(scores, of_head, last, columns, H), logits, PRECISION)
    logits = tl.where(latents[None, :] < R, logits, -float("inf"))
    weights = tl.exp(logits - tl.max(logits, 1)[:, None])
    weights = weights / tl.sum(weights, 1)[:, None]
    inside = (rows[:, None] < n) & (latents[None, :] < R)
    tl.store(shares + rows[:, None] * inner + of_head[None, :], weights.to(shares.dtype.element_ty), mask=inside)


@triton.jit
def add_product_kernel(
    x, factors, weight, bias, y, n, width, outputs, HAS_BIAS: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_I: tl.constexpr, PRECISION: tl.constexpr,
) -> Any:  # fmt: skip
    """Some rows and some outputs of x + factors W^T + bias."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    columns = tl.program_id(1) * BLOCK_O + tl.arange(0, BLOCK_O)
    total = tl.zeros((BLOCK_N, BLOCK_O), dtype=tl.float32)
    for first in range(0, width, BLOCK_I):
        inner = first + tl.arange(0, BLOCK_I)
        tile = row_tile(factors, rows, n, inner, width).to(weight.dtype.element_ty)
        total = multiply(tile, transposed_tile(weight, columns, outputs, inner, width), total, PRECISION)
    if HAS_BIAS:
        total += tl.load(bias + columns, mask=columns < outputs, other=0.0).to(tl.float32)[None, :]
    inside = (rows[:, None] < n) & (columns[None, :] < outputs)
    places = rows[:, None] * outputs + columns[None, :]
    total += tl.load(x + places, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + places, total.to(y.dtype.element_ty), mask=inside)


@triton.jit
def gated_means_kernel(
    x, mean, scale, norm_weight, norm_bias, gated, gated_bias, begins, out, H, M,
    BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_H: tl.constexpr, PRECISION: tl.constexpr,
) -> Any:  # fmt: skip
    """One text and some columns of the MLP's inside: value * GELU(gate), averaged over the tokens."""
    text = tl.program_id(0)
    values = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    gates = M + values
    begin = tl.load(begins + text)
    end = tl.load(begins + text + 1)
    value_bias = tl.load(gated_bias + values, mask=values < M, other=0.0).to(tl.float32)
    gate_bias = tl.load(gated_bias + gates, mask=values < M, other=0.0).to(tl.float32)
    total = tl.zeros((BLOCK_M,), dtype=tl.float32)
    for first_row in range(begin, end, BLOCK_N):
        rows = first_row + tl.arange(0, BLOCK_N)
        centre = tl.load(mean + rows, mask=rows < end, other=0.0)
        spread = tl.load(scale + rows, mask=rows < end, other=0.0)
        value = tl.zeros((BLOCK_N, BLOCK_M), dtype=tl.float32)
        gate = tl.zeros((BLOCK_N, BLOCK_M), dtype=tl.float32)
        for first in range(0, H, BLOCK_H):
            columns = first + tl.arange(0, BLOCK_H)
            normed = normed_tile(x, rows, end, columns, H, centre, spread, norm_weight, norm_bias)
            value = multiply(normed, transposed_tile(gated, values, M, columns, H), value, PRECISION)
            gate = multiply(normed, transposed_tile(gated, gates, 2 * M, columns, H), gate, PRECISION)
        value += value_bias[None, :]
        gate += gate_bias[None, :]
        product = value * gate * 0.5 * (1.0 + tl.erf(gate * 0.7071067811865476))
        total += tl.sum(tl.where(rows[:, None] < end, product, 0.0), 0)
    tl.store(out + text.to(tl.int64) * M + values, total / (end - begin).to(tl.float32), mask=values < M)


@triton.jit
def means_kernel(x, begins, out, H, BLOCK_N: tl.constexpr, BLOCK_H: tl.constexpr) -> Any:
    """One text and some columns: the mean over the tokens."""
    text = tl.program_id(0)
    columns = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    begin = tl.load(begins + text)
    end = tl.load(begins + text + 1)
    total = tl.zeros((BLOCK_H,), dtype=tl.float32)
    for first_row in range(begin, end, BLOCK_N):
        rows = first_row + tl.arange(0, BLOCK_N)
        total += tl.sum(row_tile(x, rows, end, columns, H).to(tl.float32), 0)
    tl.store(out + text.to(tl.int64) * H + columns, total / (end - begin).to(tl.float32), mask=columns < H)
