"""Requests at work: inline, on threads, given up, too late."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from lodex.errors import CancelledError, DeadlineExceededError
from lodex.service.call import Call, ServedCall
from lodex.service.embedded import run_inline
from lodex.service.workers import Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    opened = Workers(threads=1)
    yield opened
    opened.close()


def test_a_plain_call_works_in_the_callers_thread() -> None:
    """No event loop is needed, and nothing is handed to another thread."""
    assert run_inline(Call().run(threading.get_ident)) == threading.get_ident()


def test_an_error_of_the_work_comes_out_of_the_coroutine() -> None:
    """Driving a handler by hand does not change what it raises."""
    with pytest.raises(ZeroDivisionError):
        run_inline(Call().run(lambda: 1 // 0))


def test_a_handler_that_waits_for_something_else_is_a_bug() -> None:
    """The embedded handle never suspends, so it says so rather than hang."""
    with pytest.raises(AssertionError, match="this is a bug"):
        run_inline(asyncio.sleep(0))


def test_a_call_past_its_deadline_does_nothing() -> None:
    """The work is not begun."""
    begun: list[bool] = []
    with pytest.raises(DeadlineExceededError):
        run_inline(Call(time.monotonic() - 1).run(begun.append, True))
    assert not begun


def test_time_is_accounted_for() -> None:
    """Waiting for a thread is queueing, the rest of the run is computing."""
    call = Call()
    run_inline(call.run(time.sleep, 0.02))
    assert call.compute_ns >= 20_000_000
    assert call.elapsed_ns >= call.compute_ns + call.queue_ns


def test_a_served_call_works_on_a_thread(workers: Workers) -> None:
    """Look-ups share a pool, and a model has one thread to itself."""

    async def idents() -> tuple[int, int, int]:
        call = ServedCall(workers)
        lookup = await call.run(threading.get_ident)
        return lookup, await call.run(threading.get_ident, model="a"), await call.run(threading.get_ident, model="a")

    lookup, first, second = asyncio.run(idents())
    assert first == second
    assert len({lookup, first, threading.get_ident()}) == 3


def test_work_that_nobody_awaits_never_begins(workers: Workers) -> None:
    """A request that is cancelled in the queue costs nothing, and one at work stops at its next check."""
    begun: list[str] = []
    release = threading.Event()

    def long(call: Call) -> None:
        begun.append("long")
        release.wait(10)
        call.check()
        begun.append("too far")

    async def run() -> None:
        first, second = ServedCall(workers), ServedCall(workers)
        at_work = asyncio.create_task(first.run(long, first))
        queued = asyncio.create_task(second.run(begun.append, "queued"))
        while not begun:
            await asyncio.sleep(0.001)
        for call, task in ((first, at_work), (second, queued)):
            task.cancel()
            call.give_up()
            with pytest.raises(asyncio.CancelledError):
                await task
        release.set()

    asyncio.run(run())
    workers.close()
    assert begun == ["long"]


def test_a_call_that_was_given_up_says_so() -> None:
    """Work that asks learns that its caller is gone."""
    call = Call()
    call.give_up()
    with pytest.raises(CancelledError):
        call.check()
