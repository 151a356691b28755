"""Ingest: from inputs to one new version of a store, or none."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

from lodex.errors import InputError, InvalidArgumentError
from lodex.index.adoption import SegmentAdopter, without_rows
from lodex.index.ingest_plan import Source, plan_tasks, task_bytes
from lodex.index.ingest_task import (
    INGEST,
    IngestedPart,
    IngestedSegment,
    IngestTask,
    OnError,
    Skipped,
    SkippedFaults,
    run_ingest_task,
)
from lodex.index.job_report import JobReport, KindSummary, TaskReport, tell_tasks
from lodex.index.jobs import artefact_path, forget_task
from lodex.index.receipt import Artefact, read_receipt
from lodex.index.segment import Segment
from lodex.index.sources.fields import Fields
from lodex.index.sources.inputs import Inputs
from lodex.index.sources.reading import MAX_DOCUMENT_BYTES
from lodex.index.store import Store
from lodex.index.worker_pool import Call, WorkerPool, in_order
from lodex.index.writer import SEGMENT_BYTES, AddResult, already
from lodex.types import Progress, Silent

__all__ = ["IngestSummary", "OnError", "Skipped", "ingest"]


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What an ingest did. `version` is the store's version afterwards, a new one if any document was written.

    `files` counts the inputs that were read. `skipped` are the faults that `on_error="skip"` left out, most frequent
    first; `passed_over` counts the files of folders and globs that no reader knows, by extension. `tasks` says how the
    work was divided and what it cost.
    """

    version: int
    documents: int
    text_bytes: int
    replaced: int
    files: int
    seconds: float
    skipped: tuple[Skipped, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    tasks: tuple[KindSummary, ...] = field(default=(), compare=False)


def ingest(
    store: Store,
    inputs: Sequence[str],
    *,
    fields: Fields | None = None,
    on_error: OnError = "fail",
    replace: bool = False,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
    segment_bytes: int = SEGMENT_BYTES,
    progress: Progress | None = None,
    workers: int = 1,
    task_input_bytes: int | None = None,
) -> IngestSummary:
    """Read every document of `inputs` (see `Inputs`) and publish them as one new version of `store`.

    With `on_error="fail"` the first fault is raised as InputError, naming file and line, and the store stays at its
    last version; with "skip" faulty documents are left out and counted. A doc_id that the store or an earlier input has
    is a fault, unless `replace`; so is a document without text, or with more than `max_document_bytes` of it.
    Memory does not grow with the inputs. Progress is counted in bytes of input, compressed where they are.

    The inputs are cut into tasks of about `task_input_bytes` (see `task_bytes`), which `workers` processes share. An
    ingest that was killed does not repeat the tasks that it finished, if it is called again with the same arguments and
    the files have not changed; standard input and named sources are read again. The result is the same in any case.
    """
    if on_error not in ("fail", "skip"):
        raise InvalidArgumentError(f"on_error must be 'fail' or 'skip', not {on_error!r}", "on_error")
    for name, number in (("max_document_bytes", max_document_bytes), ("workers", workers)):
        if number < 1:
            raise InvalidArgumentError(f"{name} must be positive, not {number}", name)
    started = time.perf_counter()
    sources = Inputs(inputs)
    options = IngestTask((), fields or Fields(), on_error, replace, max_document_bytes, segment_bytes)
    limit = task_input_bytes or task_bytes(sources.total_bytes, segment_bytes)
    tasks = (_with_sources(options, group) for group in plan_tasks(sources, limit))
    progress = progress or Silent()
    # Processes would only cost where there is one task.
    is_small = sources.total_bytes is not None and sources.total_bytes <= limit
    job = _Ingest(store.path, options, SegmentAdopter(store, replace=replace), progress)
    progress.start("ingest", sources.total_bytes, "bytes")
    try:
        with WorkerPool(1 if is_small else workers) as pool, store.writing():
            result = job.run(tasks, pool)
    finally:
        progress.finish()
    return IngestSummary(
        version=result.version,
        documents=result.documents,
        text_bytes=result.text_bytes,
        replaced=result.replaced,
        files=job.files,
        seconds=time.perf_counter() - started,
        skipped=job.skipped.summary(),
        passed_over=dict(sources.passed_over),
        tasks=job.report.summary(),
    )


def _with_sources(options: IngestTask, sources: tuple[Source, ...]) -> IngestTask:
    task = dataclasses.replace(options, sources=sources)
    # What cannot be read again is never found finished.
    return dataclasses.replace(task, nonce=secrets.token_hex(16)) if task.is_streamed else task


class _Ingest:
    """Runs tasks and gathers what they wrote."""

    def __init__(self, root: Path, options: IngestTask, writer: SegmentAdopter, progress: Progress) -> None:
        self._root = root
        self._options = options
        self._writer = writer
        self._progress = progress
        self._ids: list[str] = []
        self.files = 0
        self.skipped = SkippedFaults()
        self.report = JobReport()

    def run(self, tasks: Iterable[IngestTask], pool: WorkerPool) -> AddResult:
        """Do the tasks, publish all that they wrote, and forget them."""
        streamed = []
        try:
            # Standard input is this process's own.
            for is_streamed, group in groupby(tasks, key=lambda task: task.is_streamed):
                calls = map(self._call, group)
                for task_id, report in in_order(pool.run(calls, self._progress, workers=1 if is_streamed else None)):
                    streamed += [task_id] if is_streamed else []
                    self._take(task_id, report)
            result = self._writer.commit()
            for task_id in self._ids:
                forget_task(self._root, INGEST, task_id)
        finally:
            for task_id in streamed:
                forget_task(self._root, INGEST, task_id)
        return result

    def _call(self, task: IngestTask) -> Call[tuple[str, TaskReport]]:
        first = task.sources[0]
        place = first.source if isinstance(first, InputError) else first.place
        more = f" and {len(task.sources) - 1} more" if len(task.sources) > 1 else ""
        return Call(f"the ingest of {place}{more}", partial(run_ingest_task, self._root, task))

    def _take(self, task_id: str, report: TaskReport) -> None:
        """Take over what a task wrote."""
        path = artefact_path(self._root, INGEST, task_id)
        part = IngestedPart(self._root, Artefact(path, read_receipt(path)))
        written = 0
        for made in part.segments:
            segment = made.open()
            written += sum(record.bytes for record in segment.artefact.receipt.files.values())
            settled = self._settled(made, segment)
            if settled is not None:
                self._writer.adopt(settled, made.superseded if settled is segment else ())
        for skipped in part.skipped:
            self.skipped.merge(skipped)
        self.files += part.files
        self.report.add(dataclasses.replace(report, bytes=report.bytes + written))
        self._ids.append(task_id)
        tell_tasks(self._progress, len(self._ids), None)

    def _settled(self, made: IngestedSegment, segment: Segment) -> Segment | None:
        """The segment without the documents that are there already, None where all are; the first may raise."""
        if self._options.replace:
            return segment
        known = dict(self._writer.rows_known(segment))
        for row, where in known.items():
            error = already(segment.doc_id(row), where).at(*made.place(row))
            if self._options.on_error == "fail":
                raise error
            self.skipped.add(error)
        return without_rows(self._root, segment, known.keys()) if known else segment
