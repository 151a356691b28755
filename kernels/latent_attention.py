"""Latent-attention pooling of texts that lie end to end: by Triton on a GPU, in plain torch elsewhere."""

from __future__ import annotations

from torch import Tensor

from lodex.errors import InvalidArgumentError
from lodex.kernels.latent_attention_reference import latent_attention_pool_reference
from lodex.kernels.latent_weights import LatentWeights
from lodex.kernels.triton_device import runs_triton


def latent_attention_pool(hidden: Tensor, pooled: Tensor, offsets: Tensor, head: LatentWeights) -> Tensor:
    """Pass the pooled tokens through a folded latent-attention head and average them, text by text.

    Shapes: hidden (N, H) after the backbone's last norm, in the dtype of the head; pooled (N,) bool; offsets (B + 1,)
    int32, where each text begins, and N. Returns (B, H) float32, not normalised. InvalidArgumentError for shapes or
    dtypes that disagree and for a text without a pooled token.

    Lee et al. 2024, NV-Embed (arXiv:2405.17428), section 3.2, folded as `LatentWeights` says.
    """
    if hidden.shape[-1] != head.hidden or hidden.dtype != head.scores.dtype:
        raise InvalidArgumentError(
            f"expected hidden states (N, {head.hidden}) {head.scores.dtype}, got {tuple(hidden.shape)} {hidden.dtype}"
        )
    if runs_triton(hidden.device):
        from lodex.kernels.latent_attention_triton import latent_attention_pool_triton

        return latent_attention_pool_triton(hidden, pooled, offsets, head)
    return latent_attention_pool_reference(hidden, pooled, offsets, head)
