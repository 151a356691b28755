"""Purging: no file of any version holds a byte of a document that the newest version does not have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash

from lodex.errors import ConflictError, DataLossError, NotFoundError
from lodex.index.commit_lock import commit_lock
from lodex.index.compaction import compact_groups
from lodex.index.compaction_policy import deleted_compaction
from lodex.index.files import checksum_bytes, publish_new_file, sync_directory
from lodex.index.folders import folders_of
from lodex.index.gc import (
    GRACE_S,
    all_folders,
    collect_garbage,
    folder_bytes,
    referenced_folders,
    remove_folders,
)
from lodex.index.history import tags, untag
from lodex.index.job_report import JobReport
from lodex.index.manifest import read_manifest, versions
from lodex.index.pacing import Check, Paced, Throttle
from lodex.index.receipt import canonical_json, read_receipt
from lodex.index.removed_versions import remove_versions
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.types import Document, Progress, Silent

_PLAN = "purge.json"
_MAX_ROUNDS = 5
_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did: the newest version, how many documents were in others alone, and what is gone.

    `documents` counts what differs in any byte of text or fields, `versions` and `tags` are those removed, `bytes`
    those of the `folders` that went.
    """

    version: int
    documents: int
    versions: tuple[int, ...]
    tags: tuple[str, ...]
    folders: int
    bytes: int


def purge(
    store: Store,
    *,
    throttle: Throttle | None = None,
    progress: Progress | None = None,
    check: Check = lambda: None,
    report: JobReport | None = None,
) -> PurgeReport:
    """Rewrite every segment that has deleted documents, then remove all versions and files that hold any.

    A document is of the newest version if that has it with the same text and the same fields; every other goes, with
    its tokens, vectors and keys, and with each version, and its tags, that had it. There is no grace: who reads such a
    version gets NotFoundError from then on. Versions without such documents stay, but for older ones whose manifests
    are damaged: nobody can tell what they hold. Interrupted at any point, the store is whole, and the next purge goes
    on.

    What a build or an ingest that runs meanwhile writes afterwards of such documents is found by the next purge.
    ConflictError where others delete faster than segments can be rewritten, or purge at the same time.
    """
    store.require_writable()
    paced = Paced(progress or Silent(), throttle or Throttle(1), check)
    with store.writing():
        _carry_out(store.path)
        _rewrite(store, paced, report or JobReport())
        newest = store.snapshot()
        plan, documents = _planned(store.path, newest, paced)
        sizes = [folder_bytes(store.path / folder) for folder in plan.folders]
        # Once this is durable the rest is done, by the next purge if not by this one.
        if not publish_new_file(store.path / _PLAN, plan.to_bytes()):
            raise ConflictError(f"another purge of {store.path} is at work; purge again when it is done")
        _carry_out(store.path)
        # Folders of no version, such as an interrupted collection leaves.
        collect_garbage(store.path, keep=len(versions(store.path)), grace_s=GRACE_S)
    return PurgeReport(newest.version, documents, plan.versions, plan.tags, len(plan.folders), sum(sizes))


