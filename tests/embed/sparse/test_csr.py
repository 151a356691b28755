"""Rows of many batches, joined in the order of their texts."""

import numpy as np

from lodex.embed.sparse.csr import SparseRows, join_rows


def rows_of(rows: list[dict[int, float]]) -> SparseRows:
    return SparseRows(
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
        np.array([key for row in rows for key in row], np.uint32),
        np.array([value for row in rows for value in row.values()], np.float32),
    )


def as_dicts(rows: SparseRows) -> list[dict[int, float]]:
    return [
        dict(zip(rows.ids[a:b].tolist(), rows.weights[a:b].tolist(), strict=True))
        for a, b in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
    ]


def test_rows_come_back_in_the_order_of_their_places() -> None:
    """Against lists, with empty rows and empty parts, in 200 random divisions."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(0, 12))
        rows = [{int(k): float(k) / 2 for k in np.sort(rng.choice(50, rng.integers(0, 5), False))} for _ in range(n)]
        order = rng.permutation(n)
        places = [part.tolist() for part in np.array_split(order, int(rng.integers(1, 5)))]
        joined = join_rows([rows_of([rows[i] for i in part]) for part in places], places)
        assert as_dicts(joined) == rows
        assert (joined.indptr.dtype, joined.ids.dtype, joined.weights.dtype) == (np.int64, np.uint32, np.float32)


def test_nothing_is_no_rows() -> None:
    joined = join_rows([], [])
    assert len(joined) == 0
    assert joined.indptr.tolist() == [0]
