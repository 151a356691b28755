"""Tokenising, the forward and writing side by side: while a block is in the model, the next is read."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Rows = TypeVar("Rows")
Vectors = TypeVar("Vectors")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Value(Generic[Value]):
    value: Value


@dataclass(frozen=True, slots=True)
class _End:
    failure: BaseException | None = None


def run_pipeline(
    items: Iterable[Item],
    tokenize: Callable[[Item], Rows],
    forward: Callable[[Rows], Vectors],
    write: Callable[[Vectors], None],
    depth: int = 2,
) -> None:
    """`write(forward(tokenize(item)))` for each item in its order, the three steps in three threads.

    `items` are read and tokenised in one thread and results written in another; the forward runs in the caller's, where
    it may be interrupted. At most `depth` items wait before the forward and as many behind it, so memory does not grow
    with their number. Where reading, tokenising or the forward fails, everything before the failing item is written;
    where writing fails, nothing further is. Then the error is raised here, and both threads have ended.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}, expected at least 1")
    stop = threading.Event()
    ready: queue.Queue[_Value[Rows] | _End] = queue.Queue(depth)
    done: queue.Queue[_Value[Vectors] | _End] = queue.Queue(depth)

    def read() -> None:
        failure: BaseException | None = None
        try:
            for item in items:
                if stop.is_set():
                    break
                ready.put(_Value(tokenize(item)))
        except BaseException as error:  # noqa: BLE001  # it is raised where the pipeline was started
            failure = error
        ready.put(_End(failure))

    unwritten: list[BaseException] = []

    def keep() -> None:
        while isinstance(result := done.get(), _Value):
            try:
                if not unwritten:
                    write(result.value)
            except BaseException as error:  # noqa: BLE001  # likewise
                # The queue is still emptied, so that nobody waits for room in it.
                unwritten.append(error)
                stop.set()

    threads = [threading.Thread(target=step, name=f"lodex-{step.__name__}") for step in (read, keep)]
    for thread in threads:
        thread.start()
    end: _End | None = None
    failures: list[BaseException | None] = []
    try:
        while end is None and not stop.is_set():
            rows = ready.get()
            if isinstance(rows, _End):
                end = rows
            else:
                done.put(_Value(forward(rows.value)))
    except Exception as error:  # noqa: BLE001  # likewise; what the writer meets comes before it
        failures.append(error)
    finally:
        stop.set()
        done.put(_End())
        while end is None:  # the reader may be waiting for room
            rows = ready.get()
            end = rows if isinstance(rows, _End) else None
        for thread in threads:
            thread.join()
    for failure in (*unwritten, *failures, end.failure):
        if failure is not None:
            raise failure
