"""The deleted documents of a segment: rows that no answer may hold."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.files import checksum_bytes
from lodex.index.jobs import Task, TaskResult, run_task
from lodex.index.manifest import TOMBSTONES, Tombstones
from lodex.index.receipt import RECEIPT, Artefact
from lodex.index.segment import Segment

ROWS = "rows.u32"

Rows = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]


class Deletions:
    """Which of a segment's rows are deleted: `rows` (n,) uint32, ascending. False where none is.

    `id` is that of the artefact that holds them, "" where there is none.
    """

    def __init__(self, rows: Rows, num_documents: int, id: str = "") -> None:
        self.rows = rows
        self.num_documents = num_documents
        self.id = id

    @classmethod
    def none(cls, num_documents: int) -> Deletions:
        """Of a segment that is whole."""
        return cls(np.empty(0, np.uint32), num_documents)

    @classmethod
    def open(cls, artefact: Artefact, segment: Segment) -> Deletions:
        """Read the rows that an artefact holds; DataLossError for what is not of this segment."""
        path = artefact.file(ROWS)
        rows = np.frombuffer(path.read_bytes(), "<u4")
        of_segment = artefact.receipt.inputs == (f"segments/{segment.id}",) and len(rows) == artefact.receipt.rows
        is_ascending = bool((rows[1:] > rows[:-1]).all())
        if not of_segment or not is_ascending or np.any(rows >= segment.num_documents):
            raise DataLossError(f"{path} does not hold ascending rows of segment {segment.id}")
        return cls(rows, segment.num_documents, artefact.id)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, row: int) -> bool:
        return bool(self.mask[row])

    @cached_property
    def mask(self) -> Mask:
        """(num_documents,) true for each deleted row."""
        mask = np.zeros(self.num_documents, np.bool_)
        mask[self.rows] = True
        return mask

    @cached_property
    def live_rows(self) -> Rows:
        """The other rows, ascending."""
        return np.flatnonzero(~self.mask).astype(np.uint32)


def write_tombstones(root: Path, segment: Segment, rows: Iterable[int]) -> tuple[Tombstones, Artefact]:
    """Make deleted rows durable; what a manifest says of them, and the artefact.

    The rows are all that are deleted of the segment, those of earlier versions among them.
    """
    wanted = np.unique(np.fromiter(rows, np.int64)).astype("<u4")
    text_bytes = int((segment.ends[wanted] - segment.begins[wanted]).sum())
    task = Task(TOMBSTONES, (f"segments/{segment.id}",), {"rows": checksum_bytes(wanted.tobytes())})

    def work(out: Path) -> TaskResult:
        (out / ROWS).write_bytes(wanted.tobytes())
        return TaskResult(len(wanted), {"text_bytes": text_bytes})

    artefact = run_task(root, task, work)
    receipt = checksum_bytes((artefact.path / RECEIPT).read_bytes())
    return Tombstones(artefact.id, receipt, len(wanted), text_bytes), artefact
