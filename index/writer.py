"""Writing documents: streamed into new segments, published as one version or not at all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lodex.errors import ConflictError, DuplicateDocumentError
from lodex.index.deletion import with_deleted
from lodex.index.deletions import write_tombstones
from lodex.index.files import checksum_bytes, sweep_abandoned
from lodex.index.known_ids import KnownIds
from lodex.index.manifest import Manifest, RequestEntry, SegmentEntry, known_request, with_request
from lodex.index.receipt import RECEIPT
from lodex.index.segment import Segment, SegmentWriter, doc_id_hash, encode_document
from lodex.index.snapshot import Snapshot
from lodex.types import Document

if TYPE_CHECKING:
    from lodex.index.store import Store

Rows = npt.NDArray[np.uint32]

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

    A doc_id that the store or this writer already has raises DuplicateDocumentError at once, and that document alone
    is not written; with `replace` it takes the place of the earlier one, which is deleted in the same version. Memory
    stays bounded: a segment is closed at `segment_bytes` of text or at 262,144 documents, and only the ids of the open
    one are held.
    """

    def __init__(self, store: Store, *, replace: bool = False, segment_bytes: int = SEGMENT_BYTES) -> None:
        store.require_writable()
        self._store = store
        self._root = store.path
        self._replace = replace
        self._digest = ingest_digest(replace)
        self._segment_bytes = segment_bytes
        self._base = store.snapshot()
        self._closed: list[Segment] = []
        self._open: SegmentWriter | None = None
        self._open_rows: dict[str, int] = {}
        # Rows that a later document of this writer replaced, by the place of their segment. Its id would not do: it is
        # an address of content, and equal content may be written again.
        self._superseded: list[set[int]] = [set()]
        # What the store has matters only where it may not be replaced.
        self._known = KnownIds([] if replace else self._base.segments)
        self.documents = 0
        self.text_bytes = 0
        sweep_abandoned(self._root / "segments")

    def add(self, document: Document) -> None:
        """Write one document. InputError or DuplicateDocumentError leave the writer usable."""
        text, fields = encode_document(document)
        earlier = self._find(document.doc_id)
        if earlier is not None and not self._replace:
            raise already(document.doc_id, "in this input")
        if self._open is None:
            self._open = SegmentWriter(self._root)
        self._open_rows[document.doc_id] = self._open.append(text, fields)
        if earlier is not None:
            place, row = earlier
            self._superseded[place].add(row)
        self.documents += 1
        self.text_bytes += len(text)
        if self._open.text_bytes >= self._segment_bytes or self._open.num_documents >= SEGMENT_DOCUMENTS:
            self._close_segment()

    def _find(self, doc_id: str) -> tuple[int, int] | None:
        """Where this writer has a doc_id: the place of the segment, and the row.

        DuplicateDocumentError where the store has it and keeps it.
        """
        if doc_id in self._open_rows:
            return len(self._closed), self._open_rows[doc_id]
        if not self._known.may_have(doc_id_hash(doc_id)):
            return None
        if not self._replace and doc_id in self._base:
            raise already(doc_id, "in the store")
        for place, segment in enumerate(self._closed):
            row = segment.row_of(doc_id)
            if row is not None and row not in self._superseded[place]:
                return place, row
        return None

    def _close_segment(self) -> None:
        if self._open is None:
            return
        with self._store.writing():
            artefact = self._open.publish()
        self._open = None
        self._open_rows.clear()
        self._closed.append(Segment(artefact.path, artefact.receipt))
        self._superseded.append(set())
        self._known.add(self._closed[-1])

    def commit(self, request_id: str = "", sequence: int = 0, rejected: int = 0) -> AddResult:
        """Publish everything added so far as the next version, on top of whatever other writers published meanwhile.

        With a `request_id` the version also remembers that this request is carried out up to `sequence`, and how many
        of its documents were `rejected`; where that is remembered already, nothing is published.
        DuplicateDocumentError where another writer published the same doc_id first, unless replacing.
        """
        self._close_segment()
        if not self.documents and not request_id:
            return AddResult(self._base.version, 0, 0, 0)
        result = AddResult(0, 0, 0, 0)

        def change(latest: Manifest) -> Manifest:
            nonlocal result
            known = known_request(latest, request_id, "ingest", self._digest)
            if known is not None and known.sequence >= sequence:
                result = AddResult(known.version, 0, 0, 0)
                return latest
            following, replaced = self._rebase(latest)
            result = AddResult(latest.version + 1, self.documents, replaced, self.text_bytes)
            if not request_id:
                return following
            before = known or RequestEntry("ingest", self._digest, 0, 0)
            return with_request(following, request_id, _advance(before, sequence, rejected, result))

        self._store.commit(change, "ingest")
        self._closed.clear()
        return result

    def _rebase(self, latest: Manifest) -> tuple[Manifest, int]:
        """What follows `latest` with these documents, and how many documents they replace."""
        mine = [
            (s, rows) for s, rows in zip(self._closed, self._superseded, strict=False) if len(rows) < s.num_documents
        ]
        snapshot = Snapshot(latest, self._store.files)
        theirs = {segment.id: self._common(snapshot, segment, mine) for segment in snapshot.segments}
        following = with_deleted(self._store.files, latest, theirs)
        segments = (*following.segments, *(self._entry(segment, rows) for segment, rows in mine))
        replaced = sum(map(len, theirs.values())) + sum(map(len, self._superseded))
        lost = latest.live_documents + self.documents - replaced - sum(entry.live_documents for entry in segments)
        assert not lost, f"{lost} documents would be lost by this commit; this is a bug"
        assert len({entry.id for entry in segments}) == len(segments), "a segment would stand twice; this is a bug"
        return dataclasses.replace(following, segments=segments), replaced

    def _common(self, snapshot: Snapshot, other: Segment, mine: list[tuple[Segment, set[int]]]) -> Rows:
        """The live rows of a segment of the store whose doc_ids this writer has too; it may have them if replacing."""
        deletions = snapshot.deletions(other)
        rows = []
        for segment, superseded in mine:
            for i in np.flatnonzero(np.isin(segment.doc_id_hashes, other.doc_id_hashes)):
                row = int(segment.lookup_rows[i])
                doc_id = segment.doc_id(row)
                theirs = other.row_of(doc_id)
                if theirs is None or theirs in deletions or row in superseded:
                    continue
                if not self._replace:
                    raise DuplicateDocumentError(f"doc_id {doc_id!r} was added by another writer meanwhile")
                rows.append(theirs)
        return np.unique(np.array(rows, np.uint32))

    def _entry(self, segment: Segment, superseded: set[int]) -> SegmentEntry:
        """The line of a manifest for a segment that this writer made."""
        entry = segment_entry(segment)
        if not superseded:
            return entry
        tombstones, _ = write_tombstones(self._root, segment, superseded)
        return dataclasses.replace(entry, deleted=tombstones)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.discard()
            self._open = None


