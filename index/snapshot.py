"""Snapshots: one version of a store, pinned. What it answers never changes, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lodex.errors import FailedPreconditionError, NotFoundError
from lodex.index.manifest import IndexEntry, Manifest
from lodex.index.passages import DEFAULT_CHUNKING, PassageTable
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.types import Document, Passage


class Snapshot:
    """A read view of one manifest: documents, passages, and the parts of every index."""

    def __init__(
        self,
        manifest: Manifest,
        segments: tuple[Segment, ...],
        open_part: Callable[[str, IndexEntry, str], Artefact],
        open_passages: Callable[[Artefact, Segment], PassageTable],
    ) -> None:
        self.manifest = manifest
        self.version = manifest.version
        self.segments = segments
        self._open_part = open_part
        self._open_passages = open_passages

    def __len__(self) -> int:
        """The number of documents."""
        return sum(segment.num_documents for segment in self.segments)

    def __iter__(self) -> Iterator[Document]:
        """Every document, in the order of segments and of rows."""
        for segment in self.segments:
            for row in range(segment.num_documents):
                yield segment.document(row)

    def locate(self, doc_id: str) -> tuple[Segment, int]:
        """The segment and row of a doc_id; NotFoundError."""
        for segment in reversed(self.segments):
            row = segment.row_of(doc_id)
            if row is not None:
                return segment, row
        raise NotFoundError(f"no document {doc_id!r} in version {self.version}")

    def __contains__(self, doc_id: object) -> bool:
        """Whether there is a document of that id."""
        return isinstance(doc_id, str) and any(segment.row_of(doc_id) is not None for segment in self.segments)

    def get(self, doc_id: str) -> Document:
        """A document by its id; NotFoundError."""
        segment, row = self.locate(doc_id)
        return segment.document(row)

    def index(self, name: str) -> IndexEntry:
        """An index by name; NotFoundError lists those there are."""
        if name not in self.manifest.indexes:
            have = ", ".join(sorted(self.manifest.indexes)) or "none"
            raise NotFoundError(f"no index {name!r} in version {self.version}; there are: {have}")
        return self.manifest.indexes[name]

    def part(self, name: str, segment: Segment) -> Artefact | None:
        """What an index has for one segment, None where it is not built yet."""
        entry = self.index(name)
        return self._open_part(name, entry, segment.id) if segment.id in entry.parts else None

    def parts(self, name: str) -> list[tuple[Segment, Artefact | None]]:
        """Each segment with its part of the index; NotFoundError for an unknown index."""
        return [(segment, self.part(name, segment)) for segment in self.segments]

    def passages(self, segment: Segment, chunking: str = DEFAULT_CHUNKING) -> PassageTable:
        """The passage table of a segment; FailedPreconditionError where the chunking is not built for it."""
        artefact = self.part(chunking, segment) if chunking in self.manifest.indexes else None
        if artefact is None:
            raise FailedPreconditionError(
                f"chunking {chunking!r} is not built for segment {segment.id}; "
                f"run: lodex index passages STORE --chunking {chunking}"
            )
        return self._open_passages(artefact, segment)

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
