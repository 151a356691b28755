"""Shards searched as one corpus, and the checks of what is asked of them."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError
from lodex.index.infini_gram.documents import Documents
from lodex.index.infini_gram.shard import Shard, Tokens
from lodex.kernels._suffix import Corpus

Int64s = npt.NDArray[np.int64]
TokenIds = Sequence[int] | npt.NDArray[np.integer[Any]]

NOT_TOKEN_IDS = (TypeError, ValueError, OverflowError)
"""What the kernel raises for a query that it does not read; `SearchedShards._tokens` then says what is wrong."""


class SearchedShards:
    """Shards of one dtype as one corpus, each taken as its files have it: nothing closes its last document."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = tuple(shards)
        self._dtype = shards[0].tokens.dtype
        self._typecode = {1: "B", 2: "H", 4: "I"}[self._dtype.itemsize]
        self._separator = shards[0].separator
        self._corpus = Corpus([shard.table for shard in shards], [1] * len(shards), False)
        self._documents = Documents(shards)

    def _tokens(self, ids: TokenIds, field: str, *, allow_empty: bool = True) -> Tokens:
        """Token ids as the streams have them. InvalidArgumentError names the id that is none, and its place."""
        if isinstance(ids, list) and ids:
            try:
                return np.frombuffer(array(self._typecode, ids), self._dtype)
            except NOT_TOKEN_IDS:
                pass  # what is wrong with them is said below
        try:
            values = np.asarray(ids)
        except (ValueError, TypeError, OverflowError) as error:
            raise self._no_ids(field) from error
        if values.ndim != 1:
            raise self._no_ids(field)
        if not len(values):
            if not allow_empty:
                raise InvalidArgumentError(f"{field} is empty, expected at least one token id", field)
            return np.empty(0, self._dtype)
        if values.dtype.kind not in "iu":
            raise self._no_ids(field)
        if values.min() < 0 or values.max() > self._separator:
            wrong = int(np.flatnonzero((values < 0) | (values > self._separator))[0])
            raise InvalidArgumentError(
                f"{field}[{wrong}] is {values[wrong]}, expected a token id of 0 to {self._separator}",
                f"{field}[{wrong}]",
            )
        return np.ascontiguousarray(values, self._dtype)

    def _token(self, token: int, field: str) -> int:
        """One token id."""
        value = whole_number(token, field, 0)
        if value > self._separator:
            raise InvalidArgumentError(f"{field} is {value}, expected a token id of 0 to {self._separator}", field)
        return value

    def _batch(self, queries: Sequence[TokenIds] | Tokens, offsets: Int64s | None, field: str) -> tuple[Tokens, Int64s]:
        """Queries as one flat array with offsets (queries + 1,): as they are given, or sequences put together."""
        if offsets is not None:
            bounds = np.ascontiguousarray(offsets, np.int64)
            flat = self._tokens(queries, field)  # type: ignore[arg-type]  # a flat array stands beside offsets
            is_sound = bounds.ndim == 1 and len(bounds) and bounds[0] == 0 and bounds[-1] == len(flat)
            if not is_sound or (bounds[1:] < bounds[:-1]).any():
                raise InvalidArgumentError(f"offsets do not ascend from 0 to the {len(flat)} token ids", "offsets")
            return flat, bounds
        try:
            bounds = np.zeros(len(queries) + 1, np.int64)
            np.cumsum([len(query) for query in queries], out=bounds[1:])
            return self._tokens(list(chain.from_iterable(queries)), field), bounds
        except (TypeError, InvalidArgumentError) as error:
            for i, query in enumerate(queries if isinstance(queries, Sequence) else ()):
                self._tokens(query, f"{field}[{i}]")
            raise InvalidArgumentError(f"{field} must be a list of lists of token ids", field) from error

    def _shard(self, s: int, field: str = "s") -> int:
        """The number of a shard."""
        return number_below(s, len(self._shards), field)

    def _no_ids(self, field: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"{field} must be a list of token ids of 0 to {self._separator}", field)


def whole_number(value: int, field: str, minimum: int) -> int:
    """An integer of at least `minimum`; a bool is none."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < minimum:
        raise InvalidArgumentError(f"{field} is {value!r}, expected a whole number of at least {minimum}", field)
    return number


def number_below(value: int, end: int, field: str) -> int:
    """An integer of 0 or more, below `end`."""
    number = whole_number(value, field, 0)
    if number >= end:
        raise InvalidArgumentError(f"{field} is {number}, expected less than {end}", field)
    return number


def tuples_of(requests: Iterable[Sequence[int]], size: int, field: str) -> list[tuple[int, ...]]:
    """Requests of `size` numbers each."""
    try:
        found = [tuple(request) for request in requests]
    except TypeError as error:
        raise InvalidArgumentError(f"{field} must be a list of tuples of {size} numbers", field) from error
    for i, request in enumerate(found):
        if len(request) != size:
            raise InvalidArgumentError(f"{field}[{i}] has {len(request)} numbers, expected {size}", f"{field}[{i}]")
    return found
