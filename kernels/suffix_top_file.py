"""The top level of a search as a file, so that a large table is opened without a pass over it.

A header of 48 bytes (magic, then u64: version, bytes of a token, tokens, starts, keys), then starts and keys as u64.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from lodex.kernels._suffix import CorruptTableError, SuffixTable

Top = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]

_HEADER = struct.Struct("<8s5Q")
_MAGIC = b"LODEXTOP"
_VERSION = 1


def encode_top(table: SuffixTable, token_bytes: int) -> bytes:
    """The file of a table's top level, at most 0.03 bytes a token beside its header."""
    starts, keys = table.top
    header = _HEADER.pack(_MAGIC, _VERSION, token_bytes, len(table), len(starts), len(keys))
    return b"".join([header, starts.astype("<u8").tobytes(), keys.astype("<u8").tobytes()])


def decode_top(file: bytes, token_bytes: int, num_tokens: int, label: str) -> Top:
    """Where each first token begins, and page keys, for `SuffixTable`, which checks how many there are.

    CorruptTableError, naming the file by `label`, for one that is cut short or of another table.
    """
    if len(file) < _HEADER.size or file[:8] != _MAGIC:
        raise CorruptTableError(f"{label} is no top level of a suffix table: it does not begin with {_MAGIC!r}")
    _, version, width, tokens, num_starts, num_keys = _HEADER.unpack_from(file)
    if version != _VERSION:
        raise CorruptTableError(f"{label} is of version {version}, this Lodex reads {_VERSION}")
    if (width, tokens) != (token_bytes, num_tokens):
        raise CorruptTableError(
            f"{label} is of {tokens} tokens of {width} bytes, the stream has {num_tokens} of {token_bytes}"
        )
    expected = _HEADER.size + 8 * (num_starts + num_keys)
    if len(file) != expected:
        raise CorruptTableError(f"{label} has {len(file)} bytes, expected {expected}")
    numbers = np.frombuffer(file, "<u8", offset=_HEADER.size).astype(np.uint64)
    return numbers[:num_starts], numbers[num_starts:]
