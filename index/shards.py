"""Shards: tasks whose outputs a larger task joins, so that a kill loses no more than one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lodex.errors import DataLossError
from lodex.index.job_report import JobReport, run_measured
from lodex.index.jobs import Task, TaskResult, forget_task
from lodex.index.receipt import Artefact

T = TypeVar("T")


class Shards:
    """The shards of one larger task, in a store or in any folder that has `artefacts/`; `report` is told of each.

    They are of use until what is joined from them is published; no manifest names them. Those of a task that was never
    finished are garbage to `lodex gc` once they are old.
    """

    def __init__(self, root: Path, report: JobReport | None = None) -> None:
        self._root = root
        self._report = report or JobReport()
        self._tasks: list[tuple[str, str]] = []

    def take(self, task: Task, work: Callable[[Path], TaskResult], read: Callable[[Artefact], T]) -> T:
        """What `read` gives of a shard that an earlier run published, or that `work` writes now.

        A shard that `read` finds damaged (DataLossError) is thrown away and made again: nothing is lost with it.
        """
        self._tasks.append((task.kind, task.id))
        shard = self._run(task, work)
        try:
            return read(shard)
        except DataLossError:
            # Or gone: another job that joined the same shards has finished, and forgot them.
            forget_task(self._root, task.kind, task.id)
        return read(self._run(task, work))

    def forget(self) -> None:
        """Remove every shard that was taken: what they were for is published."""
        for kind, id in self._tasks:
            forget_task(self._root, kind, id)
        self._tasks.clear()

    def _run(self, task: Task, work: Callable[[Path], TaskResult]) -> Artefact:
        shard, report = run_measured(self._root, task, work)
        self._report.add(report)
        return shard
