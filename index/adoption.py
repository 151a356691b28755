"""Writing segments that are ready: what tasks have written apart from each other becomes one version."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from lodex.index.deletions import Deletions
from lodex.index.segment import Segment, SegmentWriter, encode_document
from lodex.index.writer import StoreWriter


class SegmentAdopter(StoreWriter):
    """A writer that is given whole segments. Doc_ids are settled between them as between single documents."""

    def rows_known(self, segment: Segment) -> Iterator[tuple[int, str]]:
        """The rows whose doc_id the writer has already, ("in this input"), or the store has ("in the store").

        Ascending. A row may come twice.
        """
        known = {row: "in the store" for other, dead in self._others() for row, _ in common_rows(segment, other, dead)}
        known |= {row: "in this input" for row, _, _ in self._known_here(segment)}
        yield from sorted(known.items())

    def adopt(self, segment: Segment, superseded: Collection[int] = ()) -> None:
        """Add a segment, of which rows may be superseded within it or by a later one of its task.

        Where the writer replaces, its documents take the place of those that the writer has under their ids; where it
        does not, there must be none.
        """
        for _, place, row in self._known_here(segment):
            self._superseded[place].add(row)
        self._superseded[-1] |= set(superseded)
        self._closed.append(segment)
        self._superseded.append(set())
        self.documents += segment.num_documents
        self.text_bytes += segment.text_bytes

    def _others(self) -> Iterator[tuple[Segment, Deletions]]:
        for segment in self._base.segments:
            yield segment, self._base.deletions(segment)

    def _known_here(self, segment: Segment) -> Iterator[tuple[int, int, int]]:
        """Rows of the segment that the writer has too: with the place of the segment that has them, and the row."""
        for place, (mine, superseded) in enumerate(zip(self._closed, self._superseded, strict=False)):
            for row, here in common_rows(segment, mine, superseded):
                yield row, place, here


def common_rows(segment: Segment, other: Segment, dead: Collection[int] | Deletions) -> Iterator[tuple[int, int]]:
    """Rows of two segments that have the same doc_id, but for the `dead` ones of the other."""
    if not other.num_documents:
        return
    places = other.doc_id_hashes.searchsorted(segment.doc_id_hashes)
    places[places == other.num_documents] = 0
    for i in np.flatnonzero(other.doc_id_hashes[places] == segment.doc_id_hashes):
        row = int(segment.lookup_rows[i])
        # Equal hashes are not equal ids.
        found = other.row_of(segment.doc_id(row))
        if found is not None and found not in dead:
            yield row, found


def without_rows(root: Path, segment: Segment, rows: Collection[int]) -> Segment | None:
    """A new segment with the documents of `segment` but those rows; None where nothing is left."""
    writer = SegmentWriter(root)
    try:
        for row in range(segment.num_documents):
            if row not in rows:
                writer.append(*encode_document(segment.document(row)))
        if not writer.num_documents:
            return None
        artefact = writer.publish()
    finally:
        writer.discard()
    return Segment(artefact.path, artefact.receipt)
