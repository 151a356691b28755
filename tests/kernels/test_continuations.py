"""Counting what stands before and behind n-grams: the twin over random corpora, and bytes that lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import DataLossError
from lodex.kernels._continuations import CorruptContinuationsError, SignedTable, followers, survey
from lodex.kernels._suffix import SuffixTable
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.continuations_reference import Continuations, Ngram
from lodex.kernels.suffix_table import encode_offsets, offset_width

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Document = Sequence[int]
DTYPES = [np.uint8, np.uint16, np.uint32]
# Ids whose order as numbers is not that of their bytes, below a vocabulary that every dtype can hold or is cut to.
IDS = [0, 1, 2, 250, 256, 513]


def vocab_size_of(dtype: Any) -> int:
    return 251 if dtype == np.uint8 else 514


def stream_of(documents: Sequence[Document], dtype: Any) -> Tokens:
    separator = np.iinfo(dtype).max
    flat = [token for document in documents for token in (separator, *(i % vocab_size_of(dtype) for i in document))]
    return np.array(flat, dtype)


def bytes_of_table(tokens: Tokens, width: int | None = None) -> npt.NDArray[np.uint8]:
    return encode_offsets(suffix_array(tokens), tokens.itemsize, width or offset_width(tokens.nbytes))


def signed(tokens: Tokens, sign: int = 1, width: int | None = None) -> SignedTable:
    return SignedTable(tokens, bytes_of_table(tokens, width), sign)


def surveyed(tables: Sequence[SignedTable], dtype: Any, order: int, frequent: int) -> tuple[Any, dict[Ngram, Any]]:
    """The counts of counts, and for each frequent context what follows."""
    sizes, contexts, bounds, tokens, counts, offsets = survey(tables, vocab_size_of(dtype), order, frequent)
    found = {
        tuple(contexts[bounds[i] : bounds[i + 1]].tolist()): dict(
            zip(tokens[offsets[i] : offsets[i + 1]].tolist(), counts[offsets[i] : offsets[i + 1]].tolist(), strict=True)
        )
        for i in range(len(bounds) - 1)
    }
    assert len(found) == len(bounds) - 1, "a context comes once"
    for i in range(len(offsets) - 1):
        assert (np.diff(tokens[offsets[i] : offsets[i + 1]]) > 0).all()
    return sizes.reshape(order, 4).tolist(), found


def found_followers(streams: Sequence[Tokens], signs: Sequence[int], contexts: Sequence[Ngram], order: int) -> Any:
    """What `followers` says of each context."""
    dtype = streams[0].dtype
    separator = int(np.iinfo(dtype).max)
    flat = np.array([token for context in contexts for token in context], dtype)
    offsets = np.cumsum([0, *map(len, contexts)], dtype=np.int64)
    ranks = [SuffixTable(tokens, bytes_of_table(tokens)).find(flat, offsets) for tokens in streams]
    occurrences = np.array([len(c) == order - 1 or c[:1] == (separator,) for c in contexts], np.bool_)
    tokens, counts, bounds = followers(
        [signed(stream, sign) for stream, sign in zip(streams, signs, strict=True)],
        np.stack([begins for begins, _ in ranks]),
        np.stack([ends for _, ends in ranks]),
        np.diff(offsets),
        occurrences,
    )
    return [
        list(zip(tokens[begin:end].tolist(), counts[begin:end].tolist(), strict=True))
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def assert_same_counts(streams: Sequence[Tokens], signs: Sequence[int], order: int, frequent: int) -> None:
    plain = Continuations(streams, signs)
    tables = [signed(stream, sign) for stream, sign in zip(streams, signs, strict=True)]
    sizes, contexts = surveyed(tables, streams[0].dtype, order, frequent)
    assert sizes == plain.counts_of_counts(order)
    expected: dict[Ngram, dict[int, int]] = {(): plain.followers(0, order).get((), {})}
    for length in range(1, order):
        behind = plain.followers(length, order)
        occurrences = starting(plain, length)
        expected |= {context: behind[context] for context in behind if occurrences[context] >= frequent}
        found = found_followers(streams, signs, list(behind), order)
        assert found == [list(behind[context].items()) for context in behind]
    assert contexts == expected


def starting(plain: Continuations, length: int) -> Any:
    """Occurrences of contexts, of which a separator alone is the one that starts a document."""
    found = plain.occurrences(length)
    if length == 1:
        found[(plain.separator,)] = sum(times for document, times in plain._documents.items())
    return found


documents = st.lists(st.lists(st.sampled_from(IDS), max_size=8), max_size=6)


@given(
    tables=st.lists(documents, min_size=1, max_size=3),
    deleted=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 5))),
    order=st.integers(1, 6),
    frequent=st.integers(0, 6),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=600, deadline=None)
def test_counts_are_those_of_the_plain_twin(
    tables: list[list[Document]], deleted: set[tuple[int, int]], order: int, frequent: int, dtype: Any
) -> None:
    """Counts of counts and what follows every context, over several tables from which documents are subtracted."""
    streams, signs = [stream_of(table, dtype) for table in tables], [1] * len(tables)
    for i, table in enumerate(tables):
        if minus := [document for row, document in enumerate(table) if (i, row) in deleted]:
            streams.append(stream_of(minus, dtype))
            signs.append(-1)
    assert_same_counts(streams, signs, order, frequent)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "tables",
    [
        [[]],
        [[[]]],
        [[[], [], []]],
        [[[1] * 200]],
        [[[1, 2] * 100], [[2, 1] * 50, []]],
        [[[0, 1, 2]] * 50],
    ],
    ids=["nothing", "one empty document", "empty documents", "one token", "two tokens", "one document repeated"],
)
def test_uniform_corpora_are_counted(tables: list[list[Document]], dtype: Any) -> None:
    """Corpora without documents, without tokens and of a few n-grams alone."""
    streams = [stream_of(table, dtype) for table in tables]
    for order in (1, 2, 5):
        assert_same_counts(streams, [1] * len(streams), order, 3)


def test_all_documents_may_be_subtracted() -> None:
    """What is left is a corpus without documents."""
    tokens = stream_of([[1, 2, 1], [2]], np.uint16)
    sizes, contexts = surveyed([signed(tokens), signed(tokens, -1)], np.uint16, 3, 0)
    assert sizes == [[0] * 4] * 3
    assert contexts == {(): {}}


@pytest.mark.parametrize("width", range(1, 9))
def test_tables_of_every_width_are_read(width: int) -> None:
    """Offsets of 1 to 8 bytes."""
    tokens = stream_of([[1, 2, 1], [2]], np.uint16)
    expected = surveyed([signed(tokens)], np.uint16, 3, 0)
    assert surveyed([signed(tokens, width=width)], np.uint16, 3, 0) == expected


# ------------------------------------------------------------------------------------------ hostile input


def test_a_table_of_another_size_is_refused() -> None:
    """A table must have an entry for every token, of whole bytes."""
    tokens = stream_of([[1, 2, 1]], np.uint16)
    with pytest.raises(CorruptContinuationsError, match="books: a table of 3 bytes cannot belong to a stream of 4"):
        SignedTable(tokens, bytes_of_table(tokens)[:-1], 1, "books")
    assert issubclass(CorruptContinuationsError, DataLossError)


@pytest.mark.parametrize("entry", [3, 8, 255])
def test_an_offset_of_no_token_is_refused(entry: int) -> None:
    """Offsets between tokens and behind the stream are never followed."""
    tokens = stream_of([[1, 2, 1]], np.uint16)
    table = bytes_of_table(tokens).copy()
    table[1] = entry
    with pytest.raises(CorruptContinuationsError, match=f"entry 1 holds {entry}"):
        survey([SignedTable(tokens, table)], 3, 2, 0)
    begins, ends = np.zeros((1, 1), np.int64), np.full((1, 1), 4)
    with pytest.raises(CorruptContinuationsError, match=f"entry 1 holds {entry}"):
        followers([SignedTable(tokens, table)], begins, ends, np.ones(1, np.int64), np.zeros(1, np.bool_))


def test_entries_out_of_order_are_refused() -> None:
    """A pass over a table notices that its order is wrong."""
    tokens = stream_of([[1, 2, 1, 3]], np.uint16)
    table = bytes_of_table(tokens)[::-1].copy()
    with pytest.raises(CorruptContinuationsError, match="out of order"):
        survey([SignedTable(tokens, table)], 4, 2, 0)


def test_a_token_outside_the_vocabulary_is_refused() -> None:
    """The error names the token."""
    tokens = stream_of([[1, 2, 7]], np.uint16)
    with pytest.raises(CorruptContinuationsError, match=r"token 7 .* \[0, 7\)"):
        survey([signed(tokens)], 7, 2, 0)
    survey([signed(tokens)], 8, 2, 0)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_documents_subtracted_from_nowhere_are_refused(order: int) -> None:
    """A count below zero is no count."""
    tables = [signed(stream_of([[1, 2]], np.uint16)), signed(stream_of([[1, 3]], np.uint16), -1)]
    with pytest.raises(CorruptContinuationsError, match="subtracted that no table holds"):
        survey(tables, 4, order, 0)
    ranks = np.array([[0], [0]]), np.array([[3], [3]])
    with pytest.raises(CorruptContinuationsError, match="subtracted that no table holds"):
        followers(tables, *ranks, np.ones(1, np.int64), np.zeros(1, np.bool_))


def test_arguments_are_checked() -> None:
    """Signs, orders, dtypes, shapes and ranks."""
    tokens = stream_of([[1, 2]], np.uint16)
    table = signed(tokens)
    zeros, one, flags = np.zeros((1, 1), np.int64), np.ones(1, np.int64), np.zeros(1, np.bool_)
    with pytest.raises(ValueError, match="sign must be 1 or -1"):
        signed(tokens, 0)
    for order in (0, 256):
        with pytest.raises(ValueError, match="order must be between 1 and 255"):
            survey([table], 3, order, 0)
    with pytest.raises(ValueError, match="at least one table"):
        survey([], 3, 2, 0)
    with pytest.raises(TypeError, match="one dtype"):
        survey([table, signed(stream_of([[1]], np.uint32))], 3, 2, 0)
    with pytest.raises(TypeError, match="uint8, uint16 or uint32"):
        SignedTable(np.zeros(1, np.uint64), np.zeros(1, np.uint8))
    with pytest.raises(ValueError, match=r"ranks \[0, 4\) are not in a table of 3"):
        followers([table], zeros, zeros + 4, one, flags)
    with pytest.raises(ValueError, match="depths must not be negative"):
        followers([table], zeros, zeros + 1, -one, flags)
    with pytest.raises(ValueError, match=r"\(tables, contexts\)"):
        followers([table, table], zeros, zeros, one, flags)
