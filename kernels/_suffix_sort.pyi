from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.unsignedinteger[Any]]

MAX_TOKENS: Final[int]
"""The longest stream that `suffix_array` sorts."""

def suffix_array(tokens: Tokens, threads: int = 1) -> npt.NDArray[np.int32]:
    """Sort all suffixes of `tokens` (n,), in linear time; returns where each starts, smallest first.

    Suffixes compare by the bytes of their little-endian tokens; one that ends where another goes on is the smaller.
    `tokens` is uint8, uint16 or uint32, may be a mapped file and is only read. The answer is the same for any number of
    `threads`, which share a part of the work. Memory beside tokens and answer: half a byte a token on prose, at worst
    four, and for uint32 a copy of four bytes a token.
    The GIL is released. Raises TypeError for other arrays, ValueError for more than MAX_TOKENS or less than one thread.
    """

def route(tokens: Tokens, threads: int = 1) -> Literal["two-stage", "induced", "reduced"]:
    """By what `suffix_array` sorts these tokens; for tests, as it sorts them.

    "two-stage": LMS suffixes by their symbols and names, the others by induction. "induced": by induction alone, as LMS
    suffixes are crowded in one bucket. "reduced": the string of names by induction, as names were not told apart soon.
    """
