"""Work in the background: at most a share of one core, and an end when asked for."""

from __future__ import annotations

import time
from collections.abc import Callable

from lodex.errors import InvalidArgumentError
from lodex.types import Progress

Check = Callable[[], None]
"""Raises where the work is to stop."""

# Pauses are no shorter than what a thread is woken for, and no longer than it may take to notice an end.
_LEAST_WORK_S = 0.02
_LONGEST_SLEEP_S = 0.1


class Throttle:
    """Sleeps as much as it takes for a thread to use at most `share` of a core, on average. One thread uses it."""

    def __init__(self, share: float = 0.5) -> None:
        if not 0 < share <= 1:
            raise InvalidArgumentError(f"share is {share}, expected more than 0 and at most 1", "share")
        self._idle_per_busy = 1 / share - 1
        self._busy_until: float | None = None
        self._look_from = 0.0

    def pause(self, check: Check = lambda: None) -> None:
        """Sleep for what the thread has worked since the last pause; `check` is called all the while."""
        check()
        # The clock of a thread is far slower to read than that of the wall.
        if not self._idle_per_busy or time.monotonic() < self._look_from:
            return
        if self._busy_until is not None:
            self._sleep((time.thread_time() - self._busy_until) * self._idle_per_busy, check)
        self._busy_until = time.thread_time()
        self._look_from = time.monotonic() + _LEAST_WORK_S

    def _sleep(self, seconds: float, check: Check) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LONGEST_SLEEP_S))
            check()


class Paced:
    """A `Progress` that pauses, and may stop, wherever work tells how far it is."""

    def __init__(self, progress: Progress, throttle: Throttle, check: Check) -> None:
        self._progress = progress
        self._throttle = throttle
        self._check = check

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Begin a phase."""
        self._throttle.pause(self._check)
        self._progress.start(label, total, unit)

    def advance(self, amount: int) -> None:
        """Go on."""
        self._progress.advance(amount)
        self._throttle.pause(self._check)

    def finish(self) -> None:
        """End a phase."""
        self._progress.finish()
        self._throttle.pause(self._check)
