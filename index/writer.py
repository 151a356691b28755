"""Writing documents: streamed into new segments, published as one version or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from lodex.errors import ConflictError, DuplicateDocumentError
from lodex.index.files import checksum_bytes, sweep_abandoned
from lodex.index.manifest import Manifest, SegmentEntry
from lodex.index.receipt import RECEIPT
from lodex.index.segment import Segment, SegmentWriter, encode_document
from lodex.types import Document

if TYPE_CHECKING:
    from lodex.index.store import Store

SEGMENT_BYTES = 512 << 20
SEGMENT_DOCUMENTS = 1 << 18


@dataclass(frozen=True, slots=True)
class AddResult:
    """What a write published: the version, and how many documents and bytes of text it added or replaced."""

    version: int
    documents: int
    replaced: int
    text_bytes: int


class StoreWriter:
    """Adds documents to a store. `commit` publishes them all as one version; leaving the block without it, none.

    A doc_id that the store or this writer already has raises DuplicateDocumentError at once, and that document alone is
    not written; with `replace` it takes the place of the earlier one. Memory stays bounded: a segment is closed at
    `segment_bytes` of text or at 262,144 documents, and only the ids of the open one are held.
    """

    def __init__(self, store: Store, *, replace: bool = False, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._store = store
        self._root = store.path
        self._replace = replace
        self._segment_bytes = segment_bytes
        self._base = store.snapshot()
        self._closed: list[Segment] = []
        self._open: SegmentWriter | None = None
        self._open_rows: dict[str, int] = {}
        # Rows that a later document replaced: of the store's segments by id, of this writer's own by their place.
        # An id does not tell these apart: it is an address of content, and equal content may be written again.
        self._superseded: dict[str, set[int]] = {}
        self._superseded_here: list[set[int]] = [set()]
        self.documents = 0
        self.replaced = 0
        self.text_bytes = 0
        sweep_abandoned(self._root / "segments")

    def add(self, document: Document) -> None:
        """Write one document. InputError or DuplicateDocumentError leave the writer usable."""
        text, fields = encode_document(document)
        earlier = self._find(document.doc_id)
        if earlier is not None and not self._replace:
            place = "in the store" if isinstance(earlier[0], str) else "in this input"
            raise DuplicateDocumentError(f"doc_id {document.doc_id!r} is already {place}; use --replace to replace it")
        if self._open is None:
            self._open = SegmentWriter(self._root)
        self._open_rows[document.doc_id] = self._open.append(text, fields)
        if earlier is not None:
            self._supersede(*earlier)
        self.documents += 1
        self.text_bytes += len(text)
        if self._open.text_bytes >= self._segment_bytes or self._open.num_documents >= SEGMENT_DOCUMENTS:
            self._close_segment()

    def _find(self, doc_id: str) -> tuple[str | int, int] | None:
        """Where a doc_id stands: the id of a segment of the store, or the place of one written here, and the row."""
        if doc_id in self._open_rows:
            return len(self._closed), self._open_rows[doc_id]
        for place, segment in enumerate(self._closed):
            row = segment.row_of(doc_id)
            if row is not None and row not in self._superseded_here[place]:
                return place, row
        for segment in self._base.segments:
            row = segment.row_of(doc_id)
            if row is not None and row not in self._superseded.get(segment.id, ()):
                return segment.id, row
        return None

    def _supersede(self, segment: str | int, row: int) -> None:
        if isinstance(segment, str):
            self._superseded.setdefault(segment, set()).add(row)
        else:
            self._superseded_here[segment].add(row)
        self.replaced += 1

    def _close_segment(self) -> None:
        if self._open is None:
            return
        artefact = self._open.publish()
        self._open = None
        self._open_rows.clear()
        self._closed.append(Segment(artefact.path, artefact.receipt))
        self._superseded_here.append(set())

    def commit(self) -> AddResult:
        """Publish everything added so far as the next version, on top of whatever other writers published meanwhile.

        Raises DuplicateDocumentError where another writer published the same doc_id first (unless replacing), and
        ConflictError where it rewrote a segment that this one replaces documents of.
        """
        self._close_segment()
        if not self.documents:
            return AddResult(self._base.version, 0, 0, 0)
        survivors: dict[tuple[str, frozenset[int]], Segment | None] = {}
        snapshot = self._store.commit(lambda latest: self._rebase(latest, survivors))
        result = AddResult(snapshot.version, self.documents, self.replaced, self.text_bytes)
        self._closed.clear()
        return result

    def _rebase(self, latest: Manifest, survivors: dict[tuple[str, frozenset[int]], Segment | None]) -> Manifest:
        """What follows `latest` with these documents; `survivors` keeps rewritten segments between calls."""
        known = {segment.id for segment in self._base.segments}
        present = {entry.id for entry in latest.segments}
        for entry in latest.segments:
            if entry.id not in known:
                self._meet(self._store.open_segment(entry))
        for segment_id in self._superseded:
            if segment_id in known and segment_id not in present:
                raise ConflictError(f"segment {segment_id}, with documents to replace, was rewritten by another writer")
        theirs = [(s, self._superseded.get(s.id, set())) for s in map(self._store.open_segment, latest.segments)]
        kept = []
        for segment, rows in (*theirs, *zip(self._closed, self._superseded_here, strict=False)):
            key = (segment.id, frozenset(rows))
            if rows and key not in survivors:
                survivors[key] = rewrite_without(self._root, segment, rows)
            survivor = survivors[key] if rows else segment
            if survivor is not None:
                kept.append(segment_entry(survivor))
        before = sum(entry.documents for entry in latest.segments)
        lost = before + self.documents - self.replaced - sum(entry.documents for entry in kept)
        assert not lost, f"{lost} documents would be lost by this commit; this is a bug"
        ids = {entry.id for entry in kept}
        assert len(ids) == len(kept), "a segment would stand twice in a version; this is a bug"
        indexes = {
            name: replace(entry, parts={s: part for s, part in entry.parts.items() if s in ids})
            for name, entry in latest.indexes.items()
        }
        return replace(latest, segments=tuple(kept), indexes=indexes)

    def _meet(self, other: Segment) -> None:
        """Settle the doc_ids that a segment of another writer has in common with this one's."""
        for mine in self._closed:
            common = np.intersect1d(mine.doc_id_hashes, other.doc_id_hashes)
            for row in np.flatnonzero(np.isin(mine.doc_id_hashes, common)):
                doc_id = mine.doc_id(int(mine.lookup_rows[row]))
                theirs = other.row_of(doc_id)
                if theirs is None or theirs in self._superseded.get(other.id, ()):
                    continue
                if not self._replace:
                    raise DuplicateDocumentError(f"doc_id {doc_id!r} was added by another writer meanwhile")
                self._supersede(other.id, theirs)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.discard()
            self._open = None


def segment_entry(segment: Segment) -> SegmentEntry:
    """The line of a manifest for a segment."""
    receipt = (segment.artefact.path / RECEIPT).read_bytes()
    return SegmentEntry(segment.id, segment.num_documents, segment.text_bytes, checksum_bytes(receipt))


def rewrite_without(root: Path, segment: Segment, rows: set[int]) -> Segment | None:
    """A new segment with the documents of `segment` but those rows; None where nothing is left."""
    writer = SegmentWriter(root)
    try:
        for document in _documents_without(segment, rows):
            writer.append(*encode_document(document))
        if not writer.num_documents:
            return None
        artefact = writer.publish()
    finally:
        writer.discard()
    return Segment(artefact.path, artefact.receipt)


def _documents_without(segment: Segment, rows: set[int]) -> Iterator[Document]:
    return (segment.document(row) for row in range(segment.num_documents) if row not in rows)
