"""Attention within texts in bfloat16 on a CPU with tiles (AMX), by Lodex's own kernel."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lodex.kernels._text_attention import attend, can_attend

_WIDTHS = (32, 64, 128)


def fits_tiles(query: Tensor) -> bool:
    """Whether the kernel computes attention of such queries: bfloat16 on this CPU, heads 32, 64 or 128 wide."""
    return query.dtype == torch.bfloat16 and query.device.type == "cpu" and query.shape[-1] in _WIDTHS and _has_tiles()


def attend_in_tiles(query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], scale: float) -> Tensor:
    """softmax(scale Q K^T) V within each text, every token seeing every other: (1, h, N, d) to (N, h, d).

    Keys and values (1, g, N, d), h a multiple of g. Texts of these lengths stand end to end from row 0; the rows behind
    them are zero. It takes a third to a half of the time of torch's fused attention, which lays out whole blocks.
    """
    _one, heads, tokens, width = query.shape
    offsets = np.cumsum((0, *lengths), dtype=np.int64)
    out = query.new_empty(tokens, heads, width)
    out[int(offsets[-1]) :] = 0
    attend(_rows(query), _rows(key), _rows(value), offsets, scale, out.view(torch.uint16).numpy())
    return out


def _rows(x: Tensor) -> npt.NDArray[Any]:
    """(1, h, N, d) as (N, h, d), the numbers of a row together, which they are behind a linear layer."""
    rows = x[0].transpose(0, 1)
    if rows.stride(2) != 1 or rows.stride(1) != rows.shape[2]:
        rows = rows.contiguous()
    bits: npt.NDArray[Any] = rows.view(torch.uint16).numpy()
    return bits


@cache
def _has_tiles() -> bool:
    return can_attend()
