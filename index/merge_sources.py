"""What segments are merged from: their files, the documents that are left of them, and the parts of one index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.index.deletions import Deletions
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment

Rows = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Source:
    """A segment whose live documents go into another one: first as row `first_row` there, the others behind it."""

    segment: Segment
    deletions: Deletions
    first_row: int

    def new_rows(self, rows: Rows) -> Rows:
        """Where live rows of this segment stand in the merged one."""
        places = np.searchsorted(self.deletions.live_rows, rows)
        return (places + self.first_row).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class SourcePart:
    """The part of an index for a source, and the parts of those indexes that it was built over."""

    source: Source
    artefact: Artefact
    inputs: tuple[Artefact, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """What a part is merged for: the configuration of its index, the merged segment, and what was merged below it."""

    config: Mapping[str, Any]
    segment: Segment
    inputs: tuple[Artefact, ...]


Parts = Sequence[SourcePart]
