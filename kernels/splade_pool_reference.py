"""SPLADE's max pooling in plain torch: the twin of the kernel, and what runs on a CPU."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from lodex.kernels.splade_activation import activate


def splade_pool_reference(
    states: Tensor, begins: Tensor, weight: Tensor, bias: Tensor | None = None, softcap: float | None = None
) -> Tensor:
    """What `splade_pool` does, one text at a time: so the weights of a text do not depend on those beside it."""
    texts = [states[begin:end] for begin, end in pairwise(begins.tolist())]
    maxima = torch.stack([(text @ weight.T).amax(0) for text in texts])  # (B, V)
    return activate(maxima, bias, softcap)
