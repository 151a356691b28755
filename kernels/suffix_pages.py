"""Page keys: where each suffix of a table parts from the one before it, so that a cold search reads few pages.

The file: a header of 512 bytes (magic, then u64: version, bytes of a token, tokens, suffixes of a page; zeros), a byte
for each suffix, and a byte for each page of 512 suffixes. About 1.002 bytes a token.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lodex.kernels._suffix import SuffixTable

PAGE_SUFFIXES = 512
_MAGIC = b"LODEXPGK"
_VERSION = 1
_HEADER_BYTES = 512
_KEYS_PER_BLOCK = 1 << 22  # whole pages, so that no page's least key is of two blocks


def page_keys_bytes(num_tokens: int) -> int:
    """The size of the file for a table of that many tokens."""
    return _HEADER_BYTES + num_tokens + -(-num_tokens // PAGE_SUFFIXES)


def page_key_blocks(table: SuffixTable, token_bytes: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The bytes of the file in order, in blocks of at most 4 MiB and the keys of pages at the end. Near-linear."""
    header = _MAGIC + np.array([_VERSION, token_bytes, len(table), PAGE_SUFFIXES], "<u8").tobytes()
    yield np.frombuffer(header.ljust(_HEADER_BYTES, b"\0"), np.uint8)
    num_pages = -(-len(table) // PAGE_SUFFIXES)
    # What two suffixes share is the least that neighbours between them do: (page - 1, page], for each page.
    pages = np.full(num_pages + 1, 255, np.uint8)
    pages[0] = 0
    for begin in range(0, len(table), _KEYS_PER_BLOCK):
        keys = table.shared_bits(begin, min(begin + _KEYS_PER_BLOCK, len(table)))
        yield keys
        first = begin // PAGE_SUFFIXES
        pages[first] = min(pages[first], keys[0])
        least = np.minimum.reduceat(keys[1:], np.arange(0, len(keys) - 1, PAGE_SUFFIXES)) if len(keys) > 1 else keys[:0]
        pages[first + 1 : first + 1 + len(least)] = least
    yield pages[:num_pages]


def page_keys(table: SuffixTable, token_bytes: int) -> npt.NDArray[np.uint8]:
    """The whole file in memory."""
    return np.concatenate(list(page_key_blocks(table, token_bytes)))
