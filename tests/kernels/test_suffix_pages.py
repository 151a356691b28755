"""Page keys: the twin, searches with them against searches without, and bytes that lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import DataLossError
from lodex.kernels import suffix_pages_reference
from lodex.kernels import suffix_search_reference as reference
from lodex.kernels._suffix import Corpus, CorruptTableError, SuffixTable
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_pages import page_keys
from lodex.kernels.suffix_table import encode_offsets, offset_width

Tokens = npt.NDArray[np.unsignedinteger[Any]]
DTYPES = [np.uint8, np.uint16, np.uint32]


def as_tokens(ids: Sequence[int], dtype: Any) -> Tokens:
    return np.array([i % (np.iinfo(dtype).max + 1) for i in ids], dtype)


def table_of(tokens: Tokens) -> npt.NDArray[np.uint8]:
    return encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes))


def open_both(tokens: Tokens) -> tuple[SuffixTable, SuffixTable]:
    """A table as it is, and with page keys."""
    table = table_of(tokens)
    plain = SuffixTable(tokens, table)
    return plain, SuffixTable(tokens, table, page_keys=page_keys(plain, tokens.itemsize))


def find_one(table: SuffixTable, query: Sequence[int], dtype: Any) -> tuple[int, int]:
    begins, ends = table.find(as_tokens(query, dtype), np.array([0, len(query)]))
    return int(begins[0]), int(ends[0])


def assert_same_answers(tokens: Tokens, queries: Sequence[Sequence[int]]) -> None:
    plain, keyed = open_both(tokens)
    corpora = [Corpus([table], [1], closed=False) for table in (plain, keyed)]
    for query in queries:
        ids = as_tokens(query, tokens.dtype)
        begin, end = find_one(plain, query, tokens.dtype)
        assert find_one(keyed, query, tokens.dtype) == (begin, end)
        asked = np.array([begin]), np.array([end]), np.array([len(query)])
        for got, expected in zip(keyed.next_tokens(*asked), plain.next_tokens(*asked), strict=True):
            np.testing.assert_array_equal(got, expected)
        half = len(ids) // 2
        assert corpora[1].prob(ids[:half], ids[half:]) == corpora[0].prob(ids[:half], ids[half:])


def few_reads(tokens: Tokens, *, with_keys: bool = True) -> SuffixTable:
    """A table for files that are not in memory."""
    table = table_of(tokens)
    keys = page_keys(SuffixTable(tokens, table), tokens.itemsize) if with_keys else None
    return SuffixTable(tokens, table, page_keys=keys, few_reads=True)


def pieces(tokens: Tokens, rng: np.random.Generator, number: int, longest: int = 70) -> list[list[int]]:
    """Runs of a text, half of them with another token at the end."""
    found = []
    for i in range(number):
        begin = int(rng.integers(len(tokens)))
        run = tokens[begin : begin + int(rng.integers(1, longest))].tolist()
        if i % 2:
            run[-1] += int(rng.choice([-1, 1]))
        found.append(run)
    return found


ids = st.sampled_from([0, 1, 2, 255, 256, -2, -1])
texts = st.one_of(
    st.lists(ids, max_size=60),
    st.tuples(st.lists(ids, min_size=1, max_size=5), st.integers(1, 400)).map(lambda both: both[0] * both[1]),
)


@given(text=texts, dtype=st.sampled_from(DTYPES))
@settings(deadline=None, max_examples=100)
def test_the_file_is_that_of_the_twin(text: list[int], dtype: Any) -> None:
    """Keys of suffixes and of pages are what writing every suffix out gives."""
    tokens = as_tokens(text, dtype)
    table = table_of(tokens)
    expected = suffix_pages_reference.page_keys(tokens, table)
    np.testing.assert_array_equal(page_keys(SuffixTable(tokens, table), tokens.itemsize), expected)


@given(
    text=texts,
    queries=st.lists(st.lists(ids, max_size=40), max_size=8),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 60), ids), max_size=6),
    dtype=st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=300)
def test_any_search_answers_as_the_twin_does(
    text: list[int], queries: list[list[int]], cuts: list[tuple[int, int, int]], dtype: Any
) -> None:
    """One by one, queries of any length have the ranges that looking at every suffix gives."""
    tokens = as_tokens(text, dtype)
    runs = [text[begin % (len(text) + 1) :][:size] for begin, size, _ in cuts]
    _, keyed = open_both(tokens)
    plain = reference.SuffixTable(tokens, table_of(tokens))
    for query in [*queries, *runs, *([*run, token] for run, (_, _, token) in zip(runs, cuts, strict=True))]:
        begins, ends = plain.find(as_tokens(query, dtype), np.array([0, len(query)]))
        assert find_one(keyed, query, dtype) == (begins[0], ends[0])
        depths = np.array([len(query)])
        for got, expected in zip(
            keyed.next_tokens(begins, ends, depths), plain.next_tokens(begins, ends, depths), strict=True
        ):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("letters", [1, 2, 3, 20, 250])
def test_searches_over_many_pages_are_the_same(letters: int, dtype: Any) -> None:
    """Pages are crossed, skipped and shared: few letters make keys equal over many of them."""
    rng = np.random.default_rng(letters)
    tokens = rng.integers(0, letters, 12_000).astype(dtype)
    assert_same_answers(tokens, [[], *pieces(tokens, rng, 600), *([letter] for letter in range(letters + 1))])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "text",
    [
        [0] * 6_000,
        [-1] * 6_000,
        [0, 0, 1] * 2_000,
        [*([3] * 300), 4] * 20,
        [*range(100)] * 60,
        [*([0] * 3_000), 1, *([0] * 3_000)],
    ],
    ids=["zeros", "separators", "nearly periodic", "runs", "rising", "one among zeros"],
)
def test_hard_texts_are_searched_the_same(text: list[int], dtype: Any) -> None:
    """Runs longer than a key can say, and pages of nothing else, fall back to the text."""
    tokens = as_tokens(text, dtype)
    rng = np.random.default_rng(1)
    queries = pieces(tokens, rng, 60, 60) + pieces(tokens, rng, 20, len(text) // 2)
    tails = [tokens[-size:].tolist() for size in (1, 2, 7, 8, 14, 15, 16, 28, 29, 300)]
    assert_same_answers(tokens, [*queries, *tails, *([*tail, 0] for tail in tails)])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_beside_a_table_of_first_tokens_searches_are_the_same(dtype: Any) -> None:
    """Keys in memory that begin behind the first token leave the same pages to be searched."""
    rng = np.random.default_rng(5)
    tokens = (rng.zipf(1.3, 150_000) % 250).astype(np.uint8).astype(dtype)
    plain, keyed = open_both(tokens)
    if dtype == np.uint8:
        assert len(plain.top[0])
    for query in pieces(tokens, rng, 3_000, 12):
        assert find_one(keyed, query, dtype) == find_one(plain, query, dtype)


def test_batches_answer_as_single_queries_do() -> None:
    """A batch does not need the keys, and gives what they give."""
    rng = np.random.default_rng(7)
    tokens = rng.integers(0, 9, 5_000).astype(np.uint16)
    _, keyed = open_both(tokens)
    queries = pieces(tokens, rng, 200, 20)
    flat = as_tokens([token for query in queries for token in query], np.uint16)
    begins, ends = keyed.find(flat, np.cumsum([0, *map(len, queries)], dtype=np.int64))
    assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == [
        find_one(keyed, query, np.uint16) for query in queries
    ]


@pytest.mark.parametrize("with_keys", [True, False])
@pytest.mark.parametrize("letters", [1, 3, 40])
def test_a_table_for_cold_files_answers_the_same(letters: int, with_keys: bool) -> None:
    """Batches, longest matches and longest suffixes are those of a table in memory."""
    rng = np.random.default_rng(letters)
    tokens = rng.integers(0, letters, 3_000).astype(np.uint16)
    cold = few_reads(tokens, with_keys=with_keys)
    plain = SuffixTable(tokens, table_of(tokens))
    queries = [[], *pieces(tokens, rng, 200, 40)]
    flat = as_tokens([token for query in queries for token in query], np.uint16)
    offsets = np.cumsum([0, *map(len, queries)], dtype=np.int64)
    np.testing.assert_array_equal(cold.find(flat, offsets), plain.find(flat, offsets))
    for closed in (True, False):
        fast, slow = (Corpus([table], [1], closed) for table in (cold, plain))
        np.testing.assert_array_equal(fast.match_lengths(flat[:500]), slow.match_lengths(flat[:500]))
        np.testing.assert_array_equal(fast.longest_suffix_many(flat, offsets), slow.longest_suffix_many(flat, offsets))


def test_an_empty_table_has_keys() -> None:
    """No suffixes, no keys: every query is absent."""
    plain, keyed = open_both(np.empty(0, np.uint16))
    assert find_one(keyed, [1], np.uint16) == find_one(plain, [1], np.uint16) == (0, 0)


# ------------------------------------------------------------------------------------------ hostile input


@given(
    seed=st.integers(0, 2**32 - 1),
    text=st.sampled_from([[1, 2, 3, 1, 2] * 300, [7] * 1_500, [*range(250)] * 6]),
    query=st.lists(ids, max_size=9),
    dtype=st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=200)
def test_no_keys_make_a_search_crash(seed: int, text: list[int], query: list[int], dtype: Any) -> None:
    """Any bytes behind the header give some range of the table."""
    tokens = as_tokens(text, dtype)
    table = table_of(tokens)
    keys = page_keys(SuffixTable(tokens, table), tokens.itemsize)
    rng = np.random.default_rng(seed)
    keys[512:] = (
        rng.integers(0, 256, len(keys) - 512) if seed % 2 else rng.choice([0, 9, 17, 254, 255], len(keys) - 512)
    )
    wrong = SuffixTable(tokens, table, page_keys=keys)
    for asked in [query, *pieces(tokens, rng, 4)]:
        begin, end = find_one(wrong, asked, dtype)
        assert 0 <= begin <= end <= len(tokens)
        _, counts, _ = wrong.next_tokens(np.array([begin]), np.array([end]), np.array([len(asked)]))
        assert counts.sum() == end - begin
        Corpus([wrong], [1], closed=bool(seed % 3)).next_tokens(as_tokens(asked, dtype))


@pytest.mark.parametrize("change", [-1, 1, -512, 4096])
def test_keys_of_another_size_are_refused(change: int) -> None:
    """A header, a byte for each suffix and one for each page, or CorruptTableError naming the table."""
    tokens = np.arange(2_000, dtype=np.uint16)
    table = table_of(tokens)
    keys = np.resize(page_keys(SuffixTable(tokens, table), 2), 512 + 2_000 + 4 + change)
    with pytest.raises(CorruptTableError, match=rf"segment x: page keys of {2516 + change} bytes.*2516"):
        SuffixTable(tokens, table, label="segment x", page_keys=keys)


@pytest.mark.parametrize("at", [0, 7, 8, 16, 24, 32])
def test_keys_of_another_kind_are_refused(at: int) -> None:
    """Magic, version, width, length and page of the header must be the table's."""
    tokens = np.arange(2_000, dtype=np.uint16)
    table = table_of(tokens)
    keys = page_keys(SuffixTable(tokens, table), 2)
    keys[at] ^= 1
    with pytest.raises(CorruptTableError, match="page keys"):
        SuffixTable(tokens, table, page_keys=keys)


def test_a_table_that_lies_raises() -> None:
    """Keys do not spare an offset its check."""
    tokens = np.zeros(1_000, np.uint16)
    table = table_of(tokens)
    keys = page_keys(SuffixTable(tokens, table), 2)
    table.reshape(-1, 2)[1:] = 255
    with pytest.raises(DataLossError, match="holds 65535"):
        find_one(SuffixTable(tokens, table, page_keys=keys), [0] * 7, np.uint16)
    with pytest.raises(DataLossError, match="holds 65535"):
        SuffixTable(tokens, table).shared_bits(0, 1_000)


def test_other_ranks_are_refused() -> None:
    """Keys are made of ranks of the table."""
    with pytest.raises(ValueError, match="ranks"):
        SuffixTable(np.arange(9, dtype=np.uint16), table_of(np.arange(9, dtype=np.uint16))).shared_bits(3, 10)
