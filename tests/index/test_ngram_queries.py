"""Token sequences as streams write them, packed and without those that others make needless."""

from typing import Any

import numpy as np
import pytest

from lodex.errors import InvalidArgumentError
from lodex.index.ngram_queries import Vocabulary, literals, pack, without_beginnings, without_endings


def test_sequences_of_any_length_are_packed() -> None:
    """Empty ones, none at all, and many keep their places."""
    dtype: np.dtype[Any] = np.dtype(np.uint16)
    tokens, offsets = pack([np.array(ids, dtype) for ids in ([], [1, 2], [], [3])], dtype)
    assert (tokens.dtype, tokens.tolist(), offsets.tolist()) == (dtype, [1, 2, 3], [0, 0, 2, 2, 3])
    tokens, offsets = pack([], dtype)
    assert (tokens.dtype, len(tokens), offsets.tolist()) == (dtype, 0, [0])


def test_sequences_that_end_or_begin_with_others_are_left_out() -> None:
    """At no place do two of those that stay end, or begin; the empty one leaves none beside it."""
    given = [np.array(ids, np.uint16) for ids in ([1, 2], [2], [3, 1], [2], [3], [3, 2, 1])]
    assert [ids.tolist() for ids in without_endings(given)] == [[2], [3], [3, 1], [3, 2, 1]]
    assert [ids.tolist() for ids in without_beginnings(given)] == [[2], [3], [1, 2]]
    assert [ids.tolist() for ids in without_endings([*given, np.array([], np.uint16)])] == [[]]


ONE_SEQUENCE: list[Any] = [
    [],
    (),
    [3],
    (0, 99),
    [7, 0, 7],
    np.array([1, 2], np.uint8),
    np.array([0], np.int64),
    np.array([5], np.uint64),
    np.zeros(0),
    [-1],
    [100],
    [2**70],
    [True],
    [1, True],
    [1.0],
    ["1"],
    "1",
    b"1",
    [[1]],
    None,
    5,
    np.array(5),
    np.array([[1]]),
    np.zeros((0, 2), np.int64),
    np.array([1.0]),
    np.array([True]),
    np.array([-1], np.int8),
    np.array([100], np.uint64),
]


@pytest.mark.parametrize("beside", [None, [4], np.array([4]), np.array([4], np.uint64)])
@pytest.mark.parametrize("given", ONE_SEQUENCE, ids=repr)
def test_sequences_are_encoded_at_once_as_they_are_one_by_one(given: Any, beside: Any) -> None:
    """What is encoded at once reads back as the same ids; what no caller may give is left to the slower way."""
    vocabulary = Vocabulary(100, 0, 65535, np.dtype("<u2"))
    sequences = [given] if beside is None else [beside, given, beside]
    encoded = vocabulary.encode_flat(sequences)
    try:
        expected = [vocabulary.encode(one, "x") for one in sequences]
    except InvalidArgumentError:
        assert encoded is None
        return
    if encoded is not None:
        tokens, offsets = encoded
        assert tokens.dtype == vocabulary.dtype
        assert [one.tolist() for one in np.split(tokens, offsets[1:-1])] == [one.tolist() for one in expected]
        assert vocabulary.decode_flat(tokens, offsets) == [vocabulary.decode(one) for one in expected]


def test_only_ngrams_of_one_sequence_each_are_literal() -> None:
    """Variants, texts and what is no list go the other way."""
    assert literals([[[1, 2]], ([],)]) == [[1, 2], []]
    assert literals([]) == []
    assert [literals([[[1]], other]) for other in ([[1], [2]], [], "a", None, np.array([[1]]))] == [None] * 5
