"""The Llama decoder arranged for training: fused projections and attention in blocks, same weights as transformers'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, silu

from lodex.errors import InvalidArgumentError

# Blocks of queries, each against the keys up to its end: half of the square is never computed. On CPU cores the
# compiled products are twice as fast as scaled_dot_product_attention with its backward pass.
_QUERY_BLOCKS = 4
_INIT_STD = 0.02


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Sizes of a Llama with tied embeddings and as many key heads as query heads; `context` in tokens.

    InvalidArgumentError where the heads do not divide `hidden` into even sizes: positions rotate pairs of dimensions.
    """

    vocab_size: int
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    intermediate: int = 704
    context: int = 1024
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.heads < 1 or self.hidden < 1 or self.hidden % (2 * self.heads):
            raise InvalidArgumentError(
                f"hidden is {self.hidden} and heads is {self.heads}, expected hidden to be a multiple of 2 * heads",
                "hidden",
            )

    @property
    def parameters(self) -> int:
        """Number of weights, the tied embedding counted once."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.vocab_size * self.hidden + self.layers * layer + self.hidden


class Layer(nn.Module):
    """One decoder layer; `qkv` holds the rows of q, k and v, `gate_up` those of gate and up."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        hidden, wide = shape.hidden, shape.intermediate
        out_std = _INIT_STD / math.sqrt(2 * shape.layers)
        self.heads = shape.heads
        self.eps = shape.norm_eps
        self.qkv = nn.Parameter(_INIT_STD * torch.randn(3 * hidden, hidden))
        self.out = nn.Parameter(out_std * torch.randn(hidden, hidden))
        self.gate_up = nn.Parameter(_INIT_STD * torch.randn(2 * wide, hidden))
        self.down = nn.Parameter(out_std * torch.randn(hidden, wide))
        self.attention_norm = nn.Parameter(torch.ones(hidden))
        self.mlp_norm = nn.Parameter(torch.ones(hidden))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(B, T, H) -> (B, T, H)."""
        B, T, H = x.shape  # batch, tokens, hidden size
        states = rms_norm(x, (H,), self.attention_norm, self.eps)
        q, k, v = linear(states, self.qkv).view(B, T, 3, self.heads, H // self.heads).permute(2, 0, 3, 1, 4)
        attended = causal_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)  # (B, heads, T, D)
        x = x + linear(attended.transpose(1, 2).reshape(B, T, H), self.out)
        gate, up = linear(rms_norm(x, (H,), self.mlp_norm, self.eps), self.gate_up).chunk(2, dim=-1)
        return x + linear(silu(gate) * up, self.down)


class TrainingLlama(nn.Module):
    """Token ids to the states that the LM head reads. `embedding` is the LM head too."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(_INIT_STD * torch.randn(shape.vocab_size, shape.hidden))
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden))
        half = shape.hidden // shape.heads // 2
        frequencies = shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), frequencies)  # (context, D / 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, T) int64 -> states (B, T, H) after the last norm. Causal: padding on the right changes nothing."""
        T = ids.shape[1]
        x = self.embedding[ids]
        cos, sin = self.cos[:T].to(x.dtype), self.sin[:T].to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return rms_norm(x, (x.shape[-1],), self.norm, self.shape.norm_eps)

    def matrices(self) -> list[tuple[nn.Parameter, int]]:
        """The matrices of the layers, each with the number of separate ones that are fused in its rows."""
        fused = {"qkv": 3, "out": 1, "gate_up": 2, "down": 1}
        return [(getattr(layer, name), parts) for name, parts in fused.items() for layer in self.layers]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on x (..., T, D), first half against second half as in transformers' Llama."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention to the tokens up to one's own, (B, heads, T, D) each; the softmax in float32."""
    T, D = q.shape[-2:]
    size = -(-T // _QUERY_BLOCKS)
    outputs = []
    for begin in range(0, T, size):
        end = min(begin + size, T)
        scores = q[:, :, begin:end] @ k[:, :, :end].transpose(-1, -2)  # (B, heads, end - begin, end)
        later = torch.ones(end - begin, end, dtype=torch.bool, device=q.device).triu(begin + 1)
        weights = (scores.float() * D**-0.5).masked_fill(later, -torch.inf).softmax(dim=-1)
        outputs.append(weights.to(v.dtype) @ v[:, :, :end])
    return torch.cat(outputs, dim=2)


_PARTS = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
    "attention_norm": ("input_layernorm",),
    "mlp_norm": ("post_attention_layernorm",),
}


def export_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a `TrainingLlama` under the names of transformers' LlamaForCausalLM; the head is tied."""
    exported = {"model.embed_tokens.weight": weights["embedding"], "model.norm.weight": weights["norm"]}
    for name, weight in weights.items():
        if name.startswith("layers."):
            _, number, part = name.split(".")
            targets = _PARTS[part]
            for target, piece in zip(targets, weight.chunk(len(targets)), strict=True):
                exported[f"model.layers.{number}.{target}.weight"] = piece.contiguous()
    return exported


def import_weights(weights: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The inverse of `export_weights`."""
    imported = {"embedding": weights["model.embed_tokens.weight"], "norm": weights["model.norm.weight"]}
    for number in range(layers):
        for part, targets in _PARTS.items():
            pieces = [weights[f"model.layers.{number}.{target}.weight"] for target in targets]
            imported[f"layers.{number}.{part}"] = torch.cat(pieces)
    return imported
