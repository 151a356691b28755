"""The job engine: pure tasks with content-addressed ids, whose published receipt makes any rerun skip them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from lodex.index.files import Staging, remove_folder, sweep_abandoned
from lodex.index.quarantine import Quarantine
from lodex.index.receipt import RECEIPT, Artefact, Receipt, canonical_json, read_receipt, record_files

# Part of every task id: raise it where the bytes of some kind change for the same inputs and configuration.
_TASK_FORMAT = 1


@dataclass(frozen=True)
class Task:
    """A pure function of its inputs and configuration, known by what it computes rather than when or where."""

    kind: str
    inputs: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """32 hexadecimal digits over kind, inputs and configuration."""
        return xxhash.xxh3_128_hexdigest(canonical_json([_TASK_FORMAT, self.kind, list(self.inputs), self.config]))


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How many rows a task wrote, and small facts for its receipt."""

    rows: int
    details: Mapping[str, Any] = field(default_factory=dict)


def artefact_path(root: Path, kind: str, task_id: str) -> Path:
    """Where the output of a task stands in a store."""
    return root / "artefacts" / kind / task_id


def run_task(root: Path, task: Task, work: Callable[[Path], TaskResult], *, afresh: bool = False) -> Artefact:
    """Do `work` in a fresh folder and publish it, or return what an earlier run published.

    `work` receives the folder and writes flat files into it. A killed run leaves only a temporary folder, which the
    next task of the kind sweeps away. DataLossError where what an earlier run published is quarantined;
    with `afresh` that is done again, and takes its place.
    """
    final = artefact_path(root, task.kind, task.id)
    if not afresh:
        Quarantine(root).require_sound(task.kind, task.id)
        if (final / RECEIPT).exists():
            # Young again: what this is needed for is not published yet, so nobody is to collect it as garbage.
            os.utime(final)
            return Artefact(final, read_receipt(final))
    sweep_abandoned(final.parent)
    with Staging(final.parent) as staging:
        result = work(staging.path)
        receipt = Receipt(
            kind=task.kind,
            id=task.id,
            inputs=task.inputs,
            config=task.config,
            rows=result.rows,
            details=result.details,
            files=record_files(staging.path),
        )
        (staging.path / RECEIPT).write_bytes(receipt.to_bytes())
        if afresh:
            remove_folder(final)
        staging.publish(final)
    return Artefact(final, read_receipt(final))


def forget_task(root: Path, kind: str, task_id: str) -> None:
    """Remove what a task wrote, whole or not at all; nothing where it is gone already."""
    remove_folder(artefact_path(root, kind, task_id))
