"""Manifests: one JSON file for each version of a store, never changed once published."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lodex.errors import DataLossError, NotFoundError
from lodex.index.files import checksum_bytes, publish_new_file
from lodex.index.receipt import canonical_json

FORMAT_VERSION = 1
_NAME = re.compile(r"^(\d{20})\.json$")


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment of a version: its id, its size, and the checksum of its receipt."""

    id: str
    documents: int
    text_bytes: int
    receipt: str


@dataclass(frozen=True, slots=True)
class PartEntry:
    """What an index has for one segment: the id of the task that wrote it, and the checksum of its receipt."""

    task: str
    receipt: str


@dataclass(frozen=True)
class IndexEntry:
    """An index by name: its kind, its configuration, and its part for each segment that has one."""

    kind: str
    config: Mapping[str, Any]
    parts: Mapping[str, PartEntry] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """One version of a store. `parent` is the version before, 0 for the first."""

    store_id: str
    version: int
    parent: int
    segments: tuple[SegmentEntry, ...] = ()
    indexes: Mapping[str, IndexEntry] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON with the checksum of everything else in its `checksum` field."""
        value = {
            "format": "lodex-manifest",
            "format_version": FORMAT_VERSION,
            "minimum_reader": FORMAT_VERSION,
            "store_id": self.store_id,
            "version": self.version,
            "parent": self.parent,
            "segments": [
                {"id": s.id, "documents": s.documents, "text_bytes": s.text_bytes, "receipt": s.receipt}
                for s in self.segments
            ],
            "indexes": {
                name: {
                    "kind": index.kind,
                    "config": index.config,
                    "parts": {
                        segment: {"task": part.task, "receipt": part.receipt} for segment, part in index.parts.items()
                    },
                }
                for name, index in self.indexes.items()
            },
        }
        return canonical_json(value | {"checksum": checksum_bytes(canonical_json(value))})


def manifest_path(root: Path, version: int) -> Path:
    """The file of a version: its number in 20 digits, so that names sort as numbers do."""
    return root / "manifests" / f"{version:020d}.json"


def publish_manifest(root: Path, manifest: Manifest) -> bool:
    """Make a version durable and visible; False where that number is taken."""
    return publish_new_file(manifest_path(root, manifest.version), manifest.to_bytes())


def newest_version(root: Path, at_least: int = 0) -> int:
    """The highest version published, 0 for none. From `at_least`, known to exist, only successors are looked for."""
    if at_least:
        # Every read asks this, so it is one system call and no Path.
        while os.access(f"{root}/manifests/{at_least + 1:020d}.json", os.F_OK):
            at_least += 1
        return at_least
    try:
        names = [match[1] for path in (root / "manifests").iterdir() if (match := _NAME.match(path.name))]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return max((int(name) for name in names), default=0)


def read_manifest(root: Path, version: int) -> Manifest:
    """Read one version and check it whole.

    Raises NotFoundError for a version that is not there, DataLossError for one that does not verify: a manifest that
    is damaged is corruption, never a reason to answer from an older one.
    """
    path = manifest_path(root, version)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"store {root} has no version {version}") from error
    try:
        value = json.loads(data)
        checksum = value.pop("checksum")
        if value["format"] != "lodex-manifest":
            raise DataLossError(f"{path} is not a manifest: its format is {value['format']!r}")
        if value["minimum_reader"] > FORMAT_VERSION:
            raise DataLossError(
                f"{path} needs a reader of format {value['minimum_reader']}, this Lodex reads {FORMAT_VERSION}"
            )
        if checksum_bytes(canonical_json(value)) != checksum or value["version"] != version:
            raise DataLossError(f"{path} does not match its own checksum; the store is damaged")
        return Manifest(
            store_id=value["store_id"],
            version=value["version"],
            parent=value["parent"],
            segments=tuple(SegmentEntry(**segment) for segment in value["segments"]),
            indexes={
                name: IndexEntry(
                    kind=index["kind"],
                    config=index["config"],
                    parts={segment: PartEntry(**part) for segment, part in index["parts"].items()},
                )
                for name, index in value["indexes"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataLossError(f"{path} cannot be read: {error}; the store is damaged") from error
