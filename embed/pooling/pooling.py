"""What turns the states of a text's tokens into one vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from torch import Tensor

from lodex.embed.ragged import Ragged


class Pooling(Protocol):
    """From one vector a token to one vector a text.

    `dimension` d of the vectors. One that `reads_layers` gets the states of all layers, the embeddings first, as an
    iterator that it may read once; others get the states after the last norm.
    """

    @property
    def dimension(self) -> int:
        """The size of a vector."""
        ...

    @property
    def reads_layers(self) -> bool:
        """Whether it asks for the states of every layer."""
        ...

    def __call__(self, hidden: Tensor | Iterator[Tensor], batch: Ragged) -> Tensor:
        """(N, H), or L + 1 times (N, H), to (B, d) float32, not normalised.

        A text's vector depends on its own states alone, bit for bit.
        """
        ...


# ------------------------------------------------------------------------- equal lengths, of today's encoders


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
