"""One task of an ingest: some inputs into segments, with a receipt that says what became of every document.

The receipt is of use until the ingest is published, and is removed then: it may quote documents that were left out.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError, InputError
from lodex.index.files import checksum_bytes
from lodex.index.ingest_plan import Source
from lodex.index.job_report import TaskReport, run_measured
from lodex.index.jobs import Task, TaskResult, artefact_path, forget_task
from lodex.index.receipt import RECEIPT, Artefact, read_receipt
from lodex.index.segment import Segment, SegmentWriter, encode_document
from lodex.index.sources.fault import Fault
from lodex.index.sources.fields import Fields
from lodex.index.sources.inputs import Input
from lodex.index.sources.reading import Item, Reading, Record, printable, too_large
from lodex.index.writer import SEGMENT_DOCUMENTS, already
from lodex.types import Document, Progress

OnError = Literal["fail", "skip"]

INGEST = "ingest"
"""The kind of the task, and of the artefact that holds its receipt."""
_LINES = "lines.u32"
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Skipped:
    """How many inputs of one fault were skipped, and the messages of the first few."""

    fault: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IngestTask:
    """What to read and how. `nonce` tells the task from any other where its inputs do not."""

    sources: tuple[Source, ...]
    fields: Fields
    on_error: OnError
    replace: bool
    max_document_bytes: int
    segment_bytes: int
    nonce: str = ""

    @property
    def is_streamed(self) -> bool:
        """Whether it reads what cannot be read twice, or not in another process."""
        return any(isinstance(source, Input) and source.size_bytes is None for source in self.sources)

    def task(self) -> Task:
        """The task in the terms of the job engine: files are known by path, size and time of change."""
        config = {
            "fields": asdict(self.fields),
            "on_error": self.on_error,
            "replace": self.replace,
            "max_document_bytes": self.max_document_bytes,
            "segment_bytes": self.segment_bytes,
            "nonce": self.nonce,
        }
        return Task(INGEST, tuple(_identity(source) for source in self.sources), config)


def _identity(source: Source) -> str:
    if isinstance(source, InputError):
        return f"fault: {source}"
    if source.file is None:
        return source.place
    path = printable(os.path.abspath(source.file.path))  # noqa: PTH100  links stay as they are
    lines = f", bytes {source.lines.begin} to {source.lines.end}" if source.lines else ""
    return f"{path} as {source.file.name} of {source.size_bytes} bytes, changed at {source.mtime_ns}{lines}"


def run_ingest_task(root: Path, ingest_task: IngestTask, progress: Progress) -> tuple[str, TaskReport]:
    """Write the segments and the receipt of a task, or find them; returns its id. Raises the first fault if asked to.

    A receipt whose segments are no more there is not taken for a task that is done.
    """
    task = ingest_task.task()
    path = artefact_path(root, INGEST, task.id)
    if (path / RECEIPT).exists() and not _has_segments(root, path):
        forget_task(root, INGEST, task.id)
    meter = Meter(progress)
    artefact, report = run_measured(root, task, lambda out: _Ingesting(root, ingest_task, meter).write(out))
    if report.is_skipped:
        meter.advance(sum(s.size_bytes or 0 for s in ingest_task.sources if isinstance(s, Input)))
    return artefact.id, report


def _has_segments(root: Path, path: Path) -> bool:
    try:
        for made in IngestedPart(root, Artefact(path, read_receipt(path))).segments:
            made.open()
            # Young again, as the receipt will be: no version has it yet, and it is not to be collected as garbage.
            os.utime(root / "segments" / made.id)
    except (DataLossError, FileNotFoundError):
        return False
    return True


class IngestedSegment:
    """A segment that a task wrote: its rows that later ones of the task replaced, and where its documents stood."""

    def __init__(self, root: Path, facts: Mapping[str, Any], lines: npt.NDArray[np.uint32]) -> None:
        self._root = root
        self._facts = facts
        self._lines = lines
        self.id: str = facts["id"]
        self.superseded = frozenset(facts["superseded"])

    def open(self) -> Segment:
        """The segment; DataLossError where it is not the one that was written."""
        path = self._root / "segments" / self.id
        return Segment(path, read_receipt(path, self._facts["receipt"]))

    def place(self, row: int) -> tuple[str, int]:
        """The input and the line of a row."""
        place = next(name for first, name in reversed(self._facts["places"]) if first <= row)
        return place, int(self._lines[row])


class IngestedPart:
    """What a task left: segments in order, faults, and how many inputs it read."""

    def __init__(self, root: Path, artefact: Artefact) -> None:
        details = artefact.receipt.details
        self.files = int(details["files"])
        self.skipped = [Skipped(fault, count, tuple(messages)) for fault, count, messages in details["skipped"]]
        lines = np.fromfile(artefact.file(_LINES), "<u4")
        ends = np.cumsum([0] + [facts["documents"] for facts in details["segments"]])
        self.segments = [
            IngestedSegment(root, facts, lines[begin:end])
            for facts, begin, end in zip(details["segments"], ends[:-1], ends[1:], strict=True)
        ]


class _Ingesting:
    """The work of a task."""

    def __init__(self, root: Path, task: IngestTask, meter: Meter) -> None:
        self._task = task
        self._meter = meter
        self._reading = Reading(task.fields, task.max_document_bytes, meter.advance)
        self._segments = _Segments(root, task.replace, task.segment_bytes)
        self._skipped = SkippedFaults()

    def write(self, out: Path) -> TaskResult:
        """Segments go to their folder, what is known of them into `out`."""
        with self._segments as segments:
            for item in self._items():
                try:
                    self._write(item)
                except InputError as error:
                    if self._task.on_error == "fail":
                        raise
                    self._skipped.add(error)
            segments.close()
        (out / _LINES).write_bytes(np.array(segments.lines, "<u4").tobytes())
        details = {
            "files": self._meter.files,
            "skipped": [[s.fault, s.count, list(s.examples)] for s in self._skipped.summary()],
            "segments": segments.facts,
        }
        return TaskResult(len(segments.lines), details)

    def _items(self) -> Iterator[Item]:
        for source in self._task.sources:
            if isinstance(source, InputError):
                yield source
                continue
            self._meter.begin(source.size_bytes, is_further=source.lines is not None and source.lines.begin > 0)
            for item in source.read(self._reading):
                yield item
                if source.size_bytes is None and isinstance(item, Record):
                    self._meter.advance(len(item.document.text))
            self._meter.end()

    def _write(self, item: Item) -> None:
        if isinstance(item, InputError):
            raise item
        document = item.document
        reading = self._reading
        try:
            if not document.text or document.text.isspace():
                raise InputError(f"document {document.doc_id!r} has no text", kind=Fault.EMPTY_TEXT)
            text_bytes = _utf8_length(document.text, reading.max_document_bytes)
            if text_bytes > reading.max_document_bytes:
                raise too_large(f"document {document.doc_id!r} has {text_bytes:,} bytes of text", reading)
            self._segments.add(document, item.place, item.line)
        except InputError as error:
            raise error.at(item.place, item.line) from error


class _Segments:
    """The segments of a task. Memory is bounded: only the ids of the open one are held, and 4 bytes a document."""

    def __init__(self, root: Path, replace: bool, segment_bytes: int) -> None:
        self._root = root
        self._replace = replace
        self._segment_bytes = segment_bytes
        self._closed: list[Segment] = []
        self._open: SegmentWriter | None = None
        self._open_rows: dict[str, int] = {}
        self._superseded: list[set[int]] = [set()]
        self._places: list[tuple[int, str]] = []
        self.lines = array("I")
        self.facts: list[dict[str, Any]] = []

    def add(self, document: Document, place: str, line: int) -> None:
        """Write one document; InputError leaves the segments as they were."""
        text, fields = encode_document(document)
        earlier = self._find(document.doc_id)
        if earlier is not None and not self._replace:
            raise already(document.doc_id, "in this input")
        if self._open is None:
            self._open = SegmentWriter(self._root)
        row = self._open_rows[document.doc_id] = self._open.append(text, fields)
        if not self._places or self._places[-1][1] != place:
            self._places.append((row, place))
        self.lines.append(line)
        if earlier is not None:
            self._superseded[earlier[0]].add(earlier[1])
        if self._open.text_bytes >= self._segment_bytes or self._open.num_documents >= SEGMENT_DOCUMENTS:
            self.close()

    def _find(self, doc_id: str) -> tuple[int, int] | None:
        """Where the task has a doc_id: the place of the segment, and the row."""
        if doc_id in self._open_rows:
            return len(self._closed), self._open_rows[doc_id]
        for place, segment in enumerate(self._closed):
            row = segment.row_of(doc_id)
            if row is not None and row not in self._superseded[place]:
                return place, row
        return None

    def close(self) -> None:
        """End the open segment, if there is one."""
        if self._open is None:
            return
        artefact = self._open.publish()
        self._open = None
        self._open_rows.clear()
        self._closed.append(Segment(artefact.path, artefact.receipt))
        self.facts.append(
            {
                "id": artefact.id,
                "receipt": checksum_bytes((artefact.path / RECEIPT).read_bytes()),
                "documents": artefact.receipt.rows,
                "places": [list(place) for place in self._places],
            }
        )
        self._places.clear()
        self._superseded.append(set())

    def __enter__(self) -> _Segments:
        return self

    def __exit__(self, *error: object) -> None:
        if self._open is not None:
            self._open.discard()
            self._open = None
        for facts, rows in zip(self.facts, self._superseded, strict=False):
            facts["superseded"] = sorted(rows)


def _utf8_length(text: str, harmless: int) -> int:
    """The bytes of a text as UTF-8; an upper bound of them where that is `harmless`, since counting takes a copy."""
    bound = 4 * len(text)
    return bound if bound <= harmless else len(text.encode(errors="surrogatepass"))


class Meter:
    """Passes on the bytes read so that every file advances the progress by exactly its size, however it ends."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._left = 0
        self._is_known = False
        self.files = 0

    def begin(self, size_bytes: int | None, is_further: bool = False) -> None:
        """A file is begun, or a further part of one."""
        self.files += not is_further
        self._is_known = size_bytes is not None
        self._left = size_bytes or 0

    def advance(self, amount: int) -> None:
        """Bytes were read."""
        if self._is_known:
            amount = min(amount, self._left)
            self._left -= amount
        if amount:
            self._progress.advance(amount)

    def end(self) -> None:
        """The file is over."""
        self.advance(self._left)


class SkippedFaults:
    """Counts faults by kind and keeps the first messages of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, error: InputError) -> None:
        """Count one."""
        self.merge(Skipped(str(error.kind), 1, (str(error),)))

    def merge(self, skipped: Skipped) -> None:
        """Count what a task has counted."""
        self._counts[skipped.fault] += skipped.count
        examples = self._examples.setdefault(skipped.fault, [])
        examples += skipped.examples[: _EXAMPLES - len(examples)]

    def summary(self) -> tuple[Skipped, ...]:
        """All of them, most frequent first."""
        return tuple(Skipped(kind, n, tuple(self._examples[kind])) for kind, n in self._counts.most_common())
