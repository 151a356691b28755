"""SPLADE's max pooling over texts that lie end to end: by Triton on a GPU, in plain torch elsewhere."""

from __future__ import annotations

from torch import Tensor

from lodex.errors import InvalidArgumentError
from lodex.kernels.splade_pool_reference import splade_pool_reference
from lodex.kernels.triton_device import runs_triton


def splade_pool(
    states: Tensor, begins: Tensor, weight: Tensor, bias: Tensor | None = None, softcap: float | None = None
) -> Tensor:
    """max_i log(1 + relu(logit_iv)) over the tokens i of each text, for the terms v of `weight`.

    Shapes: states (n, H), the pooled tokens after the last norm; begins (B + 1,) int32, where each text begins, and n,
    no text empty; weight (V, H), the rows of an LM head, in the dtype of the states; bias (V,). `softcap` c bounds
    logits by c tanh(x / c) first (Gemma 2). Returns (B, V) float32, none below 0.

    Logits (n, V) are never held: a GPU keeps a tile of them, a CPU those of one text. A caller bounds (B, V) by giving
    the vocabulary piece by piece. InvalidArgumentError for shapes or dtypes that disagree.

    Formal et al. 2021, SPLADE v2 (arXiv:2109.10086), equation 6.
    """
    V, H = weight.shape
    if states.ndim != 2 or states.shape[1] != H or states.dtype != weight.dtype:
        raise InvalidArgumentError(f"expected states (n, {H}) {weight.dtype}, got {tuple(states.shape)} {states.dtype}")
    if bias is not None and bias.shape != (V,):
        raise InvalidArgumentError(f"the bias of {V} terms has the shape {tuple(bias.shape)}")
    if runs_triton(states.device):
        from lodex.kernels.splade_pool_triton import splade_pool_triton

        return splade_pool_triton(states, begins, weight, bias, softcap)
    return splade_pool_reference(states, begins, weight, bias, softcap)
