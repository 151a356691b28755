"""Sparse embeddings in Arrow: there and back, over a file, and hostile batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lodex.embed.sparse.arrow import from_arrow, sparse_schema, to_arrow
from lodex.errors import DataLossError
from lodex.types import SparseEmbeddings


def embeddings() -> SparseEmbeddings:
    """Four texts, the second without a term."""
    return SparseEmbeddings(
        indptr=np.array([0, 2, 2, 3, 6]),
        ids=np.array([3, 99, 0, 1, 3, 50], np.uint32),
        weights=np.array([0.5, 1.5, 2, 0.25, 3, 4], np.float32),
        vocab_size=100,
        truncated=np.array([False, True, False, True]),
        tokens=42,
        fingerprint="abc",
        token_counts=np.array([10, 30, 1, 1]),
    )


def assert_equal(a: SparseEmbeddings, b: SparseEmbeddings) -> None:
    for name in ("indptr", "ids", "weights", "truncated", "token_counts"):
        found, expected = getattr(a, name), getattr(b, name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert (a.vocab_size, a.tokens, a.fingerprint) == (b.vocab_size, b.tokens, b.fingerprint)


def test_there_and_back() -> None:
    batch = to_arrow(embeddings())
    assert batch.column("ids").to_pylist() == [[3, 99], [], [0], [1, 3, 50]]
    assert batch.column("weights").to_pylist() == [[0.5, 1.5], [], [2], [0.25, 3, 4]]
    assert_equal(from_arrow(batch), embeddings())


def test_nothing_is_copied_on_the_way_to_arrow() -> None:
    """The arrays of the matrix are the buffers of the columns."""
    one = embeddings()
    batch = to_arrow(one)
    assert batch.column("ids").values.buffers()[1].address == one.ids.ctypes.data
    assert batch.column("weights").values.buffers()[1].address == one.weights.ctypes.data


def test_rows_are_told_by_texts() -> None:
    one = embeddings()
    assert len(one) == 4
    assert [row.tolist() for row in one.row(3)] == [[1, 3, 50], [0.25, 3, 4]]
    assert [row.tolist() for row in one.row(1)] == [[], []]


def test_a_slice_begins_at_zero() -> None:
    """Offsets of a slice are those of the whole; its rows are not."""
    part = from_arrow(to_arrow(embeddings()).slice(2, 2))
    assert part.indptr.tolist() == [0, 1, 4]
    assert part.ids.tolist() == [0, 1, 3, 50]
    assert part.truncated.tolist() == [False, True]
    assert part.tokens == 2


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_empty_rows(count: int) -> None:
    one = SparseEmbeddings(
        np.zeros(count + 1, np.int64), np.empty(0, np.uint32), np.empty(0, np.float32), 7, np.zeros(count, np.bool_)
    )
    again = from_arrow(to_arrow(one))
    assert len(again) == count
    assert again.token_counts.tolist() == [0] * count


def test_parquet_keeps_it(tmp_path: Path) -> None:
    """Rows, types, vocabulary and fingerprint."""
    pq.write_table(pa.Table.from_batches([to_arrow(embeddings())]), tmp_path / "sparse.parquet")
    (batch,) = pq.read_table(tmp_path / "sparse.parquet").combine_chunks().to_batches()
    assert_equal(from_arrow(batch), embeddings())


def test_what_is_not_told_is_zero() -> None:
    """An embedder that does not count tokens."""
    one = embeddings()
    bare = SparseEmbeddings(one.indptr, one.ids, one.weights, one.vocab_size, one.truncated, fingerprint="x")
    assert from_arrow(to_arrow(bare)).token_counts.tolist() == [0, 0, 0, 0]


def lists(values: list[int] | list[float], offsets: list[int], kind: pa.DataType) -> pa.Array:
    """Without the checks of `from_arrays`."""
    column = pa.large_list(pa.field("item", kind, nullable=False))
    places = pa.py_buffer(np.array(offsets, np.int64).tobytes())
    return pa.Array.from_buffers(column, len(offsets) - 1, [None, places], children=[pa.array(values, kind)])


def hostile(
    ids: list[int], weights: list[float], offsets: list[int], other: list[int] | None = None, vocab_size: int = 100
) -> pa.RecordBatch:
    rows = len(offsets) - 1
    columns = [
        lists(ids, offsets, pa.uint32()),
        lists(weights, other or offsets, pa.float32()),
        pa.array([False] * rows),
        pa.array([1] * rows, pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=sparse_schema(vocab_size, "abc"))


@pytest.mark.parametrize(
    ("batch", "complaint"),
    [
        (lambda: hostile([5, 4], [1, 1], [0, 2]), "do not ascend"),
        (lambda: hostile([4, 4], [1, 1], [0, 2]), "do not ascend"),
        (lambda: hostile([4, 100], [1, 1], [0, 2]), "the id 100 of a vocabulary of 100"),
        (lambda: hostile([4, 5], [1, 0], [0, 2]), "not a finite number above 0"),
        (lambda: hostile([4, 5], [1, -1], [0, 2]), "not a finite number above 0"),
        (lambda: hostile([4, 5], [1, np.nan], [0, 2]), "not a finite number above 0"),
        (lambda: hostile([4, 5], [1, np.inf], [0, 2]), "not a finite number above 0"),
        (lambda: hostile([4, 5, 6], [1, 1, 1], [0, 1, 3], [0, 2, 3]), "another number of ids than of weights"),
        (lambda: hostile([4, 5, 6], [1, 1, 1], [0, 3], [0, 2]), "another number of ids than of weights"),
        (lambda: hostile([4, 5], [1, 1], [0, 9, 2]), "a damaged record batch"),
        (lambda: to_arrow(embeddings()).replace_schema_metadata(None), "the schema says {}"),
        (
            lambda: to_arrow(embeddings()).replace_schema_metadata({"format": "lodex.sparse", "version": "2"}),
            "expected rows of lodex.sparse version 1",
        ),
        (
            lambda: to_arrow(embeddings()).replace_schema_metadata({"format": "lodex.sparse", "version": "1"}),
            "vocab_size or fingerprint is missing",
        ),
        (lambda: to_arrow(embeddings()).select(["ids", "weights"]), "expected the columns"),
    ],
)
def test_other_batches_are_refused(batch: Callable[[], pa.RecordBatch], complaint: str) -> None:
    """What does not ascend, lies outside, has no partner or is damaged."""
    with pytest.raises(DataLossError, match=complaint):
        from_arrow(batch())


def test_rows_that_meet_may_fall() -> None:
    """The first id of a row may be below the last of the row before it, also across empty rows."""
    assert from_arrow(hostile([4, 5, 1, 2], [1, 1, 1, 1], [0, 2, 2, 4])).indptr.tolist() == [0, 2, 2, 4]
