from typing import Any, overload

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError

Tokens = npt.NDArray[np.unsignedinteger[Any]]

class CorruptEntriesError(DataLossError):
    """Entries that cannot be the sorted suffixes of their block."""

class SuffixEntries:
    """The sorted suffixes of a block: little-endian integers of `width` bytes, each `unit` times a token's position.

    An array is borrowed. A file is read a few pages at a time and not mapped, so it takes no memory of the process. Not
    for use by two threads at once. CorruptEntriesError for a file that cannot be read or of a wrong size.
    """

    @overload
    def __init__(self, source: npt.NDArray[np.uint8], width: int, unit: int) -> None: ...
    @overload
    def __init__(self, source: str, width: int, unit: int) -> None: ...
    def __len__(self) -> int: ...

def repeated_tail(tokens: Tokens, suffixes: SuffixEntries, limit: int) -> int:
    """Tokens of the longest suffix of `tokens` (n,) that occurs in them a second time, or `limit` if that is less.

    `suffixes` is their suffix array. Time: about 30 times that length, read in sequence.
    """

class SuffixMerge:
    """Merges the suffix arrays of `tokens[:cut]` and `tokens[cut:]` into that of `tokens` (n,), n < 2^31.

    The right block is taken as it is, the left one but for its last suffixes that occur in it twice (`repeated_tail`):
    what follows them is now on the right, so their order is new, and `start` must be told it. `left` may have more than
    `cut` suffixes, those of a longer block; the ones from `cut` on are passed over. That is right where the cut was
    moved back by the repeated tail of the longer block: no suffix before it depends on what follows the block.

    Memory: 4 bytes for each token on the right and 1/64 byte for each on the left beside the text and the entries,
    which are read in sequence but for some twenty for each 512th token on the left. The GIL is released.
    CorruptEntriesError where entries cannot be those of their block; entries merely out of order give a wrong order.
    """

    def __init__(self, tokens: Tokens, cut: int, left: SuffixEntries, right: SuffixEntries) -> None: ...
    def __len__(self) -> int: ...
    def tail_ranks(self, length: int) -> npt.NDArray[np.uint32]:
        """How many suffixes on the right are smaller than each of `tokens[cut - length:]` to `tokens[cut:]`.

        Returns (length + 1,), in the order of the text.
        """

    def start(self, order: npt.NDArray[np.uint32]) -> None:
        """Goes to work; `order` has the suffixes that `tail_ranks` ranked, counted from 0, in the order of `tokens`."""

    def read(self, out: npt.NDArray[np.uint8], width: int, unit: int) -> int:
        """Fill `out` with the next entries; returns how many, less than fit only at the end."""
