"""Merging passage tables: the spans of live documents, moved to where these stand now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lodex.index.arrow_files import write_single_batch
from lodex.index.jobs import TaskResult
from lodex.index.merge_sources import Parts, SourcePart, Target
from lodex.index.passages import PASSAGES, SCHEMA, PassageTable
from lodex.types import Progress


def merge_passages(parts: Parts, target: Target, out: Path, progress: Progress) -> TaskResult:
    """Write `passages.arrow` as it would be cut from the merged segment. No text is read."""
    progress.start("passages", len(parts), "segments")
    moved = []
    for part in parts:
        moved.append(_moved(part, target))
        progress.advance(1)
    progress.finish()
    columns = [
        pa.array(np.concatenate(column), field.type)
        for column, field in zip(list(zip(*moved, strict=True))[:-1], SCHEMA, strict=False)
    ]
    # Concatenating gives numbers in the byte order of the machine, whatever they had.
    keys = np.concatenate([arrays[-1] for arrays in moved]).astype(">u8")
    n = len(keys)
    columns.append(pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), n, [None, pa.py_buffer(keys.tobytes())]))
    write_single_batch(out / PASSAGES, pa.record_batch(columns, schema=SCHEMA))
    return TaskResult(rows=n)


def _moved(part: SourcePart, target: Target) -> tuple[np.ndarray, ...]:
    """Rows, ordinals, begins, ends and keys of a source's live passages in the merged segment."""
    source, old, new = part.source, part.source.segment, target.segment
    table = PassageTable(part.artefact, old)
    live = live_passages(table, part)
    rows = table.rows[live]
    new_rows = source.new_rows(rows)
    # Unsigned numbers wrap around, and back again: a document may move in either direction.
    shift = new.begins[new_rows] - old.begins[rows]
    return new_rows, table.ordinals[live], table.begins[live] + shift, table.ends[live] + shift, table.keys[live]


def live_passages(table: PassageTable, part: SourcePart) -> np.ndarray:
    """(num_passages,) whether a passage is of a live document."""
    return ~part.source.deletions.mask[table.rows]
