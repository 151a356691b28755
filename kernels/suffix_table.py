"""The bytes of a suffix table: for each suffix in order its byte offset in the stream, little-endian, no header."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def offset_width(stream_bytes: int) -> int:
    """Bytes an offset takes in the table of a stream of that size: the fewest that hold every offset, at least 1."""
    return max(1, ((stream_bytes - 1).bit_length() + 7) // 8)


def encode_offsets(positions: npt.NDArray[np.integer[Any]], token_bytes: int, width: int) -> npt.NDArray[np.uint8]:
    """Token positions (n,) as byte offsets, (n * width,)."""
    if width == 4:  # the width of most tables, by whole integers
        return (positions.astype("<u4") * np.uint32(token_bytes)).view(np.uint8)
    offsets = positions.astype("<u8") * np.uint64(token_bytes)
    return np.ascontiguousarray(offsets.view(np.uint8).reshape(-1, 8)[:, :width]).reshape(-1)


def decode_offsets(table: npt.NDArray[np.uint8], token_bytes: int, width: int) -> npt.NDArray[np.int64]:
    """The token positions that `encode_offsets` encoded."""
    padded = np.zeros((len(table) // width, 8), np.uint8)
    padded[:, :width] = table.reshape(-1, width)
    return padded.reshape(-1).view("<i8") // token_bytes
