"""The plain twin of suffix_array.cpp, and a check of its answers on texts too long for the twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def suffix_array(tokens: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.int32]:
    """Sort all suffixes of `tokens` (n,) by their little-endian bytes; returns where each starts, smallest first."""
    data, width = tokens.tobytes(), tokens.itemsize
    return np.array(sorted(range(len(tokens)), key=lambda i: data[i * width :]), np.int32)


def is_suffix_array(tokens: npt.NDArray[np.unsignedinteger[Any]], positions: npt.NDArray[np.integer[Any]]) -> bool:
    """Whether `positions` is the suffix array of `tokens`, in linear time.

    It is one if every position occurs once and, for any two neighbours, the first tokens are in order or equal with
    the suffixes behind them in order.
    """
    n = len(tokens)
    rank = np.full(n + 1, -1, np.int64)  # the empty suffix comes before all others
    inside = (positions >= 0) & (positions < n)
    rank[positions[inside]] = np.flatnonzero(inside)
    if len(positions) != n or (rank[:n] < 0).any():
        return False
    symbols = tokens.byteswap()[positions]  # compares as the bytes do
    behind = rank[positions + 1]
    in_order = (symbols[:-1] < symbols[1:]) | ((symbols[:-1] == symbols[1:]) & (behind[:-1] < behind[1:]))
    return bool(in_order.all())
