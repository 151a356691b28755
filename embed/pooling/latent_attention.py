"""Latent-attention pooling: every token gathers from a learned array of latents, then tokens are averaged.

Lee et al. 2024, NV-Embed (arXiv:2405.17428), section 3.2, in the layout of the published weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

_MLP_FACTOR = 4


@dataclass(frozen=True, slots=True)
class LatentAttentionSizes:
    """`hidden` H of the backbone, `latents` R of width `latent_width` C, `heads` of `head_width` D each."""

    hidden: int
    latents: int
    latent_width: int
    heads: int
    head_width: int


class LatentAttentionHead(nn.Module):
    """The head of NV-Embed as it is published and trained: the plain twin of `FoldedLatentAttention`.

    A hidden state asks (queries), the latents answer (keys and values); then a gated MLP, each with a residual:

        h = x + softmax(D^-1/2 (LN(x) W_q^T) (c W_k^T)^T) (c W_v^T) W_o^T    c = LN(latents), softmax head by head
        y = h + (first * gelu(gate)) W_2^T + b_2                             first, gate = halves of LN(h) W_1^T + b_1

    Parameters have the published names and shapes; keys are the first half of the rows of `to_kv`. LayerNorms are
    affine with eps 1e-5, the GELU is the exact one. What runs is `folded`; a plain pass computes the keys and values of
    the latents anew, as the published code does for every row of a batch.
    """

    def __init__(self, sizes: LatentAttentionSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.latents = nn.Parameter(torch.randn(sizes.latents, sizes.latent_width))
        self.cross_attend_blocks = nn.ModuleList([_CrossAttention(sizes), GatedMlp(sizes.hidden)])

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states after attention to the latents and the MLP: (..., H) -> (..., H)."""
        attention, mlp = self.cross_attend_blocks
        hidden = hidden + attention(hidden, self.latents)
        answer: Tensor = hidden + mlp(hidden)
        return answer

    @torch.no_grad()
    def folded(self) -> FoldedLatentAttention:
        """The same function with the products of constants taken, in float32 whatever the dtype of the weights."""
        attention, mlp = self.cross_attend_blocks
        assert isinstance(attention, _CrossAttention), "the first block attends; this is a bug"
        assert isinstance(mlp, GatedMlp), "the second block is the MLP; this is a bug"
        A, B = attention.fold(self.latents)
        return FoldedLatentAttention(self.sizes, attention.norm, A, B, mlp)


