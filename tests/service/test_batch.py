"""Batches in which a bad item fails alone."""

import logging

import pytest

from lodex.client.status import error_of
from lodex.errors import CancelledError, DeadlineExceededError, InternalError, InvalidArgumentError, LodexError
from lodex.service.batch import Batch
from lodex.v1 import ngram_pb2


def halve(number: int, path: str) -> int:
    if number % 2:
        raise InvalidArgumentError(f"{number} is odd", path)
    return number // 2


def write(half: int, result: ngram_pb2.CountResult) -> None:
    result.count = half
    if half == 4:
        raise InvalidArgumentError("four is refused late", "four")


def filled(numbers: list[int]) -> list[int | LodexError]:
    batch = Batch(numbers, "numbers", halve)
    reply = ngram_pb2.CountResponse()
    batch.fill(reply.results, batch.values, write)
    return [error_of(result.error) if result.HasField("error") else result.count for result in reply.results]


def test_each_item_has_its_result_in_its_place() -> None:
    """Good items have their answers, bad ones their own error with the path of their field."""
    two, odd, ten = filled([2, 3, 10])
    assert (two, ten) == (1, 5)
    assert isinstance(odd, InvalidArgumentError)
    assert odd.field == "numbers[1]"


def test_an_item_may_fail_while_it_is_written() -> None:
    """Nothing half written is left beside the error."""
    late, good = filled([8, 6])
    assert isinstance(late, InvalidArgumentError)
    assert good == 3


def test_an_empty_batch_has_no_results() -> None:
    """Nothing is asked, nothing is answered."""
    assert filled([]) == []


def test_positions_lead_back_to_the_request() -> None:
    """The good items know where they stood."""
    batch = Batch([2, 3, 10], "numbers", halve)
    assert (batch.values, batch.positions, len(batch)) == ([1, 5], [0, 2], 3)


def test_a_defect_harms_its_item_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the item says that it is a defect."""
    with caplog.at_level(logging.CRITICAL):
        batch = Batch(["2", None], "texts", lambda text, path: len(text))
    reply = ngram_pb2.CountResponse()
    batch.fill(reply.results, batch.values, lambda size, result: setattr(result, "count", size))
    assert reply.results[0].count == 1
    assert isinstance(error_of(reply.results[1].error), InternalError)


@pytest.mark.parametrize("error", [CancelledError("gone"), DeadlineExceededError("late")])
def test_a_caller_who_is_gone_ends_the_request(error: LodexError) -> None:
    """It is no error of an item."""

    def fail(item: int, path: str) -> int:
        raise error

    def fail_to_write(item: int, result: ngram_pb2.CountResult) -> None:
        raise error

    with pytest.raises(type(error)):
        Batch([1], "numbers", fail)
    with pytest.raises(type(error)):
        Batch([2], "numbers", halve).fill(ngram_pb2.CountResponse().results, [1], fail_to_write)
