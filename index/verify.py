"""Proving a store: every manifest, receipt and file of a version against its checksum."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lodex.errors import DataLossError, InvalidArgumentError, NotFoundError
from lodex.index.files import checksum_file
from lodex.index.history import version_of_tag
from lodex.index.jobs import artefact_path
from lodex.index.manifest import Manifest, newest_version, read_manifest, versions
from lodex.index.quarantine import Damage, Quarantine
from lodex.index.receipt import RECEIPT, Artefact, Guard, read_receipt
from lodex.types import Progress, Silent


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was read and what is damaged: one sentence for each damaged file, naming it and the bytes where known."""

    version: int
    folders: int
    files: int
    bytes: int
    damaged: tuple[str, ...]


@dataclass
class _Findings:
    """What is damaged: sentences, and of those that name a file of a folder the record for its quarantine."""

    sentences: list[str] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    def report(self, kind: str, id: str, file: str, how: str) -> None:
        self.damages.append(Damage(kind, id, file, how))


def verify_store(
    root: Path,
    version: int | None = None,
    progress: Progress | None = None,
    *,
    workers: int | None = None,
    quarantine: bool = False,
) -> VerifyReport:
    """Check every version byte by byte, or the one given alone, and tags. Each folder is read once.

    Damage is reported, all of it, and with `quarantine` recorded so that no process reads it any more; the manifest of
    the newest or given version raises DataLossError where it does not verify, as nothing below it can be named.
    NotFoundError where there is no such version. Files are read by `workers` threads, by default one a core; one that
    several folders link to is read once.
    """
    progress = progress or Silent()
    newest = newest_version(root)
    if not newest:
        raise NotFoundError(f"no store at {root}: it has no manifests")
    manifest = read_manifest(root, newest if version is None else version)
    findings = _Findings()
    older = _older(root, newest, findings) if version is None else ()
    # What was repaired has the receipt that the newest of the versions that name it records.
    parts = {
        (kind, id): (path, kind, id, receipt)
        for m in (*older, manifest)
        for path, kind, id, receipt in folders(root, m)
    }
    _check_tags(root, findings)
    files = _open(list(parts.values()), findings)
    total = sum(artefacts[0][0].receipt.files[artefacts[0][1]].bytes for artefacts in files.values())
    progress.start("verify", total, "bytes")
    largest_first = sorted(files, key=lambda path: -files[path][0][0].receipt.files[files[path][0][1]].bytes)
    with ThreadPoolExecutor(workers or os.cpu_count()) as threads:
        for size in threads.map(lambda path: _prove(Path(path), files[path], findings), largest_first):
            progress.advance(size)
    progress.finish()
    if quarantine:
        for damage in findings.damages:
            Quarantine(root).add(damage.kind, damage.id, damage.file, damage.how)
    return VerifyReport(manifest.version, len(parts), len(files), total, tuple(sorted(findings.sentences)))


Place = tuple[Artefact, str]
"""A file by the folder that has it, or a link to it, and its name there."""


def _older(root: Path, newest: int, findings: _Findings) -> Iterator[Manifest]:
    """The other manifests that verify, oldest first."""
    for version in versions(root):
        try:
            if version < newest:
                yield read_manifest(root, version)
        except NotFoundError:
            continue  # removed meanwhile
        except DataLossError as error:
            findings.sentences.append(str(error))


def _check_tags(root: Path, findings: _Findings) -> None:
    for path in sorted(root.glob("tags/*.json")):
        try:
            version_of_tag(root, path.stem)
        except (NotFoundError, InvalidArgumentError):
            continue  # removed meanwhile, or none of ours
        except DataLossError as error:
            findings.sentences.append(str(error))


def _open(parts: list[tuple[Path, str, str, str]], findings: _Findings) -> dict[str, list[Place]]:
    """The places of each file that is there, by its real path, once all receipts are checked."""
    files: dict[str, list[Place]] = {}
    for path, kind, id, receipt_checksum in parts:
        try:
            receipt = read_receipt(path, receipt_checksum)
            if (receipt.kind, receipt.id) != (kind, id):
                raise DataLossError(f"{path} holds the receipt of {receipt.kind} {receipt.id}")
        except DataLossError as error:
            findings.sentences.append(str(error))
            findings.report(kind, id, RECEIPT, "does not verify")
            continue
        artefact = Artefact(path, receipt, Guard(report=findings.report))
        for name, record in receipt.files.items():
            try:
                found = artefact.require(name)
                if record.link and not found.is_symlink():
                    raise artefact.damaged(name, f"does not link to {record.link!r} as its receipt says")
                files.setdefault(os.path.realpath(found), []).append((artefact, name))
            except DataLossError as error:
                findings.sentences.append(str(error))
                if not (path / name).exists():
                    findings.report(kind, id, name, "is missing")
    return files


def _prove(path: Path, places: list[Place], findings: _Findings) -> int:
    """Read a file and compare it with what every receipt says that has it; returns its size."""
    try:
        checksums = checksum_file(path)
    except DataLossError as error:
        findings.sentences.append(str(error))
        return 0
    for artefact, name in places:
        try:
            artefact.prove(name, checksums)
        except DataLossError as error:
            findings.sentences.append(str(error))
    artefact, name = places[0]
    return artefact.receipt.files[name].bytes


def folders(root: Path, manifest: Manifest) -> Iterator[tuple[Path, str, str, str]]:
    """Each folder of a version once: its path, kind, id, and the checksum of its receipt."""
    for segment in manifest.segments:
        yield root / "segments" / segment.id, "segment", segment.id, segment.receipt
    for kind, task, receipt in manifest.artefacts():
        yield artefact_path(root, kind, task), kind, task, receipt
