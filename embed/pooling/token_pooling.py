"""Poolings without weights: the mean of a text's tokens, the weighted mean, the first or the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lodex.embed.ragged import Ragged
from lodex.errors import InvalidArgumentError


class TokenPooling(nn.Module):
    """A pooling of `TOKEN_POOLINGS` by its name, of states (N, H) after the last norm."""

    reads_layers = False

    def __init__(self, name: str, hidden_size: int) -> None:
        super().__init__()
        if name not in TOKEN_POOLINGS:
            raise InvalidArgumentError(f"pooling {name!r} is not one of {', '.join(TOKEN_POOLINGS)}", "pooling")
        self.dimension = hidden_size
        self._pool = TOKEN_POOLINGS[name]

    def forward(self, hidden: Tensor, batch: Ragged) -> Tensor:
        """(N, H) to (B, H) float32."""
        return self._pool(hidden.float(), batch)


def mean_pool(hidden: Tensor, batch: Ragged) -> Tensor:
    """The mean of the pooled tokens: (N, H) float32 to (B, H)."""
    return _weighted(hidden, batch, batch.pooled.to(torch.float32))


def weighted_mean_pool(hidden: Tensor, batch: Ragged) -> Tensor:
    """The mean of the pooled tokens with weights 1, 2, ... by their position in the text: (N, H) to (B, H).

    Muennighoff 2022, SGPT (arXiv:2202.08904), section 3.1, and `weightedmean` of sentence-transformers: with causal
    attention later tokens have seen more. Positions count from the text's first token, pooled or not.
    """
    return _weighted(hidden, batch, batch.pooled * (batch.positions + 1).to(torch.float32))


def cls_pool(hidden: Tensor, batch: Ragged) -> Tensor:
    """The first pooled token, which is the text's first one where nothing is left out: (N, H) to (B, H)."""
    places = torch.arange(len(hidden), device=hidden.device)
    return hidden[_extreme(places.where(batch.pooled, len(hidden)), batch, "amin")]


def last_pool(hidden: Tensor, batch: Ragged) -> Tensor:
    """The last pooled token: (N, H) to (B, H)."""
    places = torch.arange(len(hidden), device=hidden.device)
    return hidden[_extreme(places.where(batch.pooled, -1), batch, "amax")]


TOKEN_POOLINGS: Mapping[str, Callable[[Tensor, Ragged], Tensor]] = {
    "mean": mean_pool,
    "weighted_mean": weighted_mean_pool,
    "last": last_pool,
    "cls": cls_pool,
}


def _weighted(hidden: Tensor, batch: Ragged, weights: Tensor) -> Tensor:
    """The sum of states (N, H) by weights (N,), divided by the sum of the weights, text by text."""
    total = sum_by_text(hidden * weights[:, None], batch)
    return total / sum_by_text(weights[:, None], batch)


def sum_by_text(values: Tensor, batch: Ragged) -> Tensor:
    """The sums over the tokens of each text: (N, H) float32 to (B, H), each in an order of its own tokens alone."""
    if values.device.type == "cpu":
        return torch.stack([part.sum(0) for part in torch.split(values, list(batch.lengths))])
    # One thread sums a column of a text: no launch for each text, and no atomic additions.
    return torch.segment_reduce(values, "sum", offsets=batch.offsets.to(torch.int64), axis=0, unsafe=True)


def _extreme(places: Tensor, batch: Ragged, reduce: str) -> Tensor:
    """The least or greatest of (N,) in each text, (B,)."""
    counts = (batch.offsets[1:] - batch.offsets[:-1]).to(torch.int64)
    text = torch.arange(len(counts), device=places.device).repeat_interleave(counts, output_size=len(places))
    start = places.new_zeros(len(counts))
    return start.scatter_reduce(0, text, places, reduce, include_self=False)