def ingest_digest(replace: bool) -> str:
    """What tells ingests of one request id from each other, as far as it is known when they begin."""
    return "replace" if replace else "add"


def segment_entry(segment: Segment) -> SegmentEntry:
    """The line of a manifest for a segment, with nothing deleted. ConflictError where it was collected meanwhile."""
    try:
        receipt = (segment.artefact.path / RECEIPT).read_bytes()
    except FileNotFoundError as error:
        raise ConflictError(f"{segment.artefact.path} was removed while this was written; run it again") from error
    return SegmentEntry(segment.id, segment.num_documents, segment.text_bytes, checksum_bytes(receipt))


def _advance(before: RequestEntry, sequence: int, rejected: int, result: AddResult) -> RequestEntry:
    """What is remembered of a request after a further commit."""
    return dataclasses.replace(
        before,
        sequence=sequence,
        version=result.version,
        documents=before.documents + result.documents,
        replaced=before.replaced + result.replaced,
        rejected=before.rejected + rejected,
        text_bytes=before.text_bytes + result.text_bytes,
    )


def already(doc_id: str, where: str) -> DuplicateDocumentError:
    """The fault of a doc_id that is there already: "in the store", or "in this input"."""
    return DuplicateDocumentError(f"doc_id {doc_id!r} is already {where}; to replace it: --replace, or upsert")
