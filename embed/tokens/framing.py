"""Rows of token ids with what is pooled of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The ids of a text as a model reads it, special tokens and prompt included, at least one.

    Tokens [pool_begin, pool_end) enter the pool; there is at least one. `truncated`: the text was longer.
    """

    ids: Sequence[int] | npt.NDArray[np.integer]
    pool_begin: int
    pool_end: int
    truncated: bool = False
