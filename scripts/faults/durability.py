"""Whether everything was synced before a version named it, from the calls of a run that nothing went wrong in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from faults.child import Call

from lodex.index.commit_lock import LOCK


class Unsynced:
    """What a loss of power could still take: bytes of files, and names in folders, since each was synced last."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = set(folders)
        self._bytes: set[Path] = set()
        self._names: set[Path] = set()

    def see(self, call: Call) -> None:
        """Follow a call that went well."""
        path, second = Path(call.path), Path(call.second)
        match call.name:
            case "mkdir" if path not in self._folders and path.parent in self._folders:
                self._folders.add(path)
                self._names.add(path)
            case "open" | "symlink":
                self._names.add(path)
            case "fsync":
                self._bytes.discard(path)
                self._names = {name for name in self._names if name.parent != path}
            case "rename":
                self._bytes = {_moved(known, path, second) for known in self._bytes}
                self._names = {_moved(known, path, second) for known in self._names} | {second}
                self._folders = {_moved(known, path, second) for known in self._folders}
            case "link":
                self._names.add(second)
            case "unlink" | "rmdir":
                self._bytes.discard(path)
                self._names.discard(path)
                self._folders.discard(path)
            case _ if call.writes:
                self._bytes.add(path)

    def published(self) -> list[Path]:
        """What is not synced of all that is neither temporary nor the lock, which is made anew where it is gone."""
        return sorted(path for path in self._bytes | self._names if not _is_temporary(path) and path.name != LOCK)


def unsynced_when_named(calls: Sequence[Call], folders: Iterable[Path]) -> list[str]:
    """A line for each file or name that something was built on before it was durable.

    `folders` are those that were there before, with the one the store was made in. A version, published by the link of
    its manifest, is built on everything; what is removed, by a rename to a temporary name, on the manifests that no
    longer name it; and the end, where all is acknowledged, on everything again.
    """
    seen = Unsynced(folders)
    found: list[str] = []
    for call in calls:
        path, second = Path(call.path), Path(call.second)
        if call.name == "link" and second.parent.name == "manifests" and not _is_temporary(second):
            found += [f"{missing} was not synced when {second.name} named it" for missing in seen.published()]
        if call.name == "rename" and _is_temporary(second) and not _is_temporary(path):
            marks = [missing for missing in seen.published() if missing.parent.name == "manifests"]
            found += [f"{missing} was not synced when {path} was removed" for missing in marks]
        seen.see(call)
    return found + [f"{missing} was not synced at the end" for missing in seen.published()]


def _is_temporary(path: Path) -> bool:
    return any(name.startswith(".tmp-") for name in path.parts)


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path
