"""A request at work: where it runs, how long it may take, whether anyone still waits, what it has cost so far."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from lodex.embed.tokens.framing import TokenRow
from lodex.errors import CancelledError, DataLossError, DeadlineExceededError, ResourceExhaustedError
from lodex.index.store import Store
from lodex.service.embed_queue import EmbeddedRows, EmbedQueue, Priority
from lodex.service.workers import Workers

T = TypeVar("T")
H = TypeVar("H")
Q = TypeVar("Q")
R = TypeVar("R")

# A stream looks again after so long whether there is room for its next texts.
_FULL_S = 0.05


class Requests(Protocol):
    """The messages of a caller who streams."""

    async def receive(self, timeout_s: float | None = None) -> Any:
        """The next message, None at the end of the stream.

        TimeoutError where none came in time, DeadlineExceededError where none came for as long as callers may be
        silent.
        """
        ...

    def forgive_silence(self) -> None:
        """The caller was waiting for us: only from now on is it silent."""
        ...


@dataclass(frozen=True, slots=True)
class ReadVersion:
    """A version of a store that a request reads, and whether it asked for this very one."""

    store: Store
    version: int
    is_pinned: bool


class Call:
    """What a handler knows of the request beside its message. This one does its work at once, in the caller's thread.

    A handler awaits nothing but the methods of its call, so a coroutine that is driven with this class never suspends
    (`run_inline`). `deadline` is an instant of `time.monotonic`; `whole` is the call that this one is a part of.
    """

    def __init__(self, deadline: float | None = None, whole: Call | None = None) -> None:
        self.deadline = deadline
        self.whole = whole
        self.begun_ns = time.perf_counter_ns()
        self.queue_ns = 0
        self.compute_ns = 0
        self.reads: list[ReadVersion] = []
        self._given_up = False

    @property
    def elapsed_ns(self) -> int:
        """Time since the request arrived."""
        return time.perf_counter_ns() - self.begun_ns

    def give_up(self) -> None:
        """Nobody waits any more: work stops at its next `check`."""
        self._given_up = True

    def part(self) -> Self:
        """A call for one message of a stream, with a cost of its own."""
        return type(self)(self.deadline, self)

    def check(self) -> None:
        """Raise CancelledError or DeadlineExceededError where going on is in vain. Long work calls it between steps."""
        if self.whole is not None:
            self.whole.check()
        if self._given_up:
            raise CancelledError("the caller gave up")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceededError("the deadline of the request has passed")

    def lost_version(self) -> ReadVersion | None:
        """A version that was read for the request and that is not there any more."""
        return next((read for read in self.reads if not read.store.keeps(read.version)), None)

    def is_lost(self, error: Exception) -> bool:
        """Whether an error, of an item or of all, is there because a version was removed while it was read."""
        return isinstance(error, DataLossError) and self.lost_version() is not None

    async def run(self, work: Callable[..., T], *args: Any, model: str = "", writes: str = "") -> T:
        """Do `work(*args)` where such work belongs: on the thread of a `model`, of a store's `writes`, or others."""
        return self._timed(time.perf_counter_ns(), work, args)

    async def wait(self, future: Future[Any], timeout_s: float | None) -> bool:
        """Whether a future was done in time; no thread of the server waits for it."""
        return bool(wait([future], timeout_s).done)

    async def embed(
        self, queue: EmbedQueue, rows: Sequence[TokenRow], priority: Priority = Priority.INTERACTIVE
    ) -> EmbeddedRows:
        """The vectors of rows, in common batches with those of others.

        ResourceExhaustedError where the queue is full; bulk waits until it is not.
        """
        while True:
            self.check()
            try:
                future = queue.submit(rows, check=self.check, priority=priority)
            except ResourceExhaustedError:
                if priority is not Priority.BULK:
                    raise
                time.sleep(_FULL_S)
            else:
                break
        try:
            return self._embedded(future.result())
        finally:
            future.cancel()

    async def answer_each(
        self,
        requests: Requests,
        answer: Callable[[Any, Call], Awaitable[R]],
        at_once: int,
        *,
        in_order: bool = False,
    ) -> AsyncGenerator[R, None]:
        """What `answer` makes of each message of a stream and a part of this call.

        At most `at_once` messages are worked on; no further one is read then, which in the end holds up the sender.
        Answers come as they are done, or in the order of the messages. The first error ends it, and what is at work.
        """
        while (message := await requests.receive()) is not None:
            yield await answer(message, self.part())

    def _embedded(self, embedded: EmbeddedRows) -> EmbeddedRows:
        self.queue_ns += embedded.queue_ns
        self.compute_ns += embedded.compute_ns
        return embedded

    def _timed(self, queued_ns: int, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        begun_ns = time.perf_counter_ns()
        self.queue_ns += begun_ns - queued_ns
        self.check()
        token = _AT_WORK.set(self)
        try:
            return work(*args)
        finally:
            _AT_WORK.reset(token)
            self.compute_ns += time.perf_counter_ns() - begun_ns


_AT_WORK: ContextVar[Call | None] = ContextVar("lodex_call_at_work", default=None)


def note_read(store: Store, version: int, is_pinned: bool) -> None:
    """Tell the request at work in this thread, if any, which version it reads."""
    call = _AT_WORK.get()
    if call is not None:
        call.reads.append(ReadVersion(store, version, is_pinned))


def is_lost(error: Exception) -> bool:
    """`Call.is_lost` of the request at work in this thread, if any."""
    call = _AT_WORK.get()
    return call is not None and call.is_lost(error)


def tell_cost(info: Any, call: Call) -> None:
    """Write into the `ReplyInfo` of a reply what the request has cost."""
    timing = info.timing
    timing.queue_ns, timing.compute_ns, timing.total_ns = call.queue_ns, call.compute_ns, call.elapsed_ns


class ServedCall(Call):
    """A request of the server, whose work is done by `workers` while the event loop goes on."""

    def __init__(self, workers: Workers, deadline: float | None = None, whole: Call | None = None) -> None:
        super().__init__(deadline, whole)
        self._workers = workers

    def part(self) -> Self:
        """A call for one message of a stream, with a cost of its own."""
        return type(self)(self._workers, self.deadline, self)

    async def run(self, work: Callable[..., T], *args: Any, model: str = "", writes: str = "") -> T:
        """Do `work(*args)` on a thread. Given up before, it never begins; at work, it stops at its next check."""
        queued_ns = time.perf_counter_ns()
        executor = self._executor(model, writes)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, self._timed, queued_ns, work, args)

    async def wait(self, future: Future[Any], timeout_s: float | None) -> bool:
        """Whether a future was done in time; the event loop goes on meanwhile."""
        done, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=timeout_s)
        return bool(done)

    async def embed(
        self, queue: EmbedQueue, rows: Sequence[TokenRow], priority: Priority = Priority.INTERACTIVE
    ) -> EmbeddedRows:
        """The vectors of rows, in common batches with those of others. Given up before, they never reach the model."""
        while True:
            self.check()
            try:
                future = queue.submit(rows, check=self.check, priority=priority)
            except ResourceExhaustedError:
                if priority is not Priority.BULK:
                    raise
                await asyncio.sleep(_FULL_S)
            else:
                return self._embedded(await asyncio.wrap_future(future))

    async def answer_each(
        self,
        requests: Requests,
        answer: Callable[[Any, Call], Awaitable[R]],
        at_once: int,
        *,
        in_order: bool = False,
    ) -> AsyncGenerator[R, None]:
        """What `answer` makes of each message of a stream and a part of this call, while further ones are read."""
        at_work: list[asyncio.Future[R]] = []
        reading: asyncio.Future[Any] | None = asyncio.ensure_future(requests.receive())
        is_silent = False
        try:
            while reading is not None or at_work:
                awaited: set[asyncio.Future[Any]] = set(at_work[:1] if in_order else at_work)
                if reading is not None and not is_silent and len(at_work) < at_once:
                    awaited.add(reading)
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if reading in awaited and reading.done():
                    try:
                        message = reading.result()
                    except DeadlineExceededError:
                        # It may be waiting for what is at work.
                        if not at_work:
                            raise
                        is_silent = True
                    else:
                        reading = None
                        if message is not None:
                            at_work.append(asyncio.ensure_future(answer(message, self.part())))
                            reading = asyncio.ensure_future(requests.receive())
                while done := [answered for answered in (at_work[:1] if in_order else at_work) if answered.done()]:
                    at_work.remove(done[0])
                    yield done[0].result()
                    requests.forgive_silence()
                    if is_silent:
                        is_silent, reading = False, asyncio.ensure_future(requests.receive())
        finally:
            left = [*at_work, *([reading] if reading is not None else [])]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _executor(self, model: str, writes: str) -> ThreadPoolExecutor:
        if model:
            return self._workers.for_model(model)
        return self._workers.for_writes(writes) if writes else self._workers.pool


def looks_up(method: Callable[[H, Q, Call], R]) -> Callable[[H, Q, Call], Awaitable[R]]:
    """Make a handler of a method that only looks things up: all of it is done among the other look-ups."""

    @functools.wraps(method)
    async def handler(self: H, request: Q, call: Call) -> R:
        return await call.run(method, self, request, call)

    return handler
