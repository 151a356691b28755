"""The merge of suffix arrays: always what sorting the whole text gives, whatever repeats across the cut."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import DataLossError
from lodex.kernels import suffix_array_reference as reference
from lodex.kernels._suffix_merge import SuffixEntries, SuffixMerge, repeated_tail
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_merge import entries_of, merge_positions, merged_entries, sort_before
from lodex.kernels.suffix_table import encode_offsets, offset_width

Tokens = npt.NDArray[np.unsignedinteger[Any]]

DTYPES = [np.uint8, np.uint16, np.uint32]
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def stream(documents: list[list[int]], dtype: Any) -> Tokens:
    """Documents as they stand in a stream: each behind a separator with all bits set."""
    top = np.iinfo(dtype).max
    return np.array([i % (top + 1) for document in documents for i in (-1, *document)], dtype)


def merged(blocks: list[Tokens], whole: Tokens) -> npt.NDArray[np.int32]:
    """Fold blocks from the left, each sorted alone."""
    sorted_so_far, end = reference.suffix_array(blocks[0]), len(blocks[0])
    for block in blocks[1:]:
        cut, end = end, end + len(block)
        sorted_so_far = merge_positions(whole[:end], cut, sorted_so_far, reference.suffix_array(block))
    return sorted_so_far


def with_all_tails(tokens: Tokens, cut: int) -> npt.NDArray[np.int32]:
    """Merge with every suffix that occurs twice on the left taken as a tail, however many these are."""
    left, right = (entries_of(suffix_array(block)) for block in (tokens[:cut], tokens[cut:]))
    tail = repeated_tail(tokens[:cut], left, cut)
    merge = SuffixMerge(tokens, cut, left, right)
    ranks = merge.tail_ranks(tail)
    merge.start(sort_before(tokens[cut - tail : cut], tokens[cut : cut + 1], ranks, suffix_array))
    out = np.empty(4 * len(tokens), np.uint8)
    assert merge.read(out, 4, 1) == len(tokens)
    return out.view(np.int32)


ids = st.sampled_from([0, 0, 1, 2, 255, 256, -2])
documents = st.lists(st.lists(ids, max_size=6), max_size=4)


@given(st.lists(documents, min_size=1, max_size=6), st.sampled_from(DTYPES), st.integers(0, 3))
@settings(deadline=None, max_examples=250)
def test_blocks_of_documents_merge_as_they_sort(blocks: list[list[list[int]]], dtype: Any, copies: int) -> None:
    """Many small blocks, empty ones, empty and equal documents, token 0: folded, they are sorted as their text is."""
    blocks = blocks * (1 + copies)
    streams = [stream(block, dtype) for block in blocks]
    whole = np.concatenate(streams)
    np.testing.assert_array_equal(merged(streams, whole), reference.suffix_array(whole))


@given(st.lists(st.sampled_from([0, 1, 255, -1]), max_size=40), st.data(), st.sampled_from(DTYPES))
@settings(deadline=None, max_examples=250)
def test_any_text_cut_anywhere_merges_as_it_sorts(text: list[int], data: st.DataObject, dtype: Any) -> None:
    """The cut need not stand before a separator, and whole periods may be tails."""
    tokens = np.tile(np.array([i % (np.iinfo(dtype).max + 1) for i in text], dtype), data.draw(st.integers(1, 4)))
    cut = data.draw(st.integers(0, len(tokens)))
    np.testing.assert_array_equal(with_all_tails(tokens, cut), reference.suffix_array(tokens))


def long_texts(length: int) -> dict[str, npt.NDArray[np.int64]]:
    """Texts whose repeats are longer than any step of a merge, as ids; -1 is the separator."""
    rng = np.random.default_rng(7)
    words = rng.zipf(1.3, length) % 250
    words[:: length // 50] = -1
    fibonacci = [np.array([0]), np.array([0, 1])]
    while len(fibonacci[-1]) < length:
        fibonacci.append(np.concatenate(fibonacci[-2:][::-1]))
    return {
        "words": words,
        "all equal": np.full(length, 5),
        "separators": np.full(length, -1),
        "two ids in turn": np.tile([1, 0], length // 2),
        "a long period": np.tile(words[: length // 7], 7),
        "the second half again": np.concatenate([words[: length // 2]] * 2),
        "one document at every end": np.tile(np.concatenate([words[:2900], [-1], words[-700:]]), 4),
        "Fibonacci": fibonacci[-1][:length],
        "two ids at random": rng.integers(0, 2, length),
    }


@dtypes
@pytest.mark.parametrize("share", [0.0003, 0.29, 0.5, 0.97])
@pytest.mark.parametrize("name", long_texts(2000))
def test_long_texts_merge_as_they_sort(name: str, share: float, dtype: Any) -> None:
    """By whichever of its ways a merge goes, the result is the suffix array of the whole."""
    tokens = (long_texts(12_000)[name] % (np.iinfo(dtype).max + 1)).astype(dtype)
    cut = int(len(tokens) * share)
    expected = suffix_array(tokens)
    got = merge_positions(tokens, cut, suffix_array(tokens[:cut]), suffix_array(tokens[cut:]))
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(with_all_tails(tokens, cut), expected)


@given(st.lists(st.sampled_from([0, 1, 2]), max_size=30), st.integers(1, 3), st.integers(0, 100))
@settings(deadline=None)
def test_the_repeated_tail_is_the_longest_that_occurs_twice(text: list[int], copies: int, limit: int) -> None:
    """It is found by bisection; counting all places says the same."""
    tokens = np.array(text * copies, np.uint8)
    data = tokens.tobytes()
    longest = max((k for k in range(1, len(data) + 1) if data.find(data[-k:]) < len(data) - k), default=0)
    assert repeated_tail(tokens, entries_of(suffix_array(tokens)), limit) == min(longest, limit)


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("width", [3, 4, 5, 8])
def test_tables_merge_in_memory_and_in_files(width: int, in_files: bool, tmp_path: Path) -> None:
    """Entries are byte offsets of any width, read from arrays or files, and written the same way."""
    tokens = long_texts(14_000)["one document at every end"].astype(np.uint16)
    cut = 7_000
    sources: list[Any] = []
    for name, block in (("left", tokens[:cut]), ("right", tokens[cut:])):
        table = encode_offsets(suffix_array(block), 2, width)
        (tmp_path / name).write_bytes(table.tobytes())
        sources.append(SuffixEntries(str(tmp_path / name) if in_files else table, width, 2))
    pieces = merged_entries(tokens, cut, *sources, width=width, unit=2)
    table = np.concatenate([piece.copy() for piece in pieces])
    np.testing.assert_array_equal(table, encode_offsets(suffix_array(tokens), 2, width))
    assert offset_width(tokens.nbytes) <= width


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ([0, 1], [0, 1, 2], "cannot be those of a text of 6 tokens"),
        ([0, 1, 7], [0, 1, 2], "not a suffix of a block of 3 tokens"),
        ([0, 1, -1], [0, 1, 2], "not a suffix of a block of 3 tokens"),
        ([0, 1, 2], [0, 1, 9], "not a suffix of a block of 3 tokens"),
    ],
)
def test_entries_of_another_block_are_refused(left: list[int], right: list[int], message: str) -> None:
    """A wrong number of entries, or one outside the block, raises and reads nothing outside."""
    tokens = np.array([1, 2, 3, 4, 5, 6], np.uint16)
    entries = [entries_of(np.array(block, np.int32)) for block in (left, right)]
    with pytest.raises(DataLossError, match=message):
        with_entries(tokens, *entries)


def with_entries(tokens: Tokens, left: SuffixEntries, right: SuffixEntries) -> None:
    merge = SuffixMerge(tokens, 3, left, right)
    merge.tail_ranks(0)
    merge.start(np.empty(0, np.uint32))
    merge.read(np.empty(4 * len(tokens), np.uint8), 4, 1)


def test_entries_that_name_suffixes_twice_do_no_harm() -> None:
    """A block out of order gives a wrong order or an error, never a read outside the arrays."""
    tokens = long_texts(3000)["words"].astype(np.uint16)
    rng = np.random.default_rng(3)
    for _ in range(50):
        left, right = (rng.integers(0, 1500, 1500).astype(np.int32) for _ in range(2))
        with contextlib.suppress(DataLossError, ValueError):
            assert len(merge_positions(tokens, 1500, left, right)) == 3000


def test_a_file_that_shrinks_or_is_missing_is_reported_by_name(tmp_path: Path) -> None:
    """Errors of reading entries name the file."""
    with pytest.raises(DataLossError, match="absent"):
        SuffixEntries(str(tmp_path / "absent"), 4, 1)
    (tmp_path / "odd").write_bytes(b"12345")
    with pytest.raises(DataLossError, match="odd: 5 bytes"):
        SuffixEntries(str(tmp_path / "odd"), 4, 1)
    (tmp_path / "cut").write_bytes(np.arange(3000, dtype=np.int32).tobytes())
    tokens = np.arange(6000, dtype=np.uint16)
    left, right = (SuffixEntries(str(tmp_path / "cut"), 4, 1) for _ in range(2))
    (tmp_path / "cut").write_bytes(b"1234")
    with pytest.raises(DataLossError, match="cut ends early"):
        SuffixMerge(tokens, 3000, left, right)


def test_wrong_arguments_are_refused() -> None:
    """Dtypes, widths and a merge read before its start raise with what was wrong."""
    tokens = np.array([1, 2], np.uint16)
    entries = entries_of(np.array([0], np.int32))
    with pytest.raises(TypeError, match="uint8, uint16 or uint32"):
        SuffixMerge(tokens.astype(np.int64), 1, entries, entries)
    with pytest.raises(ValueError, match="1 to 8 bytes wide"):
        SuffixEntries(np.zeros(4, np.uint8), 9, 1)
    with pytest.raises(ValueError, match="unit"):
        SuffixEntries(np.zeros(4, np.uint8), 4, 3)
    with pytest.raises(ValueError, match="not started"):
        SuffixMerge(tokens, 1, entries, entries).read(np.empty(8, np.uint8), 4, 1)
    merge = SuffixMerge(tokens, 1, entries, entries)
    merge.tail_ranks(1)
    with pytest.raises(ValueError, match="as many tails"):
        merge.start(np.empty(0, np.uint32))
