"""Long texts in pieces, and the mean of their vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodex.embed.long_context.chunk_average import average_pieces, split_row
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InvalidArgumentError

CLS, SEP = 101, 102


@given(st.integers(1, 60), st.integers(4, 20), st.integers(0, 2), st.integers(0, 1))
def test_pieces_hold_the_text_once_and_in_order(length: int, size: int, begin: int, end: int) -> None:
    """Between the tokens around it, no longer than allowed, none empty, all but the last as long as they can be."""
    text = list(range(length))
    row = TokenRow([CLS] * begin + text + [SEP] * end, 0, begin + length + end)
    pieces = split_row(row, size, begin, end)
    assert [token for piece in pieces for token in list(piece.ids)[begin : len(piece.ids) - end]] == text
    assert all(begin + end < len(piece.ids) <= size for piece in pieces)
    assert all(len(piece.ids) == size for piece in pieces[:-1])
    for piece in pieces:
        assert list(piece.ids[:begin]) == [CLS] * begin
        assert list(piece.ids[len(piece.ids) - end :]) == [SEP] * end
        assert (piece.pool_begin, piece.pool_end) == (0, len(piece.ids))


def test_what_is_not_pooled_of_the_row_is_not_of_a_piece() -> None:
    """An instruction before the text, and an end behind it, each in every piece and in none of the pools."""
    row = TokenRow([CLS, 7, 8, *range(10), SEP], 3, 13, truncated=True)
    pieces = split_row(row, 8, 3, 1)
    assert [list(piece.ids) for piece in pieces] == [
        [CLS, 7, 8, 0, 1, 2, 3, SEP],
        [CLS, 7, 8, 4, 5, 6, 7, SEP],
        [CLS, 7, 8, 8, 9, SEP],
    ]
    assert [(piece.pool_begin, piece.pool_end) for piece in pieces] == [(3, 7), (3, 7), (3, 5)]
    assert all(piece.truncated for piece in pieces)


def test_a_row_that_fits_is_left_as_it_is() -> None:
    """The same object."""
    row = TokenRow([CLS, 1, SEP], 0, 3)
    assert split_row(row, 3, 1, 1) == [row]


def test_no_room_between_is_an_error() -> None:
    """An instruction as long as the model reads."""
    with pytest.raises(InvalidArgumentError, match="the 4 around a text leave no room"):
        split_row(TokenRow([CLS, 1, 2, 3, 4, SEP], 0, 6), 4, 3, 1)


def test_vectors_are_averaged_text_by_text() -> None:
    """Means of length 1; a single piece keeps its bits; pieces that cancel out leave the first."""
    pieces = np.array([[0.6, 0.8], [1, 0], [0, 1], [0, 1], [0, -1]], np.float32)
    means = average_pieces(pieces, [1, 2, 2])
    assert means.dtype == np.float32
    np.testing.assert_array_equal(means[0], pieces[0])
    np.testing.assert_allclose(means[1], [0.5**0.5, 0.5**0.5], rtol=1e-7)
    np.testing.assert_array_equal(means[2], [0, 1])


@pytest.mark.parametrize("counts", [[1, 1], [3, 0], [2, 2]])
def test_counts_that_do_not_add_up_are_refused(counts: list[int]) -> None:
    """Every text has a piece, and every piece a text."""
    with pytest.raises(InvalidArgumentError, match="3 vectors for texts of"):
        average_pieces(np.ones((3, 2), np.float32), counts)
