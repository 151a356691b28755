"""Which doc_ids a writer may have met: their hashes in a few sorted runs, whatever the number of segments."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lodex.index.segment import Segment

Hashes = npt.NDArray[np.uint64]

# So few look-ups are not worth the sorting; a store that gets a handful of documents at a time is only looked at.
_LOOKUPS_BEFORE_MERGE = 256


class KnownIds:
    """The doc_ids of segments. Runs of hashes grow by at least half from one to the next, as in a merge sort.

    Looking one up takes as many searches as there are runs: one a segment at first, a logarithm of the documents once
    it pays to merge them. Memory: 8 bytes a document then.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._runs: list[Hashes] = [segment.doc_id_hashes for segment in segments]
        self._lookups = 0

    def add(self, segment: Segment) -> None:
        """Know the documents of a further segment."""
        self._runs.append(segment.doc_id_hashes)
        if self._lookups >= _LOOKUPS_BEFORE_MERGE:
            self._merge()

    def may_have(self, doc_id_hash: int) -> bool:
        """Whether a document has this hash; nearly always that is the doc_id itself."""
        self._lookups += 1
        if self._lookups == _LOOKUPS_BEFORE_MERGE:
            self._merge()
        wanted = np.uint64(doc_id_hash)
        for run in self._runs:
            place = run.searchsorted(wanted)
            if place < len(run) and run[place] == wanted:
                return True
        return False

    def _merge(self) -> None:
        merged: list[Hashes] = []
        for run in sorted(self._runs, key=len, reverse=True):
            merged.append(run)
            while len(merged) > 1 and 2 * len(merged[-1]) >= len(merged[-2]):
                pair = np.concatenate([merged.pop(), merged.pop()])
                pair.sort(kind="stable")  # of two sorted runs this is one merge
                merged.append(pair)
        self._runs = merged
