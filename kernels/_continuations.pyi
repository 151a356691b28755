from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]

class CorruptContinuationsError(DataLossError):
    """Tables or tokens that cannot belong together.

    A wrong size, an offset that is not one of a token, an entry out of order, a token outside the vocabulary, or
    documents subtracted that are nowhere.
    """

class SignedTable:
    """A stream of documents, a separator (all bits set) before each, and its sorted suffixes. Arrays are borrowed.

    `tokens` (n,) is uint8, uint16 or uint32; `table` (n * width,) holds little-endian byte offsets, 1 to 8 bytes wide.
    What a table of `sign` -1 holds is subtracted from those of sign 1. Every document reads separator, tokens,
    separator, also the last one of a stream. `label` names the table in errors.
    """

    def __init__(self, tokens: Tokens, table: npt.NDArray[np.uint8], sign: int = 1, label: str = "table") -> None: ...
    def __len__(self) -> int:
        """Entries of the table."""

def survey(
    tables: Sequence[SignedTable], vocab_size: int, order: int, frequent: int
) -> tuple[Int64s, Int64s, Int64s, Int64s, Int64s, Int64s]:
    """Count the n-grams of 1 to `order` tokens of all tables as one corpus, in one pass. The GIL is released.

    The count of an n-gram is how often it occurs if it is of the highest order or begins with the separator, else how
    many distinct tokens stand before it. As a single token the separator is the one that ends a document. No n-gram has
    a separator inside.

    Returns counts of counts (order * 4,): for each order from 1 on how many n-grams have the counts 1, 2, 3 and 4. Then
    those contexts that occur `frequent` times or more, of 1 to `order` - 1 tokens, and last the empty one, in whatever
    order: tokens, and offsets (contexts + 1,) into them. Then what follows each: tokens, ascending, counts of the
    context with each token, and offsets (contexts + 1,) into both.

    Memory: 8 bytes for each token of the vocabulary and order above the first, and what is returned. Tables are read in
    the order of their suffixes, each token at its own place, so they should be in memory.
    """

def followers(
    tables: Sequence[SignedTable],
    begins: Int64s,
    ends: Int64s,
    depths: Int64s,
    occurrences: npt.NDArray[np.bool_],
) -> tuple[Int64s, Int64s, Int64s]:
    """What follows contexts of `depths` (contexts,) tokens, which stand at ranks [begins, ends) (tables, contexts).

    The count of a token behind a context is how often it stands there where `occurrences` (contexts,) says so, else how
    many distinct tokens stand before the two. Returns tokens, ascending, counts above 0, and offsets (contexts + 1,)
    into both. Reads every occurrence of a context once. The GIL is released.
    """
