"""The plain twin of the page keys: every suffix written out as bits."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.kernels.suffix_table import decode_offsets

_PAGE = 512
_CLIP = 255


def page_keys(tokens: npt.NDArray[np.unsignedinteger[Any]], table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The file of page keys of a table, see `suffix_pages.py`."""
    width = len(table) // max(len(tokens), 1) or 1
    suffixes = [_bits(tokens[start : start + 32]) for start in decode_offsets(table, tokens.itemsize, width)]
    header = b"LODEXPGK" + np.array([1, tokens.itemsize, len(tokens), _PAGE], "<u8").tobytes()
    keys = [_shared(suffixes[rank - 1], suffixes[rank]) if rank else 0 for rank in range(len(suffixes))]
    firsts = suffixes[::_PAGE]
    pages = [_shared(firsts[page - 1], firsts[page]) if page else 0 for page in range(len(firsts))]
    return np.frombuffer(header.ljust(_PAGE, b"\0") + bytes(keys) + bytes(pages), np.uint8)


def _bits(tokens: npt.NDArray[np.unsignedinteger[Any]]) -> str:
    written = ("1" + "".join(f"{byte:08b}" for byte in token.tobytes()) for token in tokens)
    return "".join(written) + "0"  # what ends is smaller than what goes on


def _shared(a: str, b: str) -> int:
    return min(_CLIP, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))
