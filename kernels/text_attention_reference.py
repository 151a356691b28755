"""Attention within texts that lie end to end, written for reading; `_text_attention` is tested against it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def attend_reference(
    queries: Floats, keys: Floats, values: Floats, offsets: npt.NDArray[np.int64], scale: float
) -> Floats:
    """softmax(scale Q K^T) V within each text: (N, h, d), keys and values (N, g, d), h a multiple of g, to (N, h, d).

    Text t has rows [offsets[t], offsets[t + 1]); rows of no text are zero. Head h reads key head h g // heads.
    """
    out = np.zeros_like(queries)
    heads, key_heads = queries.shape[1], keys.shape[1]
    for begin, end in pairwise(offsets):
        for head in range(heads):
            key_head = head * key_heads // heads
            scores = scale * queries[begin:end, head] @ keys[begin:end, key_head].T  # (T, T)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[begin:end, head] = weights @ values[begin:end, key_head] / weights.sum(axis=1, keepdims=True)
    return out
