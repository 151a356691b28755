"""Threads for forward passes."""

import threading
from contextlib import closing

import pytest
import torch

from lodex.embed.runtime.workers import Workers


def test_results_come_in_the_order_of_the_items() -> None:
    """Whichever finishes first."""
    assert list(Workers().map(lambda item: item * 2, range(50))) == list(range(0, 100, 2))


def test_each_worker_uses_one_thread_of_torch_and_nobody_else_notices() -> None:
    """The caller's number of threads, and the number that later threads begin with, stay as they were."""
    before = torch.get_num_threads()
    workers = Workers()
    assert set(workers.map(lambda item: torch.get_num_threads(), range(20))) == {1}
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert [torch.get_num_threads(), *seen] == [before, before]


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    """The first failing item raises where its result is read."""
    with pytest.raises(ZeroDivisionError):
        list(Workers().map(lambda item: 1 // item, [1, 0, 1]))


def test_what_has_not_begun_is_dropped_when_the_caller_stops() -> None:
    """A caller who leaves after the first result does not pay for the rest."""
    workers = Workers()
    go_on = threading.Event()
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item:
            go_on.wait()
        return item

    with closing(workers.map(work, range(1000))) as results:
        assert next(results) == 0
    go_on.set()
    list(workers.map(lambda item: item, range(workers.size)))
    assert len(begun) <= 2 * workers.size + 1
