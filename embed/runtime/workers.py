"""Threads for forward passes: one batch, one core."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """As many threads as torch would use, each of which computes alone.

    Left to itself, torch shares every operation of one batch between all cores, and its threads wait for each other
    some hundred times a batch, busily. With other work on the machine that was four times slower here than one thread;
    batches side by side never wait, and are a fifth faster on an idle machine too. An accelerator wants one of them.
    """

    def __init__(self, size: int | None = None) -> None:
        before = torch.get_num_threads()
        self.size = before if size is None else size
        self._pool = ThreadPoolExecutor(self.size, "lodex-embed")
        started = threading.Barrier(self.size)

        def start(worker: int) -> None:
            torch.get_num_threads()  # takes over the number for new threads, which would otherwise happen later
            torch.set_num_threads(1)
            started.wait()

        list(self._pool.map(start, range(self.size)))
        # Each worker has set its own number and the one for threads to come; only the latter is put back.
        torch.set_num_threads(before)

    def run(self, function: Callable[[Item], Result], item: Item) -> Result:
        """The result of one item, computed by one of the threads while this one waits."""
        return self._pool.submit(function, item).result()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """Results in the order of the items, which are taken as threads come free: few are ever held.

        Where the caller stops early, what has not begun is dropped.
        """
        futures: deque[Future[Result]] = deque()
        try:
            for item in items:
                futures.append(self._pool.submit(function, item))
                if len(futures) > 2 * self.size:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            for future in futures:
                future.cancel()
