"""Ingest: from inputs to one new version of a store, or none."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lodex.errors import InputError, InvalidArgumentError
from lodex.index.sources.fault import Fault
from lodex.index.sources.fields import Fields
from lodex.index.sources.inputs import Inputs
from lodex.index.sources.reading import MAX_DOCUMENT_BYTES, Item, Reading, Record, too_large
from lodex.index.store import Store
from lodex.index.writer import SEGMENT_BYTES, StoreWriter
from lodex.types import Progress, Silent

OnError = Literal["fail", "skip"]

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Skipped:
    """How many inputs of one fault were skipped, and the messages of the first few."""

    fault: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What an ingest did. `version` is the store's version afterwards, a new one if any document was written.

    `files` counts the inputs that were read. `skipped` are the faults that `on_error="skip"` left out, most frequent
    first; `passed_over` counts the files of folders and globs that no reader knows, by extension.
    """

    version: int
    documents: int
    text_bytes: int
    replaced: int
    files: int
    seconds: float
    skipped: tuple[Skipped, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)


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
) -> IngestSummary:
    """Read every document of `inputs` (see `Inputs`) and publish them as one new version of `store`.

    With `on_error="fail"` the first fault is raised as InputError, naming file and line, and the store stays at its
    last version; with "skip" faulty documents are left out and counted. A doc_id that the store or an earlier input has
    is a fault, unless `replace`; so is a document without text, or with more than `max_document_bytes` of it.
    Memory does not grow with the inputs. Progress is counted in bytes of input, compressed where they are.
    """
    if on_error not in ("fail", "skip"):
        raise InvalidArgumentError(f"on_error must be 'fail' or 'skip', not {on_error!r}", "on_error")
    if max_document_bytes < 1:
        raise InvalidArgumentError(
            f"max_document_bytes must be positive, not {max_document_bytes}", "max_document_bytes"
        )
    started = time.perf_counter()
    sources = Inputs(inputs)
    progress = progress or Silent()
    meter = _Meter(progress)
    reading = Reading(fields or Fields(), max_document_bytes, meter.advance)
    skipped = _SkippedFaults()
    progress.start("ingest", sources.total_bytes, "bytes")
    try:
        with store.writer(replace=replace, segment_bytes=segment_bytes) as writer:
            for item in _items(sources, reading, meter):
                try:
                    _write(item, writer, reading)
                except InputError as error:
                    if on_error == "fail":
                        raise
                    skipped.add(error)
            result = writer.commit()
    finally:
        progress.finish()
    return IngestSummary(
        version=result.version,
        documents=result.documents,
        text_bytes=result.text_bytes,
        replaced=result.replaced,
        files=meter.files,
        seconds=time.perf_counter() - started,
        skipped=skipped.summary(),
        passed_over=dict(sources.passed_over),
    )


def _items(sources: Inputs, reading: Reading, meter: _Meter) -> Iterator[Item]:
    for source in sources:
        if isinstance(source, InputError):
            yield source
            continue
        meter.begin(source.size_bytes)
        for item in source.read(reading):
            yield item
            if source.size_bytes is None and isinstance(item, Record):
                meter.advance(len(item.document.text))
        meter.end()


def _write(item: Item, writer: StoreWriter, reading: Reading) -> None:
    if isinstance(item, InputError):
        raise item
    document = item.document
    try:
        if not document.text or document.text.isspace():
            raise InputError(f"document {document.doc_id!r} has no text", kind=Fault.EMPTY_TEXT)
        text_bytes = _utf8_length(document.text, reading.max_document_bytes)
        if text_bytes > reading.max_document_bytes:
            raise too_large(f"document {document.doc_id!r} has {text_bytes:,} bytes of text", reading)
        writer.add(document)
    except InputError as error:
        raise error.at(item.place, item.line) from error


def _utf8_length(text: str, harmless: int) -> int:
    """The bytes of a text as UTF-8; an upper bound of them where that is `harmless`, since counting takes a copy."""
    bound = 4 * len(text)
    return bound if bound <= harmless else len(text.encode(errors="surrogatepass"))


class _Meter:
    """Passes on the bytes read so that every file advances the progress by exactly its size, however it ends."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._left = 0
        self._is_known = False
        self.files = 0

    def begin(self, size_bytes: int | None) -> None:
        self.files += 1
        self._is_known = size_bytes is not None
        self._left = size_bytes or 0

    def advance(self, amount: int) -> None:
        if self._is_known:
            amount = min(amount, self._left)
            self._left -= amount
        if amount:
            self._progress.advance(amount)

    def end(self) -> None:
        self.advance(self._left)


class _SkippedFaults:
    """Counts faults by kind and keeps the first messages of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, error: InputError) -> None:
        self._counts[error.kind] += 1
        examples = self._examples.setdefault(error.kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(str(error))

    def summary(self) -> tuple[Skipped, ...]:
        return tuple(Skipped(kind, n, tuple(self._examples[kind])) for kind, n in self._counts.most_common())
