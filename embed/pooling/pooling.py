"""What turns the states of a text's tokens into one vector."""

from __future__ import annotations

from collections.abc import Iterator
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
