"""Suffix sorting: the twin over small texts of every kind, a linear-time check over long ones."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.kernels import suffix_array_reference as reference
from lodex.kernels._suffix_sort import MAX_TOKENS, route, suffix_array
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


def passages(seed: int, length: int, ids: int = 150) -> list[int]:
    """Random ids among which passages are copied, runs of one id, and zeros here and there: what prose is like."""
    rng = np.random.default_rng(seed)
    text = rng.integers(0, ids, 40).tolist()
    while len(text) < length:
        kind = rng.integers(0, 8)
        if kind < 4:
            begin = rng.integers(0, len(text))
            text += text[begin : begin + rng.integers(1, 60)]
        elif kind < 6:
            text += rng.integers(0, ids, rng.integers(1, 30)).tolist()
        else:
            text += [int(rng.integers(0, ids)) if kind == 6 else 0] * int(rng.integers(1, 20))
    return text


def repeated(times: int, length: int = 600, ids: int = 200) -> list[int]:
    return np.random.default_rng(3).integers(0, ids, length).tolist() * times


ROUTES = {
    "prose": ("two-stage", passages(1, 20_000)),
    "a document of three copies": ("two-stage", repeated(3)),
    "random ids": ("two-stage", np.random.default_rng(5).integers(0, 250, 20_000).tolist()),
    "one id": ("two-stage", [7] * 5_000),
    "a document of twelve copies": ("reduced", repeated(12)),
    "a document of forty copies": ("reduced", repeated(40)),
    "rising ramps": ("reduced", [*range(250)] * 40),
    "two long runs": ("two-stage", [9, *[7] * 3_000, 9, *range(20, 60), 9, *[7] * 3_000, 9, 9]),
    "long runs": ("reduced", [9, *[5] * 200] * 60),
    "falling ramps": ("reduced", [*range(250)][::-1] * 40),
    "period two": ("induced", [1, 0] * 5_000),
    "random over four ids": ("induced", np.random.default_rng(5).integers(0, 4, 20_000).tolist()),
    "Fibonacci": ("induced", fibonacci(20_000)),
    "fifteen tokens": ("induced", [*range(15)]),
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


@dtypes
@pytest.mark.parametrize("name", ROUTES)
def test_every_route_sorts(name: str, dtype: Any) -> None:
    """Texts that are sorted in two stages, by induction, or by the string of names, are sorted that way and rightly."""
    expected, ids = ROUTES[name]
    tokens = as_tokens(ids, dtype)
    assert route(tokens) == expected
    assert reference.is_suffix_array(tokens, suffix_array(tokens))


@dtypes
@pytest.mark.parametrize("seed", range(5))
def test_texts_like_prose_sort_as_the_twin_sorts_them(seed: int, dtype: Any) -> None:
    """Copied passages, runs and zeros, cut anywhere, are sorted as the twin sorts them."""
    tokens = as_tokens(passages(seed, 500), dtype)
    for end in range(len(tokens) - 20, len(tokens)):
        part = tokens[:end].copy()
        assert route(part) == "two-stage"
        np.testing.assert_array_equal(suffix_array(part), reference.suffix_array(part))


@dtypes
@pytest.mark.parametrize("zeros", range(30))
def test_an_ending_text_is_not_a_text_of_zeros(zeros: int, dtype: Any) -> None:
    """A suffix that ends is smaller than one that goes on with token 0, however often it does."""
    tail = [90, 20, 30]
    ids = [*range(40, 90), *tail, *[0] * 40, 1, *range(100, 140), *tail, *[0] * 20, 5, *tail, 3, *tail, *[0] * zeros]
    tokens = as_tokens(ids, dtype)
    assert route(tokens) == "two-stage"
    np.testing.assert_array_equal(suffix_array(tokens), reference.suffix_array(tokens))


@dtypes
@pytest.mark.parametrize("same", [0, 1, 2, 5, 10, 11])
def test_large_buckets_are_sorted_to_the_last_byte_of_a_key(same: int, dtype: Any) -> None:
    """1,500 suffixes that begin alike and differ in one byte, wherever it lies in the keys that are compared."""
    rng = np.random.default_rng(same)
    step = 256 if dtype == np.uint16 else 1
    ids = [i for x in rng.integers(100, 200, 1_500).tolist() for i in (250, 1, *range(2, 2 + same), x * step + 7)]
    tokens = as_tokens(ids, dtype)
    assert reference.is_suffix_array(tokens, suffix_array(tokens))


@given(
    st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=25), min_size=2, max_size=8),
    st.lists(st.integers(0, 7), min_size=4, max_size=40),
    st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=300)
def test_any_arrangement_of_passages_sorts_as_the_twin_sorts_it(
    pieces: list[list[int]], arrangement: list[int], dtype: Any
) -> None:
    """Few passages in any order, each many times: ties of every length and depth."""
    ids = [i for piece in arrangement for i in pieces[piece % len(pieces)]]
    tokens = as_tokens([i * 257 for i in ids] if dtype == np.uint16 else ids, dtype)
    np.testing.assert_array_equal(suffix_array(tokens), reference.suffix_array(tokens))


@dtypes
@pytest.mark.parametrize("name", [name for name in ROUTES if ROUTES[name][0] != "induced"])
def test_threads_do_not_change_the_answer(name: str, dtype: Any) -> None:
    """One, two, four and more threads than there are buckets to share give the same positions."""
    tokens = as_tokens(ROUTES[name][1], dtype)
    expected = suffix_array(tokens).tobytes()
    for threads in (2, 4, 100):
        assert suffix_array(tokens, threads=threads).tobytes() == expected


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(threads: int) -> None:
    """The number of threads is a positive number."""
    with pytest.raises(ValueError, match="threads must be at least 1"):
        suffix_array(np.zeros(3, np.uint16), threads)


def test_positions_fit_32_bits() -> None:
    """The longest stream that can be sorted is what int32 positions can tell."""
    assert np.iinfo(np.int32).max == MAX_TOKENS


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
