"""The files of a store that are open: segments, artefacts, and what was made of them, shared between versions.

A new version opens only what it has anew; what no version that is read has any more is let go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lodex.errors import DataLossError
from lodex.index.deletions import Deletions
from lodex.index.jobs import artefact_path
from lodex.index.manifest import TOMBSTONES, Manifest, SegmentEntry
from lodex.index.mapped_files import NORMAL
from lodex.index.quarantine import Quarantine
from lodex.index.receipt import Artefact, Guard, Receipt, read_receipt
from lodex.index.segment import Segment

T = TypeVar("T")


class OpenFiles:
    """What is open of the store at `root`. Threads may share it."""

    def __init__(self, root: Path, *, verify_on_read: bool = False, advice: str = NORMAL) -> None:
        """With `verify_on_read` every file is checked whole before its first byte is read.

        `advice` is how token streams and suffix tables are read, see `mapped_files.ADVICE`.
        """
        self.root = root
        self.quarantine = Quarantine(root)
        self._guard = Guard(verify_on_read, self.quarantine.add, advice)
        self._quarantined = self.quarantine.names()
        self._lock = threading.Lock()
        self._shared: dict[tuple[Any, tuple[str, ...]], Any] = {}

    def shared(self, what: Any, ids: tuple[str, ...], open: Callable[[], T]) -> T:
        """The value of `open`, called once for all that ask for `what` of these segments and artefacts."""
        key = (what, ids)
        with self._lock:
            found: T | None = self._shared.get(key)
        if found is None:
            opened = open()
            with self._lock:
                found = self._shared.setdefault(key, opened)
        return found

    def segment(self, entry: SegmentEntry) -> Segment:
        """The segment of a manifest's line."""

        def open() -> Segment:
            path = self.root / "segments" / entry.id
            try:
                self.quarantine.require_sound("segment", entry.id)
                segment = Segment(path, read_receipt(path, entry.receipt), self._guard)
                if segment.num_documents != entry.documents or segment.text_bytes != entry.text_bytes:
                    raise DataLossError(f"{path} does not have the documents its manifest records")
            except DataLossError as error:
                # The other segments can still be read: this one raises when it is asked.
                receipt = Receipt("segment", entry.id, (), {}, entry.documents, {"text_bytes": entry.text_bytes})
                return Segment(path, receipt, refused=str(error))
            return segment

        return self.shared(Segment, (entry.id,), open)

    def artefact(self, kind: str, task: str, receipt: str) -> Artefact:
        """The artefact that a task wrote, with the receipt of that checksum."""

        def open() -> Artefact:
            self.quarantine.require_sound(kind, task)
            path = artefact_path(self.root, kind, task)
            artefact = Artefact(path, read_receipt(path, receipt), self._guard)
            if artefact.kind != kind or artefact.id != task:
                raise DataLossError(f"{path} is not the {kind} artefact its manifest records")
            return artefact

        return self.shared(Artefact, (task, receipt), open)

    def deletions(self, entry: SegmentEntry) -> Deletions:
        """Which rows of a segment are deleted."""
        segment = self.segment(entry)
        deleted = entry.deleted
        if deleted is None:
            return self.shared(Deletions, (entry.id,), lambda: Deletions.none(segment.num_documents))
        artefact = self.artefact(TOMBSTONES, deleted.task, deleted.receipt)
        return self.shared(Deletions, (entry.id, artefact.id), lambda: Deletions.open(artefact, segment))

    def quarantined(self) -> frozenset[str]:
        """What is quarantined now. Where that changed everything is opened anew, as what is sound may stand on it."""
        names = self.quarantine.names()
        if names is not self._quarantined and names != self._quarantined:
            with self._lock:
                self._shared = {}
                self._quarantined = names
        return names

    def forget_all_but(self, manifest: Manifest) -> None:
        """Let go of what a version does not use; snapshots that still use it keep it alive."""
        kept = {segment.id for segment in manifest.segments}
        for _, task, receipt in manifest.artefacts():
            kept |= {task, receipt}
        with self._lock:
            self._shared = {key: value for key, value in self._shared.items() if kept.issuperset(key[1])}
