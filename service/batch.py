"""Batches in which a bad item fails alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from google.rpc import status_pb2

from lodex.errors import CancelledError, DeadlineExceededError
from lodex.service.call import is_lost
from lodex.service.status import to_status

Item = TypeVar("Item")
Value = TypeVar("Value")
Answer = TypeVar("Answer")
T = TypeVar("T", bound=np.generic)

ENDS_THE_REQUEST = (CancelledError, DeadlineExceededError)
"""What is no fault of an item: nobody waits any more."""


class Batch(Generic[Value]):
    """The items of a request, prepared one by one: `values` are the good ones, the others keep their error.

    `prepare` receives an item and the path of its field (`queries[3]`). `positions` are those of `values` in the
    request.
    """

    def __init__(self, items: Sequence[Item], path: str, prepare: Callable[[Item, str], Value]) -> None:
        self.values: list[Value] = []
        self.positions: list[int] = []
        self._errors: dict[int, status_pb2.Status] = {}
        self._size = len(items)
        for i, item in enumerate(items):
            try:
                self.values.append(prepare(item, f"{path}[{i}]"))
                self.positions.append(i)
            except ENDS_THE_REQUEST:
                raise
            except Exception as error:  # a defect in one item leaves the others unharmed too
                if is_lost(error):
                    raise
                self._errors[i] = to_status(error)

    @property
    def errors(self) -> Mapping[int, status_pb2.Status]:
        """The errors of the bad items, by their positions in the request."""
        return self._errors

    def __len__(self) -> int:
        """How many items the request has, good or bad."""
        return self._size

    def spread(self, rows: npt.NDArray[T]) -> npt.NDArray[T]:
        """A matrix with a row for each item: those of `rows` belong to `values`, in order; the others are zero."""
        if len(self.positions) == self._size:
            return rows
        whole = np.zeros((self._size, *rows.shape[1:]), rows.dtype)
        whole[self.positions] = rows
        return whole

    def fill(self, results: Any, answers: Iterable[Answer], write: Callable[[Answer, Any], None]) -> None:
        """Add one result for each item to `results`: its error, or what `write(answer, result)` writes.

        `answers` belong to `values`, in order. A write that fails fails its item alone.
        """
        following: Iterator[Answer] = iter(answers)
        for i in range(self._size):
            result = results.add()
            if i in self._errors:
                result.error.CopyFrom(self._errors[i])
                continue
            answer = next(following)
            try:
                write(answer, result)
            except ENDS_THE_REQUEST:
                raise
            except Exception as error:  # likewise
                if is_lost(error):
                    raise
                result.Clear()
                result.error.CopyFrom(to_status(error))
