"""Rows of token ids with what is pooled of them, and who makes them of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lodex.errors import LodexError


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The ids of a text as a model reads it, special tokens and prompt included, at least one.

    Tokens [pool_begin, pool_end) enter the pool; there is at least one. `truncated`: the text was longer.
    """

    ids: Sequence[int] | npt.NDArray[np.integer]
    pool_begin: int
    pool_end: int
    truncated: bool = False


class TextTokens(Protocol):
    """Texts to the rows that a model reads. Safe to use from several threads."""

    def encode(self, texts: Sequence[str], prompt: str = "") -> list[TokenRow | LodexError]:
        """A row for each text, or the error of a text that has none: the others are not touched by it.

        The text stands behind the prompt, or wherever "{text}" stands in it.
        """
        ...
