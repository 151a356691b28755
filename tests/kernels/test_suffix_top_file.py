"""The top level as a file: what it holds, and files of another table."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lodex.kernels._suffix import CorruptTableError, SuffixTable
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width
from lodex.kernels.suffix_top_file import decode_top, encode_top


def open_table(tokens: npt.NDArray[Any], top: Any = None) -> SuffixTable:
    table = encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes))
    return SuffixTable(tokens, table, "t", top)


TOKENS = np.random.default_rng(1).integers(0, 250, 150_000).astype(np.uint8)


@pytest.mark.parametrize(
    "tokens",
    [TOKENS, TOKENS.astype(np.uint16), TOKENS.astype(np.uint32), TOKENS[:0], TOKENS[:1], TOKENS[:512], TOKENS[:513]],
)
def test_a_top_level_is_read_as_it_was_written(tokens: npt.NDArray[Any]) -> None:
    """With and without a table of first tokens, of no page, one and many, it opens the table again."""
    table = open_table(tokens)
    file = encode_top(table, tokens.itemsize)
    top = decode_top(file, tokens.itemsize, len(tokens), "top.0")
    for got, expected in zip(open_table(tokens, top).top, table.top, strict=True):
        np.testing.assert_array_equal(got, expected)
    if len(tokens) > 100_000:
        assert len(file) < 48 + 0.03 * len(tokens)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: b"", "does not begin"),
        (lambda file: file[:40], "does not begin"),
        (lambda file: b"X" + file[1:], "does not begin"),
        (lambda file: file[:8] + b"\2" + file[9:], "version 2"),
        (lambda file: file[:16] + b"\2" + file[17:], "of 2 bytes"),
        (lambda file: file[:24] + b"\0" + file[25:], "the stream has 150000"),
        (lambda file: file[:-1], "bytes, expected"),
        (lambda file: file + b"\0" * 8, "bytes, expected"),
        (lambda file: file[:40] + b"\xff" * 8 + file[48:], "bytes, expected"),
    ],
)
def test_a_file_of_another_table_is_refused(change: Any, message: str) -> None:
    """Magic, version, width, length and size must be right, and the error names the file."""
    file = encode_top(open_table(TOKENS), 1)
    with pytest.raises(CorruptTableError, match=rf"x/top.0.*{message}"):
        decode_top(change(file), 1, len(TOKENS), "x/top.0")


def test_numbers_out_of_order_are_refused() -> None:
    """What is inside is checked where the table is opened."""
    file = bytearray(encode_top(open_table(TOKENS), 1))
    file[48:56] = b"\xff" * 8
    with pytest.raises(CorruptTableError, match="t: "):
        open_table(TOKENS, decode_top(bytes(file), 1, len(TOKENS), "top.0"))
