"""From the largest product of a term to its weight in SPLADE."""

from __future__ import annotations

from torch import Tensor


def activate(maxima: Tensor, bias: Tensor | None, softcap: float | None) -> Tensor:
    """log(1 + relu(softcap(maxima + bias))), float32: (B, V) to (B, V).

    Adding a term's bias, c tanh(x / c), relu and log1p all keep the order of numbers, and so does their rounding.
    Therefore the maximum over the tokens of a text may be taken of the bare products, before them.
    """
    logits = maxima.float()
    if bias is not None:
        logits = logits + bias.float()
    if softcap is not None:
        logits = (logits / softcap).tanh() * softcap
    return logits.relu_().log1p_()
