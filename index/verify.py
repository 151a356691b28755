"""Proving a store: every manifest, receipt and file of a version against its checksum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lodex.errors import DataLossError, NotFoundError
from lodex.index.jobs import artefact_path
from lodex.index.manifest import Manifest, newest_version, read_manifest
from lodex.index.receipt import Artefact, read_receipt
from lodex.types import Progress, Silent


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was read and what is damaged: one sentence for each damaged segment or artefact, naming its file."""

    version: int
    folders: int
    bytes: int
    damaged: tuple[str, ...]


def verify_store(root: Path, version: int | None = None, progress: Progress | None = None) -> VerifyReport:
    """Check a version, the newest unless given, byte by byte.

    Damage to files is reported, all of it; a manifest that does not verify raises DataLossError, as nothing below it
    can be named, and NotFoundError is raised where there is no such version.
    """
    progress = progress or Silent()
    newest = newest_version(root)
    if not newest:
        raise NotFoundError(f"no store at {root}: it has no manifests")
    manifest = read_manifest(root, newest if version is None else version)
    folders = total = 0
    damaged: list[str] = []
    parts = list(_folders(root, manifest))
    progress.start("verify", len(parts), "folders")
    for path, kind, name, receipt_checksum in parts:
        try:
            receipt = read_receipt(path, receipt_checksum)
            if (receipt.kind, receipt.id) != (kind, name):
                raise DataLossError(f"{path} holds the receipt of {receipt.kind} {receipt.id}")
            total += Artefact(path, receipt).verify()
        except DataLossError as error:
            damaged.append(str(error))
        folders += 1
        progress.advance(1)
    progress.finish()
    return VerifyReport(manifest.version, folders, total, tuple(damaged))


def _folders(root: Path, manifest: Manifest) -> Iterator[tuple[Path, str, str, str]]:
    """Each folder of a version once: its path, kind, id, and the checksum of its receipt."""
    for segment in manifest.segments:
        yield root / "segments" / segment.id, "segment", segment.id, segment.receipt
    seen = set()
    for entry in manifest.indexes.values():
        for part in entry.parts.values():
            if (entry.kind, part.task) not in seen:
                seen.add((entry.kind, part.task))
                yield artefact_path(root, entry.kind, part.task), entry.kind, part.task, part.receipt
