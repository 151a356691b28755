"""Latent-attention pooling in plain torch: the twin of the kernels, written for reading."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from lodex.kernels.latent_weights import LatentWeights
from lodex.kernels.pooled_tokens import select_pooled


def latent_attention_pool_reference(hidden: Tensor, pooled: Tensor, offsets: Tensor, head: LatentWeights) -> Tensor:
    """What `latent_attention_pool` does, each token through the whole head and then the mean of each text."""
    x, begins = select_pooled(hidden, pooled, offsets)  # (n, H)
    normed = layer_norm(x, (head.hidden,), head.norm_weight, head.norm_bias, head.eps)
    logits = linear(normed, head.scores).view(len(x), head.heads, head.latents)  # (n, heads, R)
    x = x + linear(logits.softmax(-1).flatten(1), head.answers)
    normed = layer_norm(x, (head.hidden,), head.mlp_norm_weight, head.mlp_norm_bias, head.eps)
    value, gate = linear(normed, head.gated, head.gated_bias).chunk(2, dim=1)  # (n, M) each
    x = x + linear(value * gelu(gate), head.out, head.out_bias)
    return torch.stack([x[begin:end].float().mean(0) for begin, end in pairwise(begins.tolist())])  # (B, H)
