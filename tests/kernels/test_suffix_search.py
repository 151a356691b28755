"""Searching a suffix table: the twin over random and hard texts, and bytes that lie."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import DataLossError
from lodex.kernels import suffix_search_reference as reference
from lodex.kernels._suffix import END_OF_STREAM, CorruptTableError, SuffixTable
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width

Tokens = npt.NDArray[np.unsignedinteger[Any]]
DTYPES = [np.uint8, np.uint16, np.uint32]


def as_tokens(ids: Sequence[int], dtype: Any) -> Tokens:
    return np.array([i % (np.iinfo(dtype).max + 1) for i in ids], dtype)


def table_of(tokens: Tokens, width: int | None = None) -> npt.NDArray[np.uint8]:
    return encode_offsets(suffix_array(tokens), tokens.itemsize, width or offset_width(tokens.nbytes))


def batch(queries: Sequence[Sequence[int]], dtype: Any) -> tuple[Tokens, npt.NDArray[np.int64]]:
    flat = as_tokens([token for query in queries for token in query], dtype)
    return flat, np.cumsum([0, *map(len, queries)], dtype=np.int64)


def assert_same_answers(tokens: Tokens, queries: Sequence[Sequence[int]], width: int | None = None) -> None:
    table = table_of(tokens, width)
    fast, plain = SuffixTable(tokens, table), reference.SuffixTable(tokens, table)
    flat, offsets = batch(queries, tokens.dtype)
    begins, ends = fast.find(flat, offsets)
    for got, expected in zip((begins, ends), plain.find(flat, offsets), strict=True):
        np.testing.assert_array_equal(got, expected)
    depths = np.diff(offsets)
    for got, expected in zip(
        fast.next_tokens(begins, ends, depths), plain.next_tokens(begins, ends, depths), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        np.testing.assert_array_equal(fast.positions(begin, end), plain.positions(begin, end))


ids = st.sampled_from([0, 1, 2, 255, 256, -2, -1])


@given(
    text=st.lists(ids, max_size=50),
    queries=st.lists(st.lists(ids, max_size=7), max_size=8),
    cuts=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=4),
    dtype=st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=300)
def test_any_search_answers_as_the_twin_does(
    text: list[int], queries: list[list[int]], cuts: list[tuple[int, int]], dtype: Any
) -> None:
    """Ranges, longest suffixes, continuations and positions are those of looking at every suffix."""
    assert_same_answers(as_tokens(text, dtype), queries + [text[begin : begin + size] for begin, size in cuts])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "text",
    [[], [3], [5] * 200, [1, 0] * 100, [-1] * 30, [0, 0, 1, 0, 0, 1, 0] * 30, [*range(100)] * 2],
    ids=["empty", "one token", "all equal", "period two", "separators", "nearly periodic", "rising"],
)
def test_hard_texts_answer_as_the_twin_does(text: list[int], dtype: Any) -> None:
    """Queries of every length up to longer than the text, present and absent, over texts with long repeats."""
    queries = [text[start : start + size] for start in (0, 1, len(text) // 2) for size in (0, 1, 2, 3, 9, 50, 200)]
    queries += [[*query, 7] for query in queries] + [[7, *query] for query in queries] + [[*text, *text, 1]]
    assert_same_answers(as_tokens(text, dtype), queries)


@pytest.mark.parametrize("width", range(1, 9))
def test_tables_of_every_width_are_read(width: int) -> None:
    """Offsets of 1 to 8 bytes give the same answers: published tables have 4 or 5."""
    assert_same_answers(as_tokens([1, 2, 1, 2, 3, -1, 1, 2], np.uint16), [[], [1], [1, 2], [2, 3], [9]], width)


def test_a_table_ends_where_its_file_ends(tmp_path: Any) -> None:
    """Stream and table of whole pages, mapped, are searched to their last byte and not beyond."""
    tokens = np.random.default_rng(3).integers(0, 9, 4096).astype(np.uint16)
    tokens.tofile(tmp_path / "stream")
    table_of(tokens, 2).tofile(tmp_path / "sorted")
    mapped = SuffixTable(np.memmap(tmp_path / "stream", np.uint16, "r"), np.memmap(tmp_path / "sorted", np.uint8, "r"))
    flat, offsets = batch([tokens[-size:].tolist() for size in range(1, 20)] + [[8] * 40, [9]], np.uint16)
    begins, ends = mapped.find(flat, offsets)
    assert (begins < ends).tolist() == [True] * 19 + [False] * 2
    found, counts, _ = mapped.next_tokens(begins, ends, np.diff(offsets))
    assert (found == END_OF_STREAM).sum() == 19
    assert counts.sum() == (ends - begins).sum()


def test_searches_run_beside_each_other() -> None:
    """Threads share one table without its answers changing."""
    tokens = np.random.default_rng(5).integers(0, 20, 20_000).astype(np.uint16)
    table = SuffixTable(tokens, table_of(tokens))
    flat, offsets = batch([tokens[i : i + 1 + i % 6].tolist() for i in range(2_000)], np.uint16)
    expected = table.find(flat, offsets)
    answers: list[Any] = [None] * 4

    def work(i: int) -> None:
        answers[i] = table.find(flat, offsets)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_arrays_outlive_their_names() -> None:
    """A table keeps alive what it reads, and results own their memory."""
    tokens = np.arange(1000, dtype=np.uint16)
    table = SuffixTable(tokens, table_of(tokens))
    del tokens
    begins, ends = table.find(*batch([[999]], np.uint16))
    positions = table.positions(int(begins[0]), int(ends[0]))
    del table
    assert positions.tolist() == [999]


# ------------------------------------------------------------------------------------------ hostile input

TEXT = as_tokens([1, 2, 1, 2, 3], np.uint16)
ALL = (np.array([0]), np.array([5]))


@pytest.mark.parametrize("bad", [10, 11, 1, 3, 255], ids=["at the end", "past the end", "odd", "odd inside", "far"])
@pytest.mark.parametrize("rank", range(5))
def test_an_offset_that_is_no_tokens_raises(bad: int, rank: int) -> None:
    """Whoever follows an offset outside the stream, or inside a token, raises CorruptTableError naming the table."""
    sorted_bytes = table_of(TEXT)
    sorted_bytes[rank] = bad
    if rank == 0:  # the first of a page is read when the table is opened
        with pytest.raises(CorruptTableError, match=rf"segment x: entry 0 holds {bad}"):
            SuffixTable(TEXT, sorted_bytes, label="segment x")
        return
    table = SuffixTable(TEXT, sorted_bytes, label="segment x")
    with pytest.raises(CorruptTableError, match=rf"segment x: entry {rank} holds {bad}"):
        table.positions(0, 5)
    everything = batch([[], [1], [1, 2], [1, 2, 3], [2], [3], [4]], np.uint16)
    with pytest.raises(DataLossError):
        table.find(*everything)
    for begin in range(rank + 1):
        with pytest.raises(DataLossError):
            table.next_tokens(np.array([begin]), np.array([rank + 1]), np.array([0]))


@given(
    text=st.sampled_from([[1, 2, 1, 2, 3, 2, 1, 1, 2, -1], [1] * 40]),
    seed=st.integers(0, 2**32 - 1),
    queries=st.lists(st.one_of(st.lists(ids, max_size=6), st.integers(0, 50).map(lambda n: [1] * n)), max_size=6),
    depth=st.integers(0, 2**62),
)
@settings(deadline=None, max_examples=300)
def test_no_table_makes_a_search_crash(text: list[int], seed: int, queries: list[list[int]], depth: int) -> None:
    """Any bytes for a table, legal offsets in disorder among them, give an answer or CorruptTableError."""
    tokens = as_tokens(text, np.uint16)
    rng = np.random.default_rng(seed)
    disorder = encode_offsets(rng.permutation(len(tokens)), 2, 1)
    disorder[rng.integers(len(tokens))] ^= rng.choice([0, 0, 1, 128])
    flat, offsets = batch(queries, np.uint16)
    for search in (
        lambda table: table.find(flat, offsets),
        lambda table: table.next_tokens(np.array([0]), np.array([len(tokens)]), np.array([depth])),
    ):
        try:
            search(SuffixTable(tokens, disorder))
        except CorruptTableError:
            continue


@pytest.mark.parametrize("size", [0, 4, 6, 9, 45])
def test_a_table_of_another_size_is_refused(size: int) -> None:
    """The bytes of a table must be its tokens times a width of 1 to 8."""
    with pytest.raises(CorruptTableError, match="cannot belong"):
        SuffixTable(TEXT, np.zeros(size, np.uint8))


def test_an_empty_stream_needs_an_empty_table() -> None:
    """No tokens, no offsets: every n-gram is absent."""
    empty = np.empty(0, np.uint16)
    with pytest.raises(CorruptTableError):
        SuffixTable(empty, np.zeros(1, np.uint8))
    table = SuffixTable(empty, np.empty(0, np.uint8))
    assert len(table) == 0
    assert [ranks.tolist() for ranks in table.find(*batch([[], [1]], np.uint16))] == [[0, 0], [0, 0]]


@pytest.mark.parametrize("offsets", [[], [0, 3], [2, 1], [-1, 1], [1, 2, 1]])
def test_offsets_outside_the_queries_are_refused(offsets: list[int]) -> None:
    """A batch must lie inside its flat array, in order."""
    table = SuffixTable(TEXT, table_of(TEXT))
    with pytest.raises(ValueError, match="offsets"):
        table.find(np.array([1, 2], np.uint16), np.array(offsets, np.int64))


@pytest.mark.parametrize(("begin", "end"), [(-1, 2), (0, 6), (3, 2)])
def test_ranks_outside_the_table_are_refused(begin: int, end: int) -> None:
    """Ranges are checked before any is read."""
    table = SuffixTable(TEXT, table_of(TEXT))
    with pytest.raises(ValueError, match="ranks"):
        table.positions(begin, end)
    with pytest.raises(ValueError, match="ranks"):
        table.next_tokens(np.array([begin]), np.array([end]), np.array([0]))


def test_other_arrays_are_refused() -> None:
    """Queries must have the stream's dtype, depths must not be negative, ranges must come with depths."""
    table = SuffixTable(TEXT, table_of(TEXT))
    with pytest.raises(TypeError):
        table.find(np.array([1], np.uint32), np.array([0, 1]))
    with pytest.raises(TypeError):
        SuffixTable(np.zeros(3, np.int16), np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="depths"):
        table.next_tokens(*ALL, np.array([-1]))
    with pytest.raises(ValueError, match="length"):
        table.next_tokens(*ALL, np.array([0, 0]))