class FoldedLatentAttention(nn.Module):
    """The head with its keys and values folded into the projections around them, which depend on no text.

    Per head h, with c (R, C) the normalised latents and s = D^-1/2,

        scores_h = s LN(x) W_q,h^T (c W_k,h^T)^T = LN(x) A_h^T        A (heads * R, H)
        output   = sum_h softmax(scores_h) (c W_v,h^T) W_o,h^T        B (H, heads * R)

    which is 2 heads R H multiplications a token instead of 2 heads D (H + R), and none for each text. Results differ
    from those of the plain head by rounding; the products are taken in float32 before any cast.
    """

    def __init__(self, sizes: LatentAttentionSizes, norm: nn.LayerNorm, A: Tensor, B: Tensor, mlp: GatedMlp) -> None:
        super().__init__()
        self.sizes = sizes
        self.norm = _copy_norm(norm)
        self.scores = linear(A)
        self.shares = nn.Sequential(nn.Unflatten(-1, (sizes.heads, sizes.latents)), nn.Softmax(dim=-1), nn.Flatten(-2))
        self.answers = linear(B)
        self.mlp = mlp.detached()

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states after attention to the latents and the MLP: (..., H) -> (..., H)."""
        hidden = hidden + self.answers(self.shares(self.scores(self.norm(hidden))))
        answer: Tensor = hidden + self.mlp(hidden)
        return answer


class _CrossAttention(nn.Module):
    """From tokens to latents."""

    def __init__(self, sizes: LatentAttentionSizes) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_width
        self._heads, self._width = sizes.heads, sizes.head_width
        self.norm = nn.LayerNorm(sizes.hidden)
        self.norm_context = nn.LayerNorm(sizes.latent_width)
        self.fn = nn.ModuleDict(
            {
                "to_q": nn.Linear(sizes.hidden, inner, bias=False),
                "to_kv": nn.Linear(sizes.latent_width, 2 * inner, bias=False),
                "to_out": nn.Linear(inner, sizes.hidden, bias=False),
            }
        )

    def forward(self, hidden: Tensor, latents: Tensor) -> Tensor:
        """What the residual is added to: (..., H) -> (..., H)."""
        flat = hidden.reshape(-1, hidden.shape[-1])  # (N, H)
        keys, values = self.fn["to_kv"](self.norm_context(latents)).chunk(2, dim=-1)  # (R, heads * D) each
        queries = self.fn["to_q"](self.norm(flat))  # (N, heads * D)
        queries, keys, values = (self._split(part) for part in (queries, keys, values))  # (heads, N or R, D)
        shares = (queries @ keys.transpose(1, 2) * self._width**-0.5).softmax(dim=-1)  # (heads, N, R)
        answer: Tensor = self.fn["to_out"]((shares @ values).transpose(0, 1).flatten(1))
        return answer.view_as(hidden)

    def fold(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """A (heads * R, H) and B (H, heads * R) in float32.

        Head by head: of the projections, two thirds of the parameters, only the rows of one head are ever float32.
        """
        weights = self.fn.state_dict()
        to_q, to_kv, to_out = (weights[f"{name}.weight"] for name in ("to_q", "to_kv", "to_out"))
        inner, R, H = len(to_q), len(latents), to_out.shape[0]
        context = _copy_norm(self.norm_context)(latents.float())  # (R, C)
        A, B = torch.empty(self._heads * R, H), torch.empty(H, self._heads * R)
        for head in range(self._heads):
            own = slice(head * self._width, (head + 1) * self._width)
            its = slice(head * R, (head + 1) * R)
            keys = context @ to_kv[own].float().T  # (R, D)
            A[its] = keys @ to_q[own].float() * self._width**-0.5
            values = context @ to_kv[inner + own.start : inner + own.stop].float().T  # (R, D)
            B[:, its] = to_out[:, own].float() @ values.T
        return A, B

    def _split(self, x: Tensor) -> Tensor:
        """(N, heads * D) -> (heads, N, D)."""
        return x.reshape(len(x), self._heads, self._width).transpose(0, 1)


class GatedMlp(nn.Module):
    """LayerNorm, and an MLP of four times the width with a GEGLU (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = _MLP_FACTOR * width
        self.norm = nn.LayerNorm(width)
        self.fn = nn.ModuleDict({"net": nn.Sequential(nn.Linear(width, 2 * inner), _Gate(), nn.Linear(inner, width))})

    def forward(self, hidden: Tensor) -> Tensor:
        """What the residual is added to: (..., H) -> (..., H)."""
        answer: Tensor = self.fn["net"](self.norm(hidden))
        return answer

    def detached(self) -> GatedMlp:
        """The same in float32, to be changed on its own; float32 weights are shared, not copied."""
        with torch.device("meta"):
            other = GatedMlp(len(self.norm.weight))
        weights = {name: weight.detach().float() for name, weight in self.state_dict().items()}
        other.load_state_dict(weights, assign=True)
        return other.requires_grad_(False)


class _Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """The first half times the GELU of the second: (..., 2 N) -> (..., N)."""
        first, gate = x.chunk(2, dim=-1)
        return first * gelu(gate)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer of given weights (O, I), for inference."""
    layer = nn.Linear(1, 1, bias=False, device="meta")
    layer.out_features, layer.in_features = weight.shape
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)  # type: ignore[assignment]
    return layer


def _copy_norm(norm: nn.LayerNorm) -> nn.LayerNorm:
    copy = nn.LayerNorm(norm.normalized_shape, eps=norm.eps)
    copy.load_state_dict({name: weight.detach().float() for name, weight in norm.state_dict().items()})
    return copy.requires_grad_(False)
