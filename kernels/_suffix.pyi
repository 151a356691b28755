from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]

END_OF_STREAM: Final[int]
"""The token that `next_tokens` reports where the stream ends right after a prompt."""

MAX_TOKENS: Final[int]
"""The longest stream that `suffix_array` sorts."""

class CorruptTableError(DataLossError):
    """A table that cannot belong to its stream: a wrong size, or an offset that is not one of a token."""

def suffix_array(tokens: Tokens) -> npt.NDArray[np.int32]:
    """Sort all suffixes of `tokens` (n,), in linear time; returns where each starts, smallest first.

    Suffixes compare by the bytes of their little-endian tokens; one that ends where another goes on is the smaller.
    """

class SuffixTable:
    """The sorted suffixes of a stream, for searching. Arrays are borrowed and may be mapped files; the GIL is released.

    `tokens` (n,) is uint8, uint16 or uint32; `table` (n * width,) holds little-endian byte offsets, 1 to 8 bytes wide.
    `label` names the table in errors. A batch of queries is one flat array of the stream's dtype and `offsets`
    (queries + 1,): query i is `queries[offsets[i]:offsets[i + 1]]`. Ranks number the suffixes in their order.

    Raises CorruptTableError for a table whose size or offsets cannot be right; a table that is merely out of order
    gives wrong answers and never a read outside the arrays.
    """

    def __init__(self, tokens: Tokens, table: npt.NDArray[np.uint8], label: str = "table") -> None: ...
    def __len__(self) -> int: ...
    def find(self, queries: Tokens, offsets: Int64s) -> tuple[Int64s, Int64s]:
        """The ranks [begin, end) of the suffixes that begin with each query: two arrays (queries,)."""

    def longest_suffixes(self, queries: Tokens, offsets: Int64s) -> Int64s:
        """How many of its last tokens each query has at most in common with some place of the stream, (queries,)."""

    def next_tokens(self, begins: Int64s, ends: Int64s, depths: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """The distinct tokens `depths[i]` tokens into the suffixes of ranks [begins[i], ends[i]), each with its count.

        Returns tokens and counts, in the order of the tokens' bytes, and offsets (ranges + 1,) into both. END_OF_STREAM
        comes first where the stream ends there. Exact if the suffixes of a range agree before that depth, as those
        that `find` gives do.
        """

    def positions(self, begin: int, end: int) -> Int64s:
        """Where the suffixes of ranks [begin, end) start, in tokens, in rank order."""
