"""Suffix sorting: the twin over small texts of every kind, a linear-time check over long ones."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.kernels import suffix_array_reference as reference
from lodex.kernels._suffix import suffix_array
from lodex.kernels.suffix_table import decode_offsets, encode_offsets, offset_width

Tokens = npt.NDArray[np.unsignedinteger[Any]]

DTYPES = [np.uint8, np.uint16, np.uint32]
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def fibonacci(length: int) -> list[int]:
    a, b = [0], [0, 1]
    while len(b) < length:
        a, b = b, b + a
    return b[:length]


def texts(length: int) -> dict[str, list[int]]:
    """Texts that are hard in one way or another; ids are relative to the top of the range where negative."""
    rng = np.random.default_rng(7)
    top = [-1, -2, -1, -3]
    return {
        "empty": [],
        "one token": [3],
        "all equal": [5] * length,
        "all of the highest id": [-1] * length,
        "period two": [1, 0] * (length // 2),
        "rising": [*range(200)] * (length // 200 + 1),
        "falling": [*range(200)][::-1] * (length // 200 + 1),
        "Fibonacci": fibonacci(length),
        "a document repeated": rng.integers(0, 200, length // 5).tolist() * 5,
        "random over two ids": rng.integers(0, 2, length).tolist(),
        "random over many ids": rng.integers(-100, 100, length).tolist(),
        "ids at the top of the range": top * (length // 4),
        "empty documents": [-1, -1, -1, 4, -1, -1] * (length // 6),
    }


def as_tokens(ids: list[int], dtype: Any) -> Tokens:
    return np.array([i % (np.iinfo(dtype).max + 1) for i in ids], dtype)


@dtypes
@pytest.mark.parametrize("name", texts(0))
def test_hard_texts_sort_as_the_twin_sorts_them(name: str, dtype: Any) -> None:
    """The order of hard texts is that of sorting all suffixes by their bytes."""
    tokens = as_tokens(texts(400)[name], dtype)
    np.testing.assert_array_equal(suffix_array(tokens), reference.suffix_array(tokens))


@dtypes
@pytest.mark.parametrize("name", texts(0))
def test_long_hard_texts_are_in_order(name: str, dtype: Any) -> None:
    """Texts long enough for several levels of recursion and for every prefetch come out in order."""
    tokens = as_tokens(texts(60_000)[name], dtype)
    assert reference.is_suffix_array(tokens, suffix_array(tokens))


@given(
    st.lists(st.sampled_from([0, 1, 2, 254, 255, 256, 257, 65_534, 65_535, 2**24, 2**32 - 1]), max_size=60),
    st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=300)
def test_any_text_sorts_as_the_twin_sorts_it(ids: list[int], dtype: Any) -> None:
    """Ids whose bytes compare unlike their values, in any arrangement, are sorted by their bytes."""
    tokens = as_tokens(ids, dtype)
    np.testing.assert_array_equal(suffix_array(tokens), reference.suffix_array(tokens))


def test_the_order_is_of_bytes_low_byte_first() -> None:
    """256 comes before 1, whose low byte is the greater, and the separator of all ones comes last."""
    assert suffix_array(np.array([1, 65_535, 256], np.uint16)).tolist() == [2, 0, 1]


def test_sparse_32_bit_ids_are_sorted() -> None:
    """Ids anywhere in 32 bits are legal, many of them distinct."""
    tokens = np.random.default_rng(1).integers(0, 2**32, 20_000).astype(np.uint32)
    assert reference.is_suffix_array(tokens, suffix_array(tokens))


def test_read_only_tokens_are_accepted() -> None:
    """A mapped file gives arrays that cannot be written."""
    tokens = np.array([2, 1, 2], np.uint16)
    tokens.flags.writeable = False
    assert suffix_array(tokens).tolist() == [1, 2, 0]


@pytest.mark.parametrize("tokens", [np.zeros(3, np.int64), np.zeros((2, 2), np.uint16), np.zeros(9, np.uint16)[::2]])
def test_other_arrays_are_refused(tokens: Any) -> None:
    """Signed ids, two dimensions and strides are a TypeError, not a reinterpretation."""
    with pytest.raises(TypeError):
        suffix_array(tokens)


def test_the_check_notices_disorder() -> None:
    """`is_suffix_array` refuses swapped neighbours, repeated positions, a wrong length and positions outside."""
    tokens = np.array([1, 0, 1, 0, 2], np.uint16)
    good = suffix_array(tokens)
    assert reference.is_suffix_array(tokens, good)
    for i in range(len(good) - 1):
        swapped = good.copy()
        swapped[[i, i + 1]] = swapped[[i + 1, i]]
        assert not reference.is_suffix_array(tokens, swapped)
    assert not reference.is_suffix_array(tokens, good[[0, 0, 2, 3, 4]])
    assert not reference.is_suffix_array(tokens, good[:-1])
    assert not reference.is_suffix_array(tokens, good + 1)


@pytest.mark.parametrize(
    ("stream_bytes", "width"), [(0, 1), (1, 1), (256, 1), (258, 2), (65_538, 3), (1 << 32, 4), (1 << 33, 5)]
)
def test_offsets_are_as_wide_as_the_stream_needs(stream_bytes: int, width: int) -> None:
    """The width is the number of bytes of the greatest offset, as infini-gram chooses it."""
    assert offset_width(stream_bytes) == width


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8])
def test_offsets_are_read_as_they_were_written(width: int) -> None:
    """Encoding keeps positions at every width, in little-endian byte offsets."""
    positions = np.array([0, 1, 100, 2 ** (8 * width - 2) - 1 if width < 8 else 2**60], np.int64)
    table = encode_offsets(positions, 2, width)
    assert table.dtype == np.uint8
    assert table[2 * width : 3 * width].tolist() == [200, *[0] * (width - 1)]
    np.testing.assert_array_equal(decode_offsets(table, 2, width), positions)
