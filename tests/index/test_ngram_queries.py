"""Token sequences as streams write them, packed and without those that others make needless."""

from typing import Any

import numpy as np

from lodex.index.ngram_queries import pack, without_beginnings, without_endings


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
