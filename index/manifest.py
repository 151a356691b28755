"""Manifests: one JSON file for each version of a store, never changed once published."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lodex.errors import DataLossError, InvalidArgumentError, NotFoundError
from lodex.index.files import checksum_bytes, publish_new_file, read_error
from lodex.index.receipt import canonical_json

FORMAT_VERSION = 2
"""What is written. Format 1 had neither deletions nor aliases nor requests, and opens as it is."""
MAX_REQUESTS = 256
"""Requests that a manifest remembers, so that one that is repeated is not carried out twice."""
TOMBSTONES = "tombstones"
"""The kind of artefact that holds the deleted rows of a segment."""
SUBTRACTIVE = "subtractive"
"""The kind of artefact that holds what is to be subtracted from a suffix index: its deleted documents."""
REMOVED_FORMAT = "lodex-removed-version"
"""What stands in the place of a version that was removed, so that its number is never given again."""
_NAME = re.compile(r"^(\d{20})\.json$")


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The deleted rows of a segment: the task that wrote them, its receipt, and what they take away."""

    task: str
    receipt: str
    documents: int
    text_bytes: int


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment of a version: its id, its size, the checksum of its receipt, and what of it is deleted.

    `documents` and `text_bytes` count what the files hold, deleted documents among it.
    """

    id: str
    documents: int
    text_bytes: int
    receipt: str
    deleted: Tombstones | None = None

    @property
    def live_documents(self) -> int:
        """Documents that are not deleted."""
        return self.documents - (self.deleted.documents if self.deleted else 0)

    @property
    def live_text_bytes(self) -> int:
        """Bytes of their texts."""
        return self.text_bytes - (self.deleted.text_bytes if self.deleted else 0)


@dataclass(frozen=True, slots=True)
class PartEntry:
    """What an index has for one segment: the id of the task that wrote it, and the checksum of its receipt.

    `minus` is the part of the same index over the deleted documents alone, for kinds whose answers are differences.
    """

    task: str
    receipt: str
    minus: PartEntry | None = None


@dataclass(frozen=True)
class IndexEntry:
    """An index by name: its kind, its configuration, and its part for each segment that has one."""

    kind: str
    config: Mapping[str, Any]
    parts: Mapping[str, PartEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """How far a request has been carried out: the last batch of a stream that is durable, and what came of it.

    `kind` is "ingest" or "delete", and `digest` tells one such request from another, so that an id that is used again
    for something else is noticed.
    """

    kind: str
    digest: str
    sequence: int
    version: int
    documents: int = 0
    replaced: int = 0
    rejected: int = 0
    text_bytes: int = 0


@dataclass(frozen=True)
class Manifest:
    """One version of a store. `parent` is the version before, 0 for the first; `change` is what made it.

    `time_ns` is when it was made, since the epoch. `aliases` are further names of indexes; `requests` are the latest
    writes by the ids that their callers gave them, oldest first.
    """

    store_id: str
    version: int
    parent: int
    segments: tuple[SegmentEntry, ...] = ()
    indexes: Mapping[str, IndexEntry] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    change: str = "create"
    time_ns: int = 0
    requests: Mapping[str, RequestEntry] = field(default_factory=dict)

    @property
    def live_documents(self) -> int:
        """Documents of the version."""
        return sum(segment.live_documents for segment in self.segments)

    @property
    def live_text_bytes(self) -> int:
        """Bytes of their texts."""
        return sum(segment.live_text_bytes for segment in self.segments)

    @property
    def deleted_documents(self) -> int:
        """Documents that are deleted and whose bytes are still there."""
        return sum(segment.documents for segment in self.segments) - self.live_documents

    def artefacts(self) -> Iterator[tuple[str, str, str]]:
        """Each artefact that the version stands on, once: its kind, its task, and the checksum of its receipt."""
        seen: set[tuple[str, str]] = set()
        for kind, part in self._parts():
            if (kind, part.task) not in seen:
                seen.add((kind, part.task))
                yield kind, part.task, part.receipt

    def _parts(self) -> Iterator[tuple[str, PartEntry | Tombstones]]:
        for segment in self.segments:
            if segment.deleted is not None:
                yield TOMBSTONES, segment.deleted
        for entry in self.indexes.values():
            for part in entry.parts.values():
                yield entry.kind, part
                if part.minus is not None:
                    yield SUBTRACTIVE, part.minus

    def to_bytes(self) -> bytes:
        """Canonical JSON with the checksum of everything else in its `checksum` field."""
        value = {
            "format": "lodex-manifest",
            "format_version": FORMAT_VERSION,
            "minimum_reader": FORMAT_VERSION,
            "store_id": self.store_id,
            "version": self.version,
            "parent": self.parent,
            "change": self.change,
            "time_ns": self.time_ns,
            "segments": [_segment_json(segment) for segment in self.segments],
            "indexes": {
                name: {
                    "kind": index.kind,
                    "config": index.config,
                    "parts": {segment: _part_json(part) for segment, part in index.parts.items()},
                }
                for name, index in self.indexes.items()
            },
            "aliases": dict(self.aliases),
            "requests": [[name, *_values(request)] for name, request in self.requests.items()],
        }
        return canonical_json(value | {"checksum": checksum_bytes(canonical_json(value))})


def known_request(manifest: Manifest, request_id: str, kind: str, digest: str) -> RequestEntry | None:
    """What is remembered of a request, None of one without an id or unknown.

    InvalidArgumentError where its id is remembered of another one.
    """
    known = manifest.requests.get(request_id) if request_id else None
    if known is not None and (known.kind, known.digest) != (kind, digest):
        raise InvalidArgumentError(
            f"request_id {request_id!r} is that of another request ({known.kind}, carried out in version "
            f"{known.version}): give each request an id of its own",
            "request_id",
        )
    return known


def with_request(manifest: Manifest, request_id: str, entry: RequestEntry) -> Manifest:
    """The manifest with a request remembered as the latest; the oldest beyond `MAX_REQUESTS` are forgotten."""
    others = [(name, known) for name, known in manifest.requests.items() if name != request_id]
    kept = [*others, (request_id, entry)][-MAX_REQUESTS:]
    return replace(manifest, requests=dict(kept))


def _segment_json(segment: SegmentEntry) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": segment.id,
        "documents": segment.documents,
        "text_bytes": segment.text_bytes,
        "receipt": segment.receipt,
    }
    return value if segment.deleted is None else value | {"deleted": asdict(segment.deleted)}


def _part_json(part: PartEntry) -> dict[str, Any]:
    value: dict[str, Any] = {"task": part.task, "receipt": part.receipt}
    return value if part.minus is None else value | {"minus": _part_json(part.minus)}


def _values(request: RequestEntry) -> list[str | int]:
    return list(asdict(request).values())


def manifest_path(root: Path, version: int) -> Path:
    """The file of a version: its number in 20 digits, so that names sort as numbers do."""
    return root / "manifests" / f"{version:020d}.json"


def publish_manifest(root: Path, manifest: Manifest) -> bool:
    """Make a version durable and visible; False where that number is taken."""
    return publish_new_file(manifest_path(root, manifest.version), manifest.to_bytes())


def newest_version(root: Path, at_least: int = 0) -> int:
    """The highest version published, 0 for none. From `at_least` on only successors are looked for."""
    if at_least:
        # Every read asks this, so it is one system call and no Path.
        while os.access(f"{root}/manifests/{at_least + 1:020d}.json", os.F_OK):
            at_least += 1
        # Gone, where a copy of the store was put in its place.
        if os.access(f"{root}/manifests/{at_least:020d}.json", os.F_OK):
            return at_least
    return max(versions(root), default=0)


def versions(root: Path) -> list[int]:
    """The versions that there are or were, ascending; `read_manifest` tells those that were removed."""
    try:
        names = [path.name for path in (root / "manifests").iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(match[1]) for name in names if (match := _NAME.match(name)))


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
    except OSError as error:
        raise read_error(error, path) from error
    try:
        value = json.loads(data)
        checksum = value.pop("checksum")
        if value["format"] == REMOVED_FORMAT:
            raise NotFoundError(f"version {version} of store {root} is not kept any more")
        if value["format"] != "lodex-manifest":
            raise DataLossError(f"{path} is not a manifest: its format is {value['format']!r}")
        if value["minimum_reader"] > FORMAT_VERSION:
            raise DataLossError(
                f"{path} needs a reader of format {value['minimum_reader']}, this Lodex reads {FORMAT_VERSION}"
            )
        if checksum_bytes(canonical_json(value)) != checksum or value["version"] != version:
            raise DataLossError(f"{path} does not match its own checksum; the store is damaged")
        return _parse(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataLossError(f"{path} cannot be read: {error}; the store is damaged") from error


def is_removed(root: Path, version: int) -> bool:
    """Whether a version is not there any more."""
    try:
        read_manifest(root, version)
    except NotFoundError:
        return True
    return False


def _parse(value: Mapping[str, Any]) -> Manifest:
    return Manifest(
        store_id=value["store_id"],
        version=value["version"],
        parent=value["parent"],
        segments=tuple(_segment(segment) for segment in value["segments"]),
        indexes={
            name: IndexEntry(
                kind=index["kind"],
                config=index["config"],
                parts={segment: _part(part) for segment, part in index["parts"].items()},
            )
            for name, index in value["indexes"].items()
        },
        # What follows is not in format 1.
        aliases=value.get("aliases", {}),
        change=value.get("change", ""),
        time_ns=value.get("time_ns", 0),
        requests={name: RequestEntry(*values) for name, *values in value.get("requests", ())},
    )


def _segment(value: Mapping[str, Any]) -> SegmentEntry:
    deleted = value.get("deleted")
    return SegmentEntry(**{**value, "deleted": None if deleted is None else Tombstones(**deleted)})


def _part(value: Mapping[str, Any]) -> PartEntry:
    minus = value.get("minus")
    return PartEntry(value["task"], value["receipt"], None if minus is None else PartEntry(**minus))
