"""Collecting garbage: versions that nobody needs any more, and the folders that only they have."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.index.commit_lock import commit_lock
from lodex.index.files import is_temporary, remove_folder, storage_errors, sweep_abandoned
from lodex.index.folders import folders_of
from lodex.index.history import VersionInfo, tags, versions
from lodex.index.manifest import read_manifest
from lodex.index.quarantine import Quarantine
from lodex.index.removed_versions import remove_versions

KEEP = 10
GRACE_S = 86_400.0


@dataclass(frozen=True, slots=True)
class GarbageReport:
    """What was collected, or would be: the versions removed, and folders with the bytes that they held.

    `version` is the newest one; `kept` counts the versions that are left; `abandoned` the temporary files and folders
    of writers that were killed.
    """

    version: int
    removed: tuple[int, ...]
    kept: int
    folders: int
    bytes: int
    abandoned: int = 0


def collect_garbage(root: Path, keep: int = KEEP, grace_s: float = GRACE_S, *, dry_run: bool = False) -> GarbageReport:
    """Remove versions and the folders that no version left has; with `dry_run` only say what would be.

    Kept are the newest `keep` versions, those with a tag, and those that were the newest one less than `grace_s`
    seconds ago, which a reader may have pinned. Folders younger than that stay too: a job that has not published yet
    has written them, or found them done. A reader of a removed version gets NotFoundError; that files go which are
    still mapped does not disturb it. Interrupted at any point, the store is whole, and the next call goes on.
    """
    if keep < 1:
        raise InvalidArgumentError(f"keep is {keep}, expected at least 1: the newest version always stays", "keep")
    if grace_s < 0:
        raise InvalidArgumentError(f"grace_s is {grace_s}, expected at least 0", "grace_s")
    history = list(versions(root))
    if not history:
        raise NotFoundError(f"no store at {root}: it has no manifests")
    now_ns = time.time_ns()
    kept = _kept(history, keep, now_ns - int(grace_s * 1e9))
    removed = tuple(sorted(info.version for info in history if info.version not in kept))
    if dry_run:
        return _reported(root, history, removed, _garbage(root, removed, now_ns, grace_s))
    with storage_errors(root), commit_lock(root, alone=True):
        tagged = set(tags(root).values())
        removed = tuple(version for version in removed if version not in tagged)
        # First the names, durably, then what they stood for: no version is ever seen without its files.
        remove_versions(root, removed)
        # Read only now, so that what a writer built on meanwhile is seen: it is young, or of a version that is kept.
        garbage = _garbage(root, removed, now_ns, grace_s)
        report = _reported(root, history, removed, garbage)
        remove_folders(root, garbage)
        abandoned = sum(sweep_abandoned(folder) for folder in _parents(root))
    return replace(report, abandoned=abandoned)


def _garbage(root: Path, removed: tuple[int, ...], now_ns: int, grace_s: float) -> list[Path]:
    """The folders of no version that is left, of those that are not young."""
    referenced = referenced_folders(root, without=removed)
    young_from = now_ns / 1e9 - grace_s
    return [path for path in all_folders(root) if path not in referenced and _time_of(path) < young_from]


def _reported(root: Path, history: list[VersionInfo], removed: tuple[int, ...], garbage: list[Path]) -> GarbageReport:
    size = sum(map(folder_bytes, garbage))
    return GarbageReport(history[0].version, removed, len(history) - len(removed), len(garbage), size)


def _kept(history: list[VersionInfo], keep: int, since_ns: int) -> set[int]:
    """The versions to keep, of a history that is newest first."""
    kept = {info.version for info in history[:keep]} | {info.version for info in history if info.tags}
    for successor, info in pairwise(history):
        if successor.time_ns > since_ns:
            kept.add(info.version)
    return kept


def referenced_folders(root: Path, without: Iterable[int] = ()) -> set[Path]:
    """Every folder that a version has, of all versions but some."""
    referenced: set[Path] = set()
    for info in versions(root):
        if info.version not in without:
            referenced |= set(folders_of(root, read_manifest(root, info.version)))
    return referenced


def all_folders(root: Path) -> Iterator[Path]:
    """Every published folder of a store, whether a version has it or not."""
    for parent in _parents(root):
        if parent.name not in ("manifests", "tags"):
            yield from (path for path in sorted(parent.iterdir()) if not is_temporary(path))


def remove_folders(root: Path, folders: Iterable[Path]) -> None:
    """Remove folders, each whole or not at all, and what is recorded of damage to them."""
    for path in folders:
        remove_folder(path)
        kind = "segment" if path.parent.name == "segments" else path.parent.name
        Quarantine(root).lift(kind, path.name)


def folder_bytes(folder: Path) -> int:
    """The bytes of the files in a folder; links count nothing."""
    return sum(path.lstat().st_size for path in folder.iterdir() if not path.is_symlink())


def _parents(root: Path) -> Iterator[Path]:
    """The folders in which files and folders are published."""
    for path in (root / "manifests", root / "tags", root / "segments"):
        if path.is_dir():
            yield path
    if (root / "artefacts").is_dir():
        yield from sorted(path for path in (root / "artefacts").iterdir() if path.is_dir())


def _time_of(folder: Path) -> float:
    """When a folder was written, or found by a job that needs it; seconds since the epoch. Never, if it is gone."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return math.inf
