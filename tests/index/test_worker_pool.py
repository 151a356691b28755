"""Calls in worker processes."""

import os
import signal
import time
from functools import partial

import pytest

from lodex.errors import InputError, InternalError, InvalidArgumentError, ResourceExhaustedError
from lodex.index.worker_pool import Call, Outcome, WorkerPool, in_order
from lodex.types import Progress, Silent


class Tally(Silent):
    """Sums up what is told."""

    done = 0

    def advance(self, amount: int) -> None:
        """Go on."""
        self.done += amount


def work(number: int, progress: Progress) -> tuple[int, int]:
    """The square of a number, and the process that computed it; earlier calls take longer."""
    time.sleep(0.05 * (3 - number) if number < 3 else 0)
    progress.advance(number)
    return number * number, os.getpid()


def fail(progress: Progress) -> None:
    """Raise."""
    raise InputError("no text", "rows.jsonl", 7)


def die(how: str, progress: Progress) -> None:
    """End this process in the middle of the call."""
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def test_calls_run_in_other_processes_and_come_back_in_order() -> None:
    """Two workers share them; progress is summed over both."""
    progress = Tally()
    with WorkerPool(2) as pool:
        calls = [Call(f"call {i}", partial(work, i)) for i in range(6)]
        results = list(in_order(pool.run(calls, progress)))
        again = list(pool.run(calls[:1], progress))
    assert [square for square, _ in results] == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {process for _, process in results}
    assert len({process for _, process in results}) == 2
    assert again[0].result()[0] == 0
    assert progress.done == 15


def test_one_worker_is_this_process() -> None:
    """No process is started, and calls are taken one at a time."""
    taken = []

    def calls():
        for i in range(3):
            taken.append(i)
            yield Call("call", partial(work, i))

    with WorkerPool(1) as pool:
        outcomes = pool.run(calls(), Silent())
        assert next(iter(outcomes)).result() == (0, os.getpid())
        assert taken == [0]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_its_type_and_fields_and_stops_the_rest(workers: int) -> None:
    """What was begun before ends first; nothing is begun after."""
    begun = []

    def calls():
        for i in range(20):
            begun.append(i)
            yield Call("call", fail if i == 2 else partial(work, i))

    with WorkerPool(workers) as pool, pytest.raises(InputError) as caught:
        list(in_order(pool.run(calls(), Silent())))
    assert (caught.value.source, caught.value.line, str(caught.value)) == ("rows.jsonl", 7, "rows.jsonl:7: no text")
    assert len(begun) < 6


@pytest.mark.parametrize(("how", "kind"), [("killed", ResourceExhaustedError), ("ended", InternalError)])
def test_a_worker_that_dies_is_named_by_its_call(how: str, kind: type[Exception]) -> None:
    """The job ends with an error instead of waiting for ever."""
    with WorkerPool(2) as pool, pytest.raises(kind, match="worker of the ingest of b"):
        list(
            pool.run([Call("the ingest of a", partial(work, 0)), Call("the ingest of b", partial(die, how))], Silent())
        )


def test_outcomes_are_put_in_order() -> None:
    """An error is raised after the values of the calls before it."""
    outcomes = [Outcome(2, error=InputError("bad")), Outcome(1, "b"), Outcome(0, "a")]
    taken = []
    with pytest.raises(InputError):
        taken.extend(in_order(outcomes))
    assert taken == ["a", "b"]


def test_a_pool_has_workers() -> None:
    """None would wait for ever."""
    with pytest.raises(InvalidArgumentError):
        WorkerPool(0)
