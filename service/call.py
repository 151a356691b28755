"""A request at work: where it runs, how long it may take, whether anyone still waits, what it has cost so far."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from lodex.errors import CancelledError, DeadlineExceededError
from lodex.service.workers import Workers

T = TypeVar("T")
H = TypeVar("H")
Q = TypeVar("Q")
R = TypeVar("R")


class Call:
    """What a handler knows of the request beside its message. This one does its work at once, in the caller's thread.

    A handler awaits nothing but `run`, so a coroutine that is driven with this class never suspends
    (`run_inline`). `deadline` is an instant of `time.monotonic`.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.begun_ns = time.perf_counter_ns()
        self.queue_ns = 0
        self.compute_ns = 0
        self._given_up = False

    @property
    def elapsed_ns(self) -> int:
        """Time since the request arrived."""
        return time.perf_counter_ns() - self.begun_ns

    def give_up(self) -> None:
        """Nobody waits any more: work stops at its next `check`."""
        self._given_up = True

    def check(self) -> None:
        """Raise CancelledError or DeadlineExceededError where going on is in vain. Long work calls it between steps."""
        if self._given_up:
            raise CancelledError("the caller gave up")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceededError("the deadline of the request has passed")

    async def run(self, work: Callable[..., T], *args: Any, model: str = "") -> T:
        """Do `work(*args)` where such work belongs: on the thread of a `model`, or among the others."""
        return self._timed(time.perf_counter_ns(), work, args)

    def _timed(self, queued_ns: int, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        begun_ns = time.perf_counter_ns()
        self.queue_ns += begun_ns - queued_ns
        self.check()
        try:
            return work(*args)
        finally:
            self.compute_ns += time.perf_counter_ns() - begun_ns


class ServedCall(Call):
    """A request of the server, whose work is done by `workers` while the event loop goes on."""

    def __init__(self, workers: Workers, deadline: float | None = None) -> None:
        super().__init__(deadline)
        self._workers = workers

    async def run(self, work: Callable[..., T], *args: Any, model: str = "") -> T:
        """Do `work(*args)` on a thread. Given up before, it never begins; at work, it stops at its next check."""
        queued_ns = time.perf_counter_ns()
        executor = self._workers.for_model(model) if model else self._workers.pool
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, self._timed, queued_ns, work, args)


def looks_up(method: Callable[[H, Q, Call], R]) -> Callable[[H, Q, Call], Awaitable[R]]:
    """Make a handler of a method that only looks things up: all of it is done among the other look-ups."""

    @functools.wraps(method)
    async def handler(self: H, request: Q, call: Call) -> R:
        return await call.run(method, self, request, call)

    return handler
