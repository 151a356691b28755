"""Cross-entropy over a large vocabulary in chunks of tokens: the logits of all tokens are never held at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_CHUNK_TOKENS = 512

ChunkLoss = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]


def chunk_loss(states: Tensor, head: Tensor, targets: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of one chunk and its gradients times `scale`.

    states (n, H), head (V, H), targets (n,), -100 where nothing is to be predicted. Returns the sum of the losses in
    nats, float32; the gradient of the states (n, H) and of the head (V, H), in their dtype.
    """
    logits = (states @ head.T).float()  # (n, V)
    counted = targets >= 0
    places = targets.clamp(min=0)[:, None]
    log_normaliser = logits.logsumexp(dim=1, keepdim=True)
    losses = (log_normaliser - logits.gather(1, places))[:, 0] * counted
    slopes = (logits - log_normaliser).exp()
    hot = torch.arange(logits.shape[1], device=logits.device)[None, :] == places
    slopes = ((slopes - hot.float()) * (counted[:, None] * scale)).to(states.dtype)
    return losses.sum(), slopes @ head, slopes.T @ states


class _FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor, chunk: ChunkLoss) -> Tensor:
        scale = 1 / max(1, int((targets >= 0).sum()))
        total = torch.zeros((), device=states.device)
        slopes_states = torch.empty_like(states)
        slopes_head = torch.zeros(head.shape, dtype=torch.float32, device=head.device)
        for begin in range(0, len(states), _CHUNK_TOKENS):
            part = slice(begin, begin + _CHUNK_TOKENS)
            loss, slopes_states[part], of_head = chunk(states[part], head, targets[part], scale)
            slopes_head += of_head
            total += loss
        ctx.save_for_backward(slopes_states, slopes_head.to(head.dtype))
        return total * scale

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> tuple[Tensor, Tensor, None, None]:
        slopes_states, slopes_head = ctx.saved_tensors
        return slopes_states * slopes[0], slopes_head * slopes[0], None, None


def cross_entropy(states: Tensor, head: Tensor, targets: Tensor, chunk: ChunkLoss = chunk_loss) -> Tensor:
    """Mean negative log-likelihood in nats of `targets` under softmax(states @ head.T), in chunks of 512 tokens.

    states (n, H), head (V, H), targets (n,) int64, -100 for tokens that do not count. `chunk` is `chunk_loss` or a
    compiled form of it.
    """
    loss: Tensor = _FusedCrossEntropy.apply(states, head, targets, chunk)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def token_losses(states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood in nats of each target, (n,) float32."""
    parts = []
    for begin in range(0, len(states), _CHUNK_TOKENS):
        part = slice(begin, begin + _CHUNK_TOKENS)
        logits = (states[part] @ head.T).float()
        parts.append(torch.nn.functional.cross_entropy(logits, targets[part], reduction="none"))
    return torch.cat(parts)
