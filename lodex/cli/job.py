"""What the verbs that run jobs have in common: how many workers, a line of the log for each task, and a summary."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich import filesize

from lodex.cli.app import plural, say
from lodex.cli.progress import terminal_progress
from lodex.errors import InvalidArgumentError
from lodex.index.job_report import KindSummary
from lodex.index.worker_pool import default_workers
from lodex.types import Progress

WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes at most. Default: the number of cores.")
]
LogJsonFlag = Annotated[
    bool, typer.Option("--log-json", help="Log each task on stderr as JSON, one object a line. Also: LODEX_LOG=json.")
]
LOG_VARIABLE = "LODEX_LOG"
_LOGGER = "lodex"


def workers_of(wanted: int | None) -> int:
    """How many workers an option asks for."""
    return wanted or default_workers()


@contextmanager
def job_progress(log_json: bool) -> Iterator[Progress]:
    """A `Progress` for the time of the block: bars on a terminal; elsewhere a line of the log for each task.

    The environment variable LODEX_LOG asks for lines on a terminal too, as "json" or as "text", or for none, as "off".
    """
    wanted = "json" if log_json else os.environ.get(LOG_VARIABLE) or ("off" if sys.stderr.isatty() else "text")
    if wanted not in ("json", "text", "off"):
        raise InvalidArgumentError(f"{LOG_VARIABLE} must be json, text or off, not {wanted!r}", LOG_VARIABLE)
    with terminal_progress() as progress:
        if wanted == "off":
            yield progress
            return
        logger = logging.getLogger(_LOGGER)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Json() if wanted == "json" else _Plain())
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield progress
        finally:
            logger.setLevel(level)
            logger.removeHandler(handler)


class _Plain(logging.Formatter):
    """`2026-01-02T03:04:05+00:00 INFO message`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return f"{_when(record)} {record.levelname} {record.getMessage()}"


class _Json(logging.Formatter):
    """An object with `time`, `level` and `message`, and the numbers of the task under `task`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        value = {"time": _when(record), "level": record.levelname, "message": record.getMessage()}
        return json.dumps(value | {"task": getattr(record, "task", None)}, ensure_ascii=False)


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def print_tasks(kinds: Sequence[KindSummary]) -> None:
    """A line for each kind of task."""
    for kind in kinds:
        found = f", {kind.skipped:,} found finished" if kind.skipped else ""
        say(
            f"{kind.kind}: {plural(kind.done, 'task')}{found}, {plural(kind.rows, 'row')}, "
            f"{filesize.decimal(kind.bytes)}, {kind.seconds:,.1f} s, {kind.cpu_seconds:,.1f} CPU s"
        )
