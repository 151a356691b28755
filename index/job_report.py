"""What the tasks of a job did: a line of the log for each, and sums by kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from lodex.index.jobs import Task, TaskResult, artefact_path, run_task
from lodex.index.receipt import RECEIPT, Artefact
from lodex.types import Progress


@runtime_checkable
class CountsTasks(Protocol):
    """A `Progress` that also shows how many tasks of a phase have ended."""

    def tasks(self, done: int, total: int | None) -> None:
        """`done` of `total` tasks have ended; None where it is not known how many there are."""
        ...


def tell_tasks(progress: Progress, done: int, total: int | None) -> None:
    """Tell a progress that counts tasks how many have ended."""
    if isinstance(progress, CountsTasks):
        progress.tasks(done, total)


@runtime_checkable
class CountsTokens(Protocol):
    """A `Progress` that also shows how many tokens a model reads a second."""

    def tokens(self, amount: int) -> None:
        """`amount` more tokens were read in the current phase."""
        ...


def tell_tokens(progress: Progress, amount: int) -> None:
    """Tell a progress that counts tokens how many more a model has read."""
    if isinstance(progress, CountsTokens):
        progress.tokens(amount)


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task: what it wrote and what that cost. A skipped one was finished by an earlier run, and cost nothing."""

    kind: str
    task: str
    is_skipped: bool
    rows: int
    bytes: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class KindSummary:
    """All tasks of one kind: how many ran and how many were skipped, the rows and bytes of both, the cost of the first.

    `seconds` are summed over tasks, also over those that ran at the same time.
    """

    kind: str
    done: int = 0
    skipped: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def plus(self, task: TaskReport) -> KindSummary:
        """The sum with one task more."""
        return replace(
            self,
            done=self.done + (not task.is_skipped),
            skipped=self.skipped + task.is_skipped,
            rows=self.rows + task.rows,
            bytes=self.bytes + task.bytes,
            seconds=self.seconds + task.seconds,
            cpu_seconds=self.cpu_seconds + task.cpu_seconds,
        )


class JobReport:
    """Gathers the reports of a job's tasks; each is logged as it comes, with its numbers in the record's `task`."""

    def __init__(self) -> None:
        self._kinds: dict[str, KindSummary] = {}

    def add(self, task: TaskReport) -> None:
        """Count a task that has ended."""
        self._kinds[task.kind] = self._kinds.get(task.kind, KindSummary(task.kind)).plus(task)
        what = "found" if task.is_skipped else "finished"
        _log.info(
            "%s task %s %s: %d rows, %d bytes, %.2f s, %.2f CPU s",
            *(task.kind, task.task, what, task.rows, task.bytes, task.seconds, task.cpu_seconds),
            extra={"task": asdict(task)},
        )

    def summary(self) -> tuple[KindSummary, ...]:
        """The sums, in the order in which the kinds came."""
        return tuple(self._kinds.values())


def run_measured(root: Path, task: Task, work: Callable[[Path], TaskResult]) -> tuple[Artefact, TaskReport]:
    """`run_task`, and what it did. CPU time is that of the whole process."""
    is_skipped = (artefact_path(root, task.kind, task.id) / RECEIPT).exists()
    started, cpu_started = time.perf_counter(), time.process_time()
    artefact = run_task(root, task, work)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    receipt = artefact.receipt
    written = sum(record.bytes for record in receipt.files.values() if not record.link)
    cost = (0.0, 0.0) if is_skipped else (seconds, cpu_seconds)
    return artefact, TaskReport(task.kind, task.id, is_skipped, receipt.rows, written, *cost)
