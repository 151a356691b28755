"""Elementwise functions that round the same way wherever in a tensor an element stands."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Torch computes two registers at a time, at most 32 float32 or 64 bfloat16, and the rest by another exponential.
_ELEMENTS = 64


class WholeVectors(nn.Module):
    """An activation over a tensor of any shape, as if its elements were a multiple of 64."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to each element."""
        missing = -x.numel() % _ELEMENTS
        if not missing:
            whole: Tensor = self._activation(x)
            return whole
        padded: Tensor = self._activation(torch.cat([x.flatten(), x.new_zeros(missing)]))
        return padded[: x.numel()].view(x.shape)
