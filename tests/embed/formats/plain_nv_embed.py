"""NV-Embed written out from the papers and the published tensor names, in plain torch: the oracle of its loader.

Mistral (Jiang et al. 2023, arXiv:2310.06825) without its causal mask and window: RMSNorm, rotary positions over the two
halves of a head, grouped key-value heads, a SwiGLU MLP. Then the latent-attention head and the masked mean (Lee et al.
2024, arXiv:2405.17428). One text at a time; nothing of transformers and nothing of Lodex.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def embed(weights: Weights, config: Mapping[str, Any], ids: list[int], skipped: int) -> Tensor:
    """The vector (H,) of a row of ids whose first `skipped` tokens are left out of the mean, of length 1."""
    hidden = head(below(weights, "latent_attention_model."), config, states(weights, config, ids))
    pooled = hidden[skipped:].mean(0)
    return pooled / pooled.norm()


def states(weights: Weights, config: Mapping[str, Any], ids: list[int]) -> Tensor:
    """The backbone's states (T, H) after the last norm."""
    body, text = below(weights, "embedding_model."), config["text_config"]
    x = body["embed_tokens.weight"][torch.tensor(ids)]
    for i in range(text["num_hidden_layers"]):
        x = layer(below(body, f"layers.{i}."), text, x)
    return rms_norm(x, body["norm.weight"], text["rms_norm_eps"])


def layer(w: Weights, text: Mapping[str, Any], x: Tensor) -> Tensor:
    """One layer of Mistral whose tokens all see each other: (T, H) to (T, H)."""
    T, width = len(x), text["head_dim"]
    heads, groups = text["num_attention_heads"], text["num_key_value_heads"]
    normed = rms_norm(x, w["input_layernorm.weight"], text["rms_norm_eps"])
    query = rotate((normed @ w["self_attn.q_proj.weight"].T).view(T, heads, width), text["rope_theta"])
    key = rotate((normed @ w["self_attn.k_proj.weight"].T).view(T, groups, width), text["rope_theta"])
    value = (normed @ w["self_attn.v_proj.weight"].T).view(T, groups, width)
    attended = torch.empty(T, heads, width, dtype=x.dtype)
    for h in range(heads):
        g = h * groups // heads
        shares = (query[:, h] @ key[:, g].T / width**0.5).softmax(-1)
        attended[:, h] = shares @ value[:, g]
    x = x + attended.flatten(1) @ w["self_attn.o_proj.weight"].T
    normed = rms_norm(x, w["post_attention_layernorm.weight"], text["rms_norm_eps"])
    gate = normed @ w["mlp.gate_proj.weight"].T
    return x + (gate * gate.sigmoid() * (normed @ w["mlp.up_proj.weight"].T)) @ w["mlp.down_proj.weight"].T


def head(w: Weights, config: Mapping[str, Any], x: Tensor) -> Tensor:
    """The latent-attention head: (T, H) to (T, H)."""
    sizes = config["latent_attention_config"]
    width = sizes["cross_dim_head"]
    query = layer_norm(x, w, "cross_attend_blocks.0.norm") @ w["cross_attend_blocks.0.fn.to_q.weight"].T
    latents = layer_norm(w["latents"], w, "cross_attend_blocks.0.norm_context")
    both = latents @ w["cross_attend_blocks.0.fn.to_kv.weight"].T
    key, value = both[:, : both.shape[1] // 2], both[:, both.shape[1] // 2 :]
    answers = []
    for h in range(sizes["num_cross_heads"]):
        own = slice(h * width, (h + 1) * width)
        shares = (query[:, own] @ key[:, own].T / width**0.5).softmax(-1)
        answers.append(shares @ value[:, own])
    x = x + torch.cat(answers, 1) @ w["cross_attend_blocks.0.fn.to_out.weight"].T
    net = "cross_attend_blocks.1.fn.net"
    inner = layer_norm(x, w, "cross_attend_blocks.1.norm") @ w[f"{net}.0.weight"].T + w[f"{net}.0.bias"]
    first, gate = inner[:, : inner.shape[1] // 2], inner[:, inner.shape[1] // 2 :]
    gelu = gate * 0.5 * (1 + torch.erf(gate / 2**0.5))
    return x + (first * gelu) @ w[f"{net}.2.weight"].T + w[f"{net}.2.bias"]


def rotate(x: Tensor, theta: float) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864): element i of a head turns with element i + D / 2."""
    T, _, D = x.shape
    angles = torch.arange(T)[:, None] * theta ** (-torch.arange(0, D, 2) / D)  # (T, D / 2)
    cos, sin = angles.cos()[:, None].to(x.dtype), angles.sin()[:, None].to(x.dtype)
    first, second = x[..., : D // 2], x[..., D // 2 :]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """X / rms(x) * weight."""
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def layer_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """With eps 1e-5, over the last dimension."""
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / (variance + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def below(weights: Weights, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names have a prefix, without it."""
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
