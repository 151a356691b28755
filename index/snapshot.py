"""Snapshots: one version of a store, pinned. What it answers never changes, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from lodex.errors import DataLossError, FailedPreconditionError, NotFoundError
from lodex.index.deletions import Deletions
from lodex.index.manifest import SUBTRACTIVE, IndexEntry, Manifest
from lodex.index.open_files import OpenFiles
from lodex.index.passages import DEFAULT_CHUNKING, PassageTable
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.types import Document, Passage

T = TypeVar("T")


class Snapshot:
    """A read view of one manifest: documents, passages, and the parts of every index.

    What is deleted is not there: `segments` are the files, and `deletions` says which of their rows no answer may hold.
    """

    def __init__(self, manifest: Manifest, files: OpenFiles) -> None:
        self.manifest = manifest
        self.version = manifest.version
        self.quarantined = files.quarantined()
        """What was quarantined when this was opened; a store opens a version anew when that changes."""
        self.segments: tuple[Segment, ...] = tuple(files.segment(entry) for entry in manifest.segments)
        self._entries = {entry.id: entry for entry in manifest.segments}
        self._files = files

    def __len__(self) -> int:
        """The number of documents."""
        return self.manifest.live_documents

    def __iter__(self) -> Iterator[Document]:
        """Every document, in the order of segments and of rows."""
        for segment in self.segments:
            for row in self.deletions(segment).live_rows.tolist():
                yield segment.document(row)

    def deletions(self, segment: Segment) -> Deletions:
        """Which rows of a segment are deleted."""
        return self._files.deletions(self._entries[segment.id])

    def locate(self, doc_id: str) -> tuple[Segment, int]:
        """The segment and row of a doc_id; NotFoundError, DataLossError where a damaged segment may have it."""
        damage: DataLossError | None = None
        for segment in reversed(self.segments):
            try:
                row = segment.row_of(doc_id)
                if row is not None and row not in self.deletions(segment):
                    return segment, row
            except DataLossError as error:
                # Another segment may have it; else nobody knows whether this one does.
                damage = damage or error
        if damage is not None:
            raise damage
        raise NotFoundError(f"no document {doc_id!r} in version {self.version}")

    def __contains__(self, doc_id: object) -> bool:
        """Whether there is a document of that id."""
        if not isinstance(doc_id, str):
            return False
        try:
            self.locate(doc_id)
        except NotFoundError:
            return False
        return True

    def get(self, doc_id: str) -> Document:
        """A document by its id; NotFoundError."""
        segment, row = self.locate(doc_id)
        return segment.document(row)

    def resolve(self, name: str) -> str:
        """The name of the index that an alias stands for, or the name itself."""
        return self.manifest.aliases.get(name, name)

    def index(self, name: str) -> IndexEntry:
        """An index by its name or an alias; NotFoundError lists those there are."""
        found = self.manifest.indexes.get(self.resolve(name))
        if found is None:
            have = ", ".join(sorted({*self.manifest.indexes, *self.manifest.aliases})) or "none"
            raise NotFoundError(f"no index {name!r} in version {self.version}; there are: {have}")
        return found

    def part(self, name: str, segment: Segment) -> Artefact | None:
        """What an index has for one segment, None where it is not built yet."""
        entry = self.index(name)
        part = entry.parts.get(segment.id)
        return None if part is None else self._files.artefact(entry.kind, part.task, part.receipt)

    def minus(self, name: str, segment: Segment) -> Artefact | None:
        """What is to be subtracted from a part, None where nothing is, or nothing is written of it yet."""
        part = self.index(name).parts[segment.id].minus
        return None if part is None else self._files.artefact(SUBTRACTIVE, part.task, part.receipt)

    def parts(self, name: str) -> list[tuple[Segment, Artefact | None]]:
        """Each segment with its part of the index; NotFoundError for an unknown index."""
        return [(segment, self.part(name, segment)) for segment in self.segments]

    def shared(self, what: Any, ids: tuple[str, ...], open: Callable[[], T]) -> T:
        """What `open` makes of segments and artefacts of these ids, made once for all versions that have them."""
        return self._files.shared(what, ids, open)

    def passages(self, segment: Segment, chunking: str = DEFAULT_CHUNKING) -> PassageTable:
        """The passage table of a segment; FailedPreconditionError where the chunking is not built for it."""
        artefact = self.part(chunking, segment) if chunking in self.manifest.indexes else None
        if artefact is None:
            raise FailedPreconditionError(
                f"chunking {chunking!r} is not built for segment {segment.id}; "
                f"run: lodex index passages STORE --chunking {chunking}"
            )
        ids = (artefact.id, segment.id)
        return self.shared(PassageTable, ids, lambda: PassageTable(artefact, segment))

    def passage(self, passage_id: str, chunking: str | None = None) -> Passage:
        """A passage by its id, `doc_id#ordinal`, under a chunking: the default one, or the only one there is.

        NotFoundError for an id of no passage, FailedPreconditionError where the chunking is not built.
        """
        doc_id, separator, ordinal = passage_id.rpartition("#")
        if not separator or not (ordinal.isascii() and ordinal.isdigit()):
            raise NotFoundError(f"no passage {passage_id!r}: a passage id is a doc_id, '#' and a number")
        try:
            segment, row = self.locate(doc_id)
        except NotFoundError as error:
            raise NotFoundError(f"no passage {passage_id!r}: {error}") from error
        table = self.passages(segment, chunking or self._usual_chunking())
        i = table.find(row, int(ordinal))
        if i is None:
            raise NotFoundError(f"no passage {passage_id!r}: document {doc_id!r} has fewer")
        return table.passage(i)

    def _usual_chunking(self) -> str:
        names = [name for name, entry in self.manifest.indexes.items() if entry.kind == "passages"]
        return names[0] if len(names) == 1 else DEFAULT_CHUNKING
