"""Latent-attention pooling: every token gathers from a learned array of latents, then tokens are averaged.

Lee et al. 2024, NV-Embed (arXiv:2405.17428), section 3.2, in the layout of the published weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from lodex.errors import InvalidArgumentError

_MLP_FACTOR = 4


@dataclass(frozen=True, slots=True)
class LatentAttentionSizes:
    """`hidden` H of the backbone, `latents` R of width `latent_width`, `heads` of `head_width` each."""

    hidden: int
    latents: int
    latent_width: int
    heads: int
    head_width: int


class LatentAttentionHead(nn.Module):
    """The head of NV-Embed: cross-attention from tokens to latents and a gated MLP, each with a residual.

    A hidden state asks (queries), the latents answer (keys and values), so keys and values depend on no text. They are
    folded into the projections around them once, by `fold`, after the weights are in: per head h, with s = D^-1/2,

        scores_h = s LN(x) W_q,h^T (c W_k,h^T)^T = LN(x) A_h          A (H, heads * R)
        output   = sum_h softmax(scores_h) (c W_v,h^T) W_o,h^T        B (heads * R, H)

    where c (R, C) are the normalised latents. That is the same function with 2 heads R H multiplications a token
    instead of 2 heads D (H + R), and nothing for each text; the published code computes keys and values for every row
    of a batch. It is folded in float32: results differ by rounding.

    Parameters have the published names and shapes; keys are the first half of the rows of `to_kv`. LayerNorms are
    affine with eps 1e-5, the GELU is the exact one, and its gate the second half of the rows.
    """

    def __init__(self, sizes: LatentAttentionSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.latents = nn.Parameter(torch.randn(sizes.latents, sizes.latent_width))
        self.cross_attend_blocks = nn.ModuleList([_CrossAttention(sizes), _GatedMlp(sizes.hidden)])

    @torch.no_grad()
    def fold(self) -> None:
        """Compute A and B from the weights as they are now, and put them in place of the projections. Done once."""
        attention = self.cross_attend_blocks[0]
        assert isinstance(attention, _CrossAttention), "the first block attends; this is a bug"
        attention.fold(self.latents)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states after attention to the latents and the MLP: (B, T, H) -> (B, T, H)."""
        for block in self.cross_attend_blocks:
            hidden = hidden + block(hidden)
        return hidden


class _CrossAttention(nn.Module):
    """From tokens to latents, folded before its first use."""

    def __init__(self, sizes: LatentAttentionSizes) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_width
        self._sizes = sizes
        self.norm = nn.LayerNorm(sizes.hidden)
        self.norm_context = nn.LayerNorm(sizes.latent_width)
        self.fn: nn.Module = nn.ModuleDict(
            {
                "to_q": nn.Linear(sizes.hidden, inner, bias=False),
                "to_kv": nn.Linear(sizes.latent_width, 2 * inner, bias=False),
                "to_out": nn.Linear(inner, sizes.hidden, bias=False),
            }
        )

    def fold(self, latents: Tensor) -> None:
        """Replace the three projections by A and B, with a softmax over the latents of each head between them."""
        weights = {name: weight.float() for name, weight in self.fn.state_dict().items()}
        both = self.norm_context(latents) @ weights["to_kv.weight"].T  # (R, 2 * heads * D)
        keys, values = (self._split(part) for part in both.chunk(2, dim=-1))  # (heads, R, D)
        queries = self._split(weights["to_q.weight"].T)  # (heads, H, D)
        outputs = self._split(weights["to_out.weight"])  # (heads, H, D)
        A = keys @ queries.transpose(1, 2) * self._sizes.head_width**-0.5  # (heads, R, H)
        B = outputs @ values.transpose(1, 2)  # (heads, H, R)
        shares = nn.Sequential(
            nn.Unflatten(-1, (self._sizes.heads, self._sizes.latents)), nn.Softmax(dim=-1), nn.Flatten(-2)
        )
        self.fn = nn.Sequential(_linear(A.flatten(0, 1)), shares, _linear(B.transpose(0, 1).flatten(1)))

    def forward(self, hidden: Tensor) -> Tensor:
        """What the residual is added to: (B, T, H) -> (B, T, H)."""
        assert isinstance(self.fn, nn.Sequential), "the head is used before it is folded; this is a bug"
        answer: Tensor = self.fn(self.norm(hidden))
        return answer

    def _split(self, x: Tensor) -> Tensor:
        """(N, heads * D) -> (heads, N, D)."""
        return x.reshape(len(x), self._sizes.heads, self._sizes.head_width).transpose(0, 1)


class _GatedMlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inner = _MLP_FACTOR * width
        self.norm = nn.LayerNorm(width)
        self.fn = nn.ModuleDict({"net": nn.Sequential(nn.Linear(width, 2 * inner), _Gate(), nn.Linear(inner, width))})

    def forward(self, hidden: Tensor) -> Tensor:
        """What the residual is added to: (B, T, H) -> (B, T, H)."""
        answer: Tensor = self.fn["net"](self.norm(hidden))
        return answer


class _Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """The first half times the GELU of the second: (..., 2 N) -> (..., N)."""
        first, gate = x.chunk(2, dim=-1)
        return first * gelu(gate)


def _linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    return layer


def latent_attention_pool(hidden: Tensor, mask: Tensor, head: LatentAttentionHead) -> Tensor:
    """Pass hidden states through the head and average those of the mask.

    Shapes: hidden (B, T, H) after the backbone's last norm; mask (B, T), 1 for the tokens to average, which are those
    of the text: padding and, for a query, the tokens of its instruction are 0. Returns (B, H) float32, not normalised.
    InvalidArgumentError for shapes that disagree and for a row whose mask is all zero.
    """
    if hidden.ndim != 3 or hidden.shape[-1] != head.sizes.hidden or mask.shape != hidden.shape[:2]:
        raise InvalidArgumentError(
            f"expected hidden states (B, T, {head.sizes.hidden}) and a mask (B, T), "
            f"got {tuple(hidden.shape)} and {tuple(mask.shape)}"
        )
    weights = mask.to(torch.float32)  # (B, T)
    totals = weights.sum(dim=1, keepdim=True)  # (B, 1)
    if not bool((totals > 0).all()):
        row = int((totals <= 0).flatten().nonzero()[0])
        raise InvalidArgumentError(f"row {row} has no token to average: its mask is all zero")
    pooled: Tensor = (head(hidden).float() * weights[:, :, None]).sum(dim=1) / totals
    return pooled
