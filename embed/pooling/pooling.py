"""From one vector a token to one vector a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor


def mean_pool(hidden: Tensor) -> Tensor:
    """Average over the tokens, special tokens included: (B, T, H) -> (B, H). No token is padding."""
    return hidden.mean(dim=1)


def cls_pool(hidden: Tensor) -> Tensor:
    """The first token: (B, T, H) -> (B, H)."""
    return hidden[:, 0]


def last_pool(hidden: Tensor) -> Tensor:
    """The last token: (B, T, H) -> (B, H). No token is padding."""
    return hidden[:, -1]


POOLINGS: Mapping[str, Callable[[Tensor], Tensor]] = {"mean": mean_pool, "cls": cls_pool, "last": last_pool}
