"""Merging segments: the live documents of several, copied into a new one in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lodex.index.deletions import Deletions
from lodex.index.jobs import Task, TaskResult, run_task
from lodex.index.manifest import TOMBSTONES
from lodex.index.merge_sources import Source
from lodex.index.receipt import RECEIPT, Artefact, read_receipt
from lodex.index.segment import DOCUMENTS_SCHEMA, Segment, SegmentWriter
from lodex.types import Progress

KIND = "merge"
"""The kind of artefact that says into which segment others were merged, so that a killed run need not do it again."""
_FIELDS = [name for name in DOCUMENTS_SCHEMA.names if name not in ("begin", "end")]


def sources_of(segments: Sequence[tuple[Segment, Deletions]]) -> tuple[Source, ...]:
    """Segments, in their order, as the sources of one."""
    sources, first_row = [], 0
    for segment, deletions in segments:
        sources.append(Source(segment, deletions, first_row))
        first_row += segment.num_documents - len(deletions)
    return tuple(sources)


def merge_segments(root: Path, sources: Sequence[Source], progress: Progress) -> Segment:
    """The segment of the sources' live documents, durable and not yet in any version.

    Its bytes, and so its id, are those of a segment to which these documents were added one after the other.
    """
    task = Task(KIND, tuple(_inputs(sources)))

    def work(out: Path) -> TaskResult:
        for source in sources:
            source.segment.artefact.prove_all()
        merged = _write(root, sources, progress)
        return TaskResult(merged.receipt.rows, {"segment": merged.id})

    noted = run_task(root, task, work)
    path = root / "segments" / str(noted.receipt.details["segment"])
    # What an earlier run noted may have been swept since.
    merged = Artefact(path, read_receipt(path)) if (path / RECEIPT).exists() else _write(root, sources, progress)
    return Segment(merged.path, merged.receipt)


def _inputs(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        yield f"segments/{source.segment.id}"
        if len(source.deletions):
            yield f"artefacts/{TOMBSTONES}/{source.deletions.id}"


def _write(root: Path, sources: Sequence[Source], progress: Progress) -> Artefact:
    writer = SegmentWriter(root)
    try:
        progress.start("documents", sum(_live_bytes(source) for source in sources), "bytes")
        for source in sources:
            for text, fields in _live_documents(source):
                writer.append(text, fields)
                progress.advance(len(text))
        progress.finish()
        return writer.publish()
    except BaseException:
        writer.discard()
        raise


def _live_documents(source: Source) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """The bytes and the fields of each document as they stand, in the order of rows."""
    segment, row = source.segment, 0
    for batch in segment.batches:
        columns = [batch.column(name).to_pylist() for name in _FIELDS]
        for fields in zip(*columns, strict=True):
            if row not in source.deletions:
                yield segment.read(int(segment.begins[row]), int(segment.ends[row])), fields
            row += 1


def _live_bytes(source: Source) -> int:
    rows = source.deletions.live_rows
    return int((source.segment.ends[rows] - source.segment.begins[rows]).sum())
