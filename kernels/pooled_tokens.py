"""Taking the pooled tokens out of texts that lie end to end."""

from __future__ import annotations

import torch
from torch import Tensor

from lodex.errors import InvalidArgumentError


def select_pooled(states: Tensor, pooled: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The states of the tokens that are pooled, text after text, and where each text begins among them.

    Shapes: states (N, H); pooled (N,) bool; offsets (B + 1,) int32, ascending from 0 to N. Returns (n, H) and (B + 1,)
    int32. What works on single tokens need not be done for the others. InvalidArgumentError for shapes that disagree
    and for a text without a pooled token, which would be 0 / 0. Waits for the device once.
    """
    N = len(states)
    if states.ndim != 2 or pooled.shape != (N,) or offsets.ndim != 1 or len(offsets) < 2:
        raise InvalidArgumentError(
            f"expected states (N, H), a mask (N,) and offsets (B + 1,), "
            f"got {tuple(states.shape)}, {tuple(pooled.shape)} and {tuple(offsets.shape)}"
        )
    before = torch.zeros(N + 1, dtype=torch.int32, device=states.device)
    before[1:] = pooled.cumsum(0)
    begins = before[offsets.long()]
    empty = (begins.diff() < 1).nonzero().flatten().tolist()
    if empty:
        raise InvalidArgumentError(f"text {empty[0]} has no token to pool: its mask is all zero")
    return states[pooled], begins