@dataclass(frozen=True)
class _Plan:
    """What goes: versions, their tags, and folders by their paths in the store."""

    versions: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        value = {"versions": list(self.versions), "tags": list(self.tags), "folders": list(self.folders)}
        return canonical_json(value | {"checksum": checksum_bytes(canonical_json(value))})

    @classmethod
    def read(cls, path: Path) -> _Plan:
        try:
            value = json.loads(path.read_bytes())
            checksum = value.pop("checksum")
            if checksum_bytes(canonical_json(value)) != checksum:
                raise DataLossError(f"{path} does not match its own checksum; remove it and purge again")
            return cls(tuple(value["versions"]), tuple(value["tags"]), tuple(value["folders"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataLossError(f"{path} cannot be read: {error}; remove it and purge again") from error


def _carry_out(root: Path) -> None:
    """Do what a plan says, if there is one: first the names of versions go, durably, then their files."""
    path = root / _PLAN
    if not path.exists():
        return
    plan = _Plan.read(path)
    for name in plan.tags:
        try:
            untag(root, name)
        except NotFoundError:
            continue
    remove_versions(root, plan.versions)
    # Where an earlier purge was cut short, a document that it was to remove may have been written again since.
    with commit_lock(root, alone=True):
        kept = referenced_folders(root)
        remove_folders(root, [root / folder for folder in plan.folders if root / folder not in kept])
    path.unlink()
    sync_directory(root)


def _rewrite(store: Store, progress: Progress, report: JobReport) -> None:
    """Make the newest version one without deleted documents in its files."""
    for _ in range(_MAX_ROUNDS):
        if not store.snapshot().manifest.deleted_documents:
            return
        compact_groups(store, deleted_compaction, progress, "purge", report)
    if store.snapshot().manifest.deleted_documents:
        raise ConflictError(f"{store.path} cannot be purged: others delete documents faster than it is rewritten")


def _planned(root: Path, newest: Snapshot, progress: Progress) -> tuple[_Plan, int]:
    """What is to go so that the newest version's documents alone are left, and how many others there are."""
    # What others published since is newer: it is not judged by a version that it came after.
    earlier = [version for version in versions(root) if version < newest.version]
    segments_of, damaged = _segments_of_versions(root, earlier)
    living = {segment.id for segment in newest.segments}
    dead = _Dead(newest, progress)
    published = {id for ids in segments_of.values() for id in ids} - living
    progress.start("older versions", None, "characters")
    held = {id for id in sorted(published) if dead.is_in(root / "segments" / id)}
    unpublished = {path.name for path in (root / "segments").iterdir()} - published - living
    # What a version had whose manifest is damaged is in no other, so each segment of none is judged for itself.
    is_held = dead.is_in if damaged else dead.is_again_in
    held |= {id for id in sorted(unpublished) if is_held(root / "segments" / id)}
    progress.finish()
    gone = tuple(sorted([*damaged, *(version for version, ids in segments_of.items() if ids & held)]))
    kept = _folders_of_versions(root, [v for v in versions(root) if v not in gone])
    only_theirs = _folders_of_versions(root, set(gone).difference(damaged))
    folders = {path for path in only_theirs | _derived(root, held, kept) if path not in kept and path.exists()}
    names = tuple(name for name, version in tags(root).items() if version in gone)
    return _Plan(gone, names, tuple(sorted(str(path.relative_to(root)) for path in folders))), len(dead.digests)


def _segments_of_versions(root: Path, numbers: Iterable[int]) -> tuple[dict[int, set[str]], list[int]]:
    """The segments of each version that is there, and the versions whose manifests do not verify."""
    segments_of: dict[int, set[str]] = {}
    damaged = []
    for version in numbers:
        try:
            segments_of[version] = {entry.id for entry in read_manifest(root, version).segments}
        except NotFoundError:
            continue
        except DataLossError:
            damaged.append(version)
    return segments_of, damaged


def _folders_of_versions(root: Path, numbers: Iterable[int]) -> set[Path]:
    found: set[Path] = set()
    for version in numbers:
        try:
            found |= set(folders_of(root, read_manifest(root, version)))
        except NotFoundError:
            continue
    return found


class _Dead:
    """Documents that a version does not have. `digests` are of those met, each once."""

    def __init__(self, newest: Snapshot, progress: Progress) -> None:
        self._newest = newest
        self._progress = progress
        self.digests: set[bytes] = set()

    def is_in(self, folder: Path) -> bool:
        """Whether a published segment holds any; one that cannot be read may, and counts as if it did.

        DataLossError where the newest version cannot be read: it is not known then what there is besides.
        """
        found = set()
        for document in _documents(folder):
            if document is None:
                return True
            self._progress.advance(len(document.text))
            if not self._is_live(document):
                found.add(_digest(document))
        self.digests |= found
        return bool(found)

    def is_again_in(self, folder: Path) -> bool:
        """Whether a segment of no version holds any of those met: one that was copied and never published."""
        return any(document is not None and _digest(document) in self.digests for document in _documents(folder))

    def _is_live(self, document: Document) -> bool:
        try:
            return self._newest.get(document.doc_id) == document
        except NotFoundError:
            return False


def _documents(folder: Path) -> Iterator[Document | None]:
    """Every document of a segment; None at last where it cannot be read."""
    try:
        segment = Segment(folder, read_receipt(folder))
        yield from map(segment.document, range(segment.num_documents))
    except DataLossError:
        yield None


def _digest(document: Document) -> bytes:
    return xxhash.xxh3_128_digest(repr(document).encode("utf-8", "surrogatepass"))


def _derived(root: Path, segments: set[str], kept: set[Path]) -> set[Path]:
    """Segments, and every folder made from them, directly or not: whose receipt names one of them by its id.

    What a version that is kept has stays, though it may have been found out by way of them.
    """
    names = {path: _names_in(path) for path in all_folders(root) if path not in kept}
    derived = {path for path in names if path.parent.name == "segments" and path.name in segments}
    fresh = {path.name for path in derived}
    while fresh:
        found = {path for path, ids in names.items() if path not in derived and ids & fresh}
        derived |= found
        fresh = {path.name for path in found}
    return derived


def _names_in(folder: Path) -> set[str]:
    """The ids of segments and artefacts that a receipt names, in whatever it says."""
    try:
        receipt = read_receipt(folder)
    except DataLossError:
        return set()
    return set(_ID.findall(json.dumps([receipt.inputs, receipt.details, receipt.config])))
