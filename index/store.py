"""The store: a folder of immutable files and numbered manifests (docs/format.md)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lodex.errors import AlreadyExistsError, DataLossError, NotFoundError
from lodex.index.files import storage_error, sweep_abandoned
from lodex.index.jobs import artefact_path
from lodex.index.manifest import (
    IndexEntry,
    Manifest,
    SegmentEntry,
    newest_version,
    publish_manifest,
    read_manifest,
)
from lodex.index.passages import PassageTable
from lodex.index.receipt import Artefact, read_receipt
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.index.writer import SEGMENT_BYTES, AddResult, StoreWriter
from lodex.types import Document, Passage


class Store:
    """One datastore of text on disk. Readers pin a `snapshot`, writers publish new versions, neither waits.

    Opened at a `version` it is a read-only view of that version; otherwise reads see the newest one.
    Opened files are shared between snapshots, and between threads.
    """

    def __init__(self, path: str | Path, version: int | None = None) -> None:
        self.path = Path(path)
        self._pinned = version
        self._lock = threading.Lock()
        self._segments: dict[str, Segment] = {}
        self._artefacts: dict[tuple[str, str], Artefact] = {}
        self._tables: dict[tuple[str, str], PassageTable] = {}
        newest = newest_version(self.path)
        if not newest:
            raise NotFoundError(f"no store at {self.path}: it has no manifests")
        self._snapshot = self._open_snapshot(newest if version is None else version)

    @classmethod
    def create(cls, path: str | Path) -> Store:
        """Make an empty store, at version 1. AlreadyExistsError where there is one, or a folder that is not empty."""
        root = Path(path)
        if newest_version(root) or (root.exists() and (not root.is_dir() or any(root.iterdir()))):
            raise AlreadyExistsError(f"cannot create a store at {root}: it is there already, and is not empty")
        try:
            (root / "manifests").mkdir(parents=True, exist_ok=True)
            (root / "segments").mkdir(exist_ok=True)
            (root / "artefacts").mkdir(exist_ok=True)
        except OSError as error:
            raise storage_error(error, root) from error
        publish_manifest(root, Manifest(store_id=secrets.token_hex(16), version=1, parent=0))
        return cls(root)

    @classmethod
    def open(cls, path: str | Path, version: int | None = None) -> Store:
        """Open a store, at a version if one is given. NotFoundError; DataLossError where a manifest does not verify."""
        return cls(path, version)

    @classmethod
    def open_or_create(cls, path: str | Path) -> Store:
        """Open the store at `path`, or make one."""
        return cls.open(path) if newest_version(Path(path)) else cls.create(path)

    # ---------------------------------------------------------------------------------- reading

    @property
    def version(self) -> int:
        """The version that reads see now."""
        return self.snapshot().version

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Pin a version: the newest published one, or the one asked for. Costs one file look-up when nothing is new."""
        if version is None and self._pinned is not None:
            version = self._pinned
        current = self._snapshot
        wanted = newest_version(self.path, current.version) if version is None else version
        if wanted == current.version:
            return current
        opened = self._open_snapshot(wanted)
        if version is None:
            with self._lock:
                if opened.version > self._snapshot.version:
                    self._snapshot = opened
                    self._forget_all_but(opened)
        return opened

    def get(self, doc_id: str) -> Document:
        """A document of the newest version; NotFoundError."""
        return self.snapshot().get(doc_id)

    def passage(self, passage_id: str, chunking: str | None = None) -> Passage:
        """A passage of the newest version; see `Snapshot.passage`."""
        return self.snapshot().passage(passage_id, chunking)

    def __len__(self) -> int:
        """The number of documents of the newest version."""
        return len(self.snapshot())

    def __iter__(self) -> Iterator[Document]:
        """Every document of the newest version."""
        return iter(self.snapshot())

    def __contains__(self, doc_id: object) -> bool:
        """Whether the newest version has a document of that id."""
        return doc_id in self.snapshot()

    # ---------------------------------------------------------------------------------- writing

    def writer(self, *, replace: bool = False, segment_bytes: int = SEGMENT_BYTES) -> StoreWriter:
        """Start writing documents; see `StoreWriter`."""
        return StoreWriter(self, replace=replace, segment_bytes=segment_bytes)

    def add(
        self, documents: Iterable[Document], *, replace: bool = False, segment_bytes: int = SEGMENT_BYTES
    ) -> AddResult:
        """Add documents as one new version: all of them, or none if one is refused."""
        with self.writer(replace=replace, segment_bytes=segment_bytes) as writer:
            for document in documents:
                writer.add(document)
            return writer.commit()

    def commit(self, change: Callable[[Manifest], Manifest]) -> Snapshot:
        """Publish `change(newest)` as the next version, trying again on top of whatever others publish meanwhile.

        `change` may be called several times and sets neither version nor parent.
        """
        sweep_abandoned(self.path / "manifests")
        while True:
            latest = read_manifest(self.path, newest_version(self.path))
            following = replace(change(latest), version=latest.version + 1, parent=latest.version)
            if publish_manifest(self.path, following):
                return self.snapshot(following.version)

    # ---------------------------------------------------------------------------------- opening

    def open_segment(self, entry: SegmentEntry) -> Segment:
        """The segment of a manifest's line, opened once and shared."""
        with self._lock:
            segment = self._segments.get(entry.id)
        if segment is None:
            path = self.path / "segments" / entry.id
            segment = Segment(path, read_receipt(path, entry.receipt))
            if segment.num_documents != entry.documents or segment.text_bytes != entry.text_bytes:
                raise DataLossError(f"{path} does not have the documents its manifest records")
            with self._lock:
                segment = self._segments.setdefault(entry.id, segment)
        return segment

    def _open_snapshot(self, version: int) -> Snapshot:
        manifest = read_manifest(self.path, version)
        segments = tuple(self.open_segment(entry) for entry in manifest.segments)
        return Snapshot(manifest, segments, self._open_part, self._open_passages)

    def _open_part(self, name: str, entry: IndexEntry, segment_id: str) -> Artefact:
        part = entry.parts[segment_id]
        with self._lock:
            artefact = self._artefacts.get((entry.kind, part.task))
        if artefact is None:
            path = artefact_path(self.path, entry.kind, part.task)
            artefact = Artefact(path, read_receipt(path, part.receipt))
            if artefact.kind != entry.kind or artefact.id != part.task:
                raise DataLossError(f"{path} is not the part of index {name!r} its manifest records")
            with self._lock:
                artefact = self._artefacts.setdefault((entry.kind, part.task), artefact)
        return artefact

    def _open_passages(self, artefact: Artefact, segment: Segment) -> PassageTable:
        key = (artefact.id, segment.id)
        with self._lock:
            table = self._tables.get(key)
        if table is None:
            table = PassageTable(artefact, segment)
            with self._lock:
                table = self._tables.setdefault(key, table)
        return table

    def _forget_all_but(self, snapshot: Snapshot) -> None:
        """Let go of what the newest version does not use; snapshots that still use it keep it alive."""
        segments = {segment.id for segment in snapshot.segments}
        parts = {(e.kind, p.task) for e in snapshot.manifest.indexes.values() for p in e.parts.values()}
        tasks = {task for _, task in parts}
        self._segments = {key: value for key, value in self._segments.items() if key in segments}
        self._artefacts = {key: value for key, value in self._artefacts.items() if key in parts}
        self._tables = {key: value for key, value in self._tables.items() if key[0] in tasks}
