"""The store: a folder of immutable files and numbered manifests (docs/format.md)."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lodex.errors import (
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from lodex.index.commit_lock import commit_lock
from lodex.index.deletion import Deleted, delete_documents
from lodex.index.files import SyncError, is_temporary, make_directory, storage_errors, sweep_abandoned
from lodex.index.folders import folders_of
from lodex.index.manifest import Manifest, newest_version, publish_manifest, read_manifest
from lodex.index.mapped_files import ADVICE, NORMAL
from lodex.index.open_files import OpenFiles
from lodex.index.receipt import RECEIPT
from lodex.index.snapshot import Snapshot
from lodex.index.writer import SEGMENT_BYTES, AddResult, StoreWriter
from lodex.types import Document, Passage

VERIFY_LIGHT, VERIFY_ON_READ = VERIFY_MODES = ("light", "on-read")
"""How closely files are checked when they are read; see `Store.open`."""

_FOLDERS = ("manifests", "segments", "artefacts")


class Store:
    """One datastore of text on disk. Readers pin a `snapshot`, writers publish new versions, neither waits.

    Opened at a `version` it is a read-only view of that version; otherwise reads see the newest one.
    Opened files are shared between snapshots, and between threads.
    """

    def __init__(
        self, path: str | Path, version: int | None = None, verify: str = VERIFY_LIGHT, advise: str = NORMAL
    ) -> None:
        if verify not in VERIFY_MODES:
            raise InvalidArgumentError(f"verify is {verify!r}, expected one of {', '.join(VERIFY_MODES)}", "verify")
        if advise not in ADVICE:
            raise InvalidArgumentError(f"advise is {advise!r}, expected one of {', '.join(ADVICE)}", "advise")
        self.path = Path(path)
        self._pinned = version
        self._failure = ""
        self._lock = threading.Lock()
        self._store_id = ""
        self.files = OpenFiles(self.path, verify_on_read=verify == VERIFY_ON_READ, advice=advise)
        newest = newest_version(self.path)
        if not newest:
            raise NotFoundError(f"no store at {self.path}: it has no manifests")
        self._snapshot = self._open_snapshot(newest if version is None else version)
        self._store_id = self._snapshot.manifest.store_id
        self._seen = self._snapshot.version, self._file_of(self._snapshot.version)

    @classmethod
    def create(cls, path: str | Path) -> Store:
        """Make an empty store, at version 1. AlreadyExistsError where there is one, or a folder that is not empty."""
        root = Path(path)
        if newest_version(root) or (root.exists() and not _is_unused(root)):
            raise AlreadyExistsError(f"cannot create a store at {root}: it is there already, and is not empty")
        with storage_errors(root):
            for name in _FOLDERS:
                make_directory(root / name)
        first = Manifest(secrets.token_hex(16), version=1, parent=0, time_ns=time.time_ns())
        if not publish_manifest(root, first):
            raise AlreadyExistsError(f"cannot create a store at {root}: another process was first")
        return cls(root)

    @classmethod
    def open(
        cls, path: str | Path, version: int | None = None, verify: str = VERIFY_LIGHT, advise: str = NORMAL
    ) -> Store:
        """Open a store, at a version if one is given. NotFoundError; DataLossError where a manifest does not verify.

        With `verify` "on-read" every file is checked whole before its first byte is read, so that no damage on disk
        makes a wrong answer; "light" checks sizes, small files and what native readers trust.

        `advise` says how token streams and suffix tables are read: "random" for those larger than memory, of which
        then only the pages that a search needs are read, and as few as can be; "sequential" and "willneed" read ahead
        more than "normal".
        """
        return cls(path, version, verify, advise)

    @classmethod
    def open_or_create(cls, path: str | Path, verify: str = VERIFY_LIGHT, advise: str = NORMAL) -> Store:
        """Open the store at `path`, or make one."""
        if not newest_version(Path(path)):
            cls.create(path)
        return cls.open(path, verify=verify, advise=advise)

    # ---------------------------------------------------------------------------------- reading

    @property
    def version(self) -> int:
        """The version that reads see now."""
        return self.snapshot().version

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Pin a version: the newest published one, or the one asked for. Costs few file look-ups when nothing is new.

        NotFoundError for a version that is not there, and where the store itself was dropped.
        """
        if version is None and self._pinned is not None:
            version = self._pinned
        current = self._snapshot
        wanted = self._newest(current.version) if version is None else version
        quarantined = self.files.quarantined()
        if wanted == current.version and quarantined == current.quarantined and not self._is_replaced(wanted):
            return current
        opened = self._open_snapshot(wanted) if version is not None else self._open_newest(wanted)
        if version is None:
            with self._lock:
                if opened.version >= self._snapshot.version:
                    self._snapshot = opened
                    self.files.forget_all_but(opened.manifest)
        return opened

    def keeps(self, version: int) -> bool:
        """Whether a version is there still: neither was it removed, nor the store dropped."""
        try:
            return read_manifest(self.path, version).store_id == self._store_id
        except NotFoundError:
            return False
        except DataLossError:
            return True

    @property
    def is_pinned(self) -> bool:
        """Whether this is a view of one version."""
        return self._pinned is not None

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

    def delete(self, doc_ids: Sequence[str]) -> Deleted:
        """Delete documents as one new version; see `delete_documents`."""
        return delete_documents(self, doc_ids)

    def commit(self, change: Callable[[Manifest], Manifest], what: str) -> Snapshot:
        """Publish `change(newest)` as the next version, trying again on top of whatever others publish meanwhile.

        `change` may be called several times and sets neither version nor parent; one that returns the manifest it was
        given publishes nothing. `what` says in the history what was done. FailedPreconditionError for a store that is
        opened at one version, which is never written. ConflictError where the store was dropped and made again.
        """
        with self.writing():
            sweep_abandoned(self.path / "manifests")
            while True:
                latest = read_manifest(self.path, self._newest())
                if latest.store_id != self._store_id:
                    raise ConflictError(f"{self.path} was dropped and made again; this belongs to the store before")
                try:
                    changed = change(latest)
                except DataLossError:
                    if self.keeps(latest.version):
                        raise
                    continue
                if changed is latest:
                    return self.snapshot(latest.version)
                following = replace(
                    changed, version=latest.version + 1, parent=latest.version, change=what, time_ns=time.time_ns()
                )
                with commit_lock(self.path):
                    self._require_folders(latest, following)
                    published = publish_manifest(self.path, following)
                if published:
                    return self.snapshot(following.version)

    def _require_folders(self, latest: Manifest, following: Manifest) -> None:
        """ConflictError unless every folder that a version is the first to have is there.

        One that a writer found done, and did not write, may have been collected or purged before it was published.
        """
        for path in set(folders_of(self.path, following)).difference(folders_of(self.path, latest)):
            if not (path / RECEIPT).exists():
                raise ConflictError(f"{path} was removed while this was written; run it again")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Within it files of the store are written. After a sync that failed it is never entered again."""
        self.require_writable()
        try:
            with storage_errors(self.path):
                yield
        except SyncError as error:
            self._failure = str(error)
            raise

    def require_writable(self) -> None:
        """FailedPreconditionError for a store that is opened at one version, or after a sync that failed."""
        if self._failure:
            raise FailedPreconditionError(
                f"{self.path} is not written any more since a sync failed: {self._failure}; "
                "look at the disk, then open the store again"
            )
        if self._pinned is not None:
            raise FailedPreconditionError(
                f"{self.path} is opened at version {self._pinned}, which is only read; open the store without a version"
            )

    def _newest(self, at_least: int = 0) -> int:
        newest = newest_version(self.path, at_least)
        if not newest:
            raise NotFoundError(f"no store at {self.path} any more: it was dropped")
        return newest

    def _is_replaced(self, version: int) -> bool:
        """Whether another store stands here now, with a version of the same number."""
        seen = version, self._file_of(version)
        if seen == self._seen:
            return False
        try:
            if read_manifest(self.path, version).store_id != self._store_id:
                return True
        except (NotFoundError, DataLossError):
            # Whoever has the version open reads on.
            pass
        self._seen = seen
        return False

    def _file_of(self, version: int) -> tuple[int, int] | None:
        """What tells the file of a version from another in its place, None where there is none."""
        try:
            # Every read asks this, so it is no Path.
            found = os.stat(f"{self.path}/manifests/{version:020d}.json")  # noqa: PTH116
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _open_newest(self, version: int) -> Snapshot:
        """The version, or one that took its place while it was opened, if it is gone by now."""
        while True:
            try:
                return self._open_snapshot(version)
            except NotFoundError:
                newer = newest_version(self.path, version)
                if newer == version:
                    raise
                version = newer

    def _open_snapshot(self, version: int) -> Snapshot:
        manifest = read_manifest(self.path, version)
        if self._store_id and manifest.store_id != self._store_id:
            raise NotFoundError(f"the store that was at {self.path} was dropped; another was made there")
        try:
            return Snapshot(manifest, self.files)
        except DataLossError:
            # Its files are no loss if it was removed meanwhile: then this is what says so.
            read_manifest(self.path, version)
            raise


def _is_unused(root: Path) -> bool:
    """Whether a folder holds nothing but what a creation that was cut short has left."""
    return root.is_dir() and all(
        path.name in _FOLDERS and path.is_dir() and all(is_temporary(inner) for inner in path.iterdir())
        for path in root.iterdir()
    )
