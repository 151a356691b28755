"""Processes that run the tasks of a job side by side.

A task goes to a process as a call that can be pickled, and what comes back is small: its output lies on disk. Workers
are started afresh (`spawn`): they share no lock and no open file with this process, and end with it, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, TypeVar

from lodex.errors import InternalError, InvalidArgumentError, ResourceExhaustedError
from lodex.types import Progress

T = TypeVar("T")

_REPORT_INTERVAL_S = 0.1
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Work for one process: `label` names it in errors, `function` is given a progress to advance."""

    label: str
    function: Callable[[Progress], T]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How call number `index` ended: with a value, or with an error."""

    index: int
    value: T | None = None
    error: Exception | None = None

    def result(self) -> T:
        """The value; raises the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a call without error has returned a T


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class WorkerPool:
    """Up to `workers` processes, started when first needed; with one worker, calls run in this process.

    Leaving the block ends them, in the middle of a call too: what a call had not published is swept away later.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise InvalidArgumentError(f"workers must be positive, not {workers}", "workers")
        self.workers = workers
        self._idle: list[_Worker] = []
        self._busy: dict[int, _Worker] = {}

    def run(self, calls: Iterable[Call[T]], progress: Progress, workers: int | None = None) -> Iterator[Outcome[T]]:
        """The outcomes, as calls end. After an error no further call is begun; those that run are waited for.

        `calls` are taken one at a time, as workers become free. A worker that dies raises ResourceExhaustedError where
        it was killed, as by a system short of memory, and InternalError otherwise; both name its call.
        """
        if min(self.workers, workers or self.workers) == 1:
            yield from _run_here(calls, progress)
            return
        queue = enumerate(calls)
        is_failed = False
        while True:
            while not is_failed and len(self._busy) < self.workers and (following := next(queue, None)) is not None:
                self._begin(*following)
            if not self._busy:
                return
            for outcome in self._ended(progress):
                is_failed = is_failed or outcome.error is not None
                yield outcome

    def _begin(self, index: int, call: Call[Any]) -> None:
        worker = self._idle.pop() if self._idle else _Worker()
        self._busy[index] = worker
        worker.begin(call)

    def _ended(self, progress: Progress) -> Iterator[Outcome[Any]]:
        """Wait for news: the calls that have ended; what others have done goes to `progress`."""
        sources = {worker.connection: index for index, worker in self._busy.items()}
        for source in wait(list(sources)):
            index = sources[source]  # type: ignore[index]  # `wait` gives back what it was given
            worker = self._busy[index]
            try:
                news = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                raise worker.death() from None
            if isinstance(news, Outcome):
                del self._busy[index]
                self._idle.append(worker)
                yield Outcome(index, news.value, news.error)
            else:
                progress.advance(news)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        workers = [*self._idle, *self._busy.values()]
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.join()
        self._idle.clear()
        self._busy.clear()


def in_order(outcomes: Iterable[Outcome[T]]) -> Iterator[T]:
    """The values in the order of the calls, each as soon as those before it are there; an error when its turn comes."""
    waiting: dict[int, Outcome[T]] = {}
    following = 0
    for outcome in outcomes:
        waiting[outcome.index] = outcome
        while following in waiting:
            yield waiting.pop(following).result()
            following += 1


def _run_here(calls: Iterable[Call[T]], progress: Progress) -> Iterator[Outcome[T]]:
    for index, call in enumerate(calls):
        try:
            outcome = Outcome(index, call.function(progress))
        except Exception as error:  # noqa: BLE001  it is raised where the outcome is taken
            yield Outcome(index, error=error)
            return
        yield outcome


class _Worker:
    """A process, and the line to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._label = ""
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, call: Call[Any]) -> None:
        self._label = call.label
        try:
            self.connection.send(call)
        except BrokenPipeError:
            raise self.death() from None

    def death(self) -> Exception:
        """The error of a process that ended before its call did."""
        self._process.join(_END_S)
        code = self._process.exitcode or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        kind = ResourceExhaustedError if -code == signal.SIGKILL else InternalError
        return kind(f"the worker of {self._label} {how}; run this again: what is finished is kept")

    def end(self) -> None:
        self.connection.close()
        self._process.terminate()

    def join(self) -> None:
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class _Sent:
    """A `Progress` that tells the parent process, ten times a second."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pending = 0
        self._sent = time.monotonic()

    def start(self, label: str, total: int | None, unit: str) -> None:
        """The parent has begun the phase."""

    def advance(self, amount: int) -> None:
        """Go on."""
        self._pending += amount
        if time.monotonic() - self._sent >= _REPORT_INTERVAL_S:
            self.finish()

    def finish(self) -> None:
        """Send what is left."""
        if self._pending:
            self._connection.send(self._pending)
        self._pending = 0
        self._sent = time.monotonic()


def _serve(connection: Connection) -> None:
    """Run calls until the parent is gone."""
    # An interrupt reaches every process of a terminal; the parent is the one that acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The cores are taken by the other workers, and threads would cost an eighth more.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        while True:
            call: Call[Any] = connection.recv()
            progress = _Sent(connection)
            outcome = next(iter(_run_here([call], progress)))
            progress.finish()
            connection.send(_portable(outcome))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _portable(outcome: Outcome[Any]) -> Outcome[Any]:
    """The outcome with an error that the parent can read: with its traceback as a note, as tracebacks do not travel."""
    error = outcome.error
    if error is None:
        return outcome
    error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
    error.__cause__ = error.__context__ = None
    return Outcome(outcome.index, error=error)
