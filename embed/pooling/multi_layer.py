"""Multi-layer trainable pooling: learned queries attend to one vector of every layer.

Tang and Yang 2024, Pooling and Attention (arXiv:2409.02727), section 3.2. No weights of it are published, so the names
and shapes of the tensors are ours; they stand in `MultiLayerHead`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lodex.embed.pooling.latent_attention import GatedMlp, linear
from lodex.embed.pooling.token_pooling import TOKEN_POOLINGS
from lodex.embed.ragged import Ragged
from lodex.errors import DimensionMismatchError, InvalidArgumentError


@dataclass(frozen=True, slots=True)
class MultiLayerSizes:
    """`layers` L + 1 with the embeddings, states of `hidden` H, `queries` R, `heads` of `head_width` D each.

    `tokens` says which vector of a layer is read: "mean" where attention goes both ways, "last" where it is causal.
    """

    layers: int
    hidden: int
    queries: int
    heads: int
    head_width: int
    tokens: str


class MultiLayerHead(nn.Module):
    """The head as it is trained: the plain twin of `FoldedMultiLayerHead`.

    With X (L + 1, H) the vectors of the layers of a text, layer by layer as deep as they stand,

        Z = LN(X + layer_weights)
        O = softmax(D^-1/2 queries (Z W_k^T)^T) (Z W_v^T) W_o^T      head by head, (R, H)
        y = mean over the R queries of O + MLP(O)                    the MLP of `GatedMlp`

    Tensors: layer_weights (L + 1, H); norm.{weight,bias} (H,); queries (R, heads * D); to_k.weight, to_v.weight
    (heads * D, H); to_out.weight (H, heads * D); mlp.norm.{weight,bias}; mlp.fn.net.{0,2}.{weight,bias}. The LayerNorm
    before the attention and the gate of the MLP are not in the paper; they are as in NV-Embed's head.
    """

    def __init__(self, sizes: MultiLayerSizes) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_width
        self.sizes = sizes
        self.layer_weights = nn.Parameter(torch.zeros(sizes.layers, sizes.hidden))
        self.norm = nn.LayerNorm(sizes.hidden)
        self.queries = nn.Parameter(torch.randn(sizes.queries, inner) * inner**-0.5)
        self.to_k = nn.Linear(sizes.hidden, inner, bias=False)
        self.to_v = nn.Linear(sizes.hidden, inner, bias=False)
        self.to_out = nn.Linear(inner, sizes.hidden, bias=False)
        self.mlp = GatedMlp(sizes.hidden)

    def forward(self, layers: Tensor) -> Tensor:
        """The vectors of every layer of a text to one: (B, L + 1, H) -> (B, H)."""
        normed = self.norm(layers + self.layer_weights)
        keys, values = self._split(self.to_k(normed)), self._split(self.to_v(normed))  # (B, heads, L + 1, D)
        shares = (self._split(self.queries) @ keys.mT * self.sizes.head_width**-0.5).softmax(dim=-1)
        attended = self.to_out((shares @ values).transpose(-2, -3).flatten(-2))  # (B, R, H)
        answer: Tensor = (attended + self.mlp(attended)).mean(dim=-2)
        return answer

    @torch.no_grad()
    def folded(self) -> FoldedMultiLayerHead:
        """The same function with the keys folded into the queries, in float32."""
        H, width = self.sizes.hidden, self.sizes.head_width
        queries = self._split(self.queries.float())  # (heads, R, D)
        keys = self.to_k.weight.float().view(self.sizes.heads, width, H)
        return FoldedMultiLayerHead(self, (queries @ keys * width**-0.5).flatten(0, 1))

    def _split(self, x: Tensor) -> Tensor:
        """(..., T, heads * D) -> (..., heads, T, D)."""
        return x.view(*x.shape[:-1], self.sizes.heads, self.sizes.head_width).transpose(-2, -3)


class FoldedMultiLayerHead(nn.Module):
    """The head with its queries, which depend on no text, folded into the projection of the keys: A (heads * R, H)."""

    def __init__(self, head: MultiLayerHead, A: Tensor) -> None:
        super().__init__()
        self.sizes = head.sizes
        self.layer_weights = nn.Parameter(head.layer_weights.detach().float(), requires_grad=False)
        self.norm = nn.LayerNorm(head.sizes.hidden, eps=head.norm.eps).requires_grad_(False)
        self.norm.load_state_dict(head.norm.state_dict())
        self.scores = linear(A)
        self.to_v = linear(head.to_v.weight.detach().float())
        self.to_out = linear(head.to_out.weight.detach().float())
        self.mlp = head.mlp.detached()

    def forward(self, layers: Tensor) -> Tensor:
        """The vectors of every layer of a text to one: (B, L + 1, H) -> (B, H)."""
        normed = self.norm(layers + self.layer_weights)
        heads, R = self.sizes.heads, self.sizes.queries
        shares = self.scores(normed).unflatten(-1, (heads, R)).permute(0, 2, 3, 1).softmax(dim=-1)  # (B, h, R, L + 1)
        values = self.to_v(normed).unflatten(-1, (heads, self.sizes.head_width)).transpose(1, 2)  # (B, h, L + 1, D)
        attended = self.to_out((shares @ values).transpose(1, 2).flatten(-2))  # (B, R, H)
        answer: Tensor = (attended + self.mlp(attended)).mean(dim=-2)
        return answer


class MultiLayerPooling(nn.Module):
    """Reads every layer of a backbone, one vector a text of each."""

    reads_layers = True

    def __init__(self, head: FoldedMultiLayerHead) -> None:
        super().__init__()
        tokens = head.sizes.tokens
        if tokens not in ("mean", "last"):
            raise InvalidArgumentError(f"tokens is {tokens!r}, expected 'mean' or 'last'", "model")
        self.dimension = head.sizes.hidden
        self.head = head
        self._pool: Callable[[Tensor, Ragged], Tensor] = TOKEN_POOLINGS[tokens]

    def forward(self, layers: Iterator[Tensor], batch: Ragged) -> Tensor:
        """L + 1 times (N, H) to (B, H) float32; DimensionMismatchError for another number of layers."""
        vectors = torch.stack([self._pool(states.float(), batch) for states in layers], dim=1)  # (B, L + 1, H)
        sizes = self.head.sizes
        if vectors.shape[1:] != (sizes.layers, sizes.hidden):
            raise DimensionMismatchError(
                f"expected {sizes.layers} layers of {sizes.hidden}, got {vectors.shape[1]} of {vectors.shape[2]}"
            )
        # On a CPU text by text: the products of a batch need not sum each of its texts in the same order.
        parts = torch.split(vectors, 1) if vectors.device.type == "cpu" else [vectors]
        return torch.cat([self.head(part) for part in parts])
