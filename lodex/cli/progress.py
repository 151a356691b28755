"""A progress bar with rate and remaining time, drawn on stderr where that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from lodex.types import Progress, Silent

_REPORT_INTERVAL_S = 0.1


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """A `Progress` for the time of the block: bars on a terminal, silence in a pipe or a log."""
    if not sys.stderr.isatty():
        yield Silent()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _AmountColumn(),
        _RateColumn(),
        _TokenRateColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        _TasksColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield _TerminalProgress(bars)


class _TerminalProgress:
    """One bar for each phase; a phase of the same label takes the bar of the one before it.

    Amounts are passed on ten times a second: rich estimates the rate from the last thousand reports.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._label = ""
        self._tasks = ""
        self._pending = 0
        self._reported = 0.0

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Draw a bar."""
        if self._task is not None and self._label == label:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(label, total=total, unit=unit, tasks=self._tasks, tokens=0)
        self._label = label
        self._pending = 0
        self._reported = time.monotonic()

    def advance(self, amount: int) -> None:
        """Move the bar on."""
        self._pending += amount
        if time.monotonic() - self._reported >= _REPORT_INTERVAL_S:
            self._report()

    def tasks(self, done: int, total: int | None) -> None:
        """Show how many tasks have ended, unless there is but one."""
        self._tasks = f"{done:,} of {total:,} tasks" if (total or 0) > 1 else f"{done:,} tasks" if done > 1 else ""
        if self._task is not None and done:
            self._bars.update(self._task, tasks=self._tasks)

    def tokens(self, amount: int) -> None:
        """Count tokens in, for their rate over the whole phase."""
        if self._task is not None:
            (task,) = (task for task in self._bars.tasks if task.id == self._task)
            self._bars.update(self._task, tokens=task.fields["tokens"] + amount)

    def finish(self) -> None:
        """Stop the clock of the bar, which stays."""
        self._report()
        self._tasks = ""
        if self._task is not None:
            self._bars.stop_task(self._task)

    def _report(self) -> None:
        if self._task is not None:
            self._bars.advance(self._task, self._pending)
        self._pending = 0
        self._reported = time.monotonic()


class _AmountColumn(ProgressColumn):
    """`12.0/40.0 MB`, or `300/5,183 documents`."""

    def render(self, task: Task) -> Text:
        """The text of one bar."""
        unit = task.fields["unit"]
        done, total = int(task.completed), None if task.total is None else int(task.total)
        if unit == "bytes":
            return Text(filesize.decimal(done) + ("" if total is None else f" of {filesize.decimal(total)}"))
        return Text(f"{done:,}{'' if total is None else f' of {total:,}'} {unit}")


class _RateColumn(ProgressColumn):
    """`85.3 MB/s`, or `1,200/s`; over the whole phase once it has ended."""

    def render(self, task: Task) -> Text:
        """The text of one bar."""
        ended = task.finished or task.stop_time is not None
        rate = task.completed / task.elapsed if ended and task.elapsed else task.speed
        if not rate:
            return Text("")
        return Text(f"{filesize.decimal(int(rate))}/s" if task.fields["unit"] == "bytes" else f"{rate:,.0f}/s")


class _TokenRateColumn(ProgressColumn):
    """`5,120 tokens/s` over the whole phase, where a model reads."""

    def render(self, task: Task) -> Text:
        """The text of one bar."""
        tokens = task.fields["tokens"]
        return Text(f"{tokens / task.elapsed:,.0f} tokens/s" if tokens and task.elapsed else "")


class _TasksColumn(ProgressColumn):
    """`3 of 8 tasks`, where a phase has several."""

    def render(self, task: Task) -> Text:
        """The text of one bar."""
        return Text(task.fields["tasks"])
