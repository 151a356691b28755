"""Receipts: what a task wrote, from what, and the checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lodex.errors import DataLossError
from lodex.index.files import checksum_bytes, checksum_file

RECEIPT = "receipt.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes and checksum of a file; `link` is the relative target where it links to another artefact's."""

    bytes: int
    checksum: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What stands in a folder: its kind and content-addressed id, its inputs, rows, facts and files."""

    kind: str
    id: str
    inputs: tuple[str, ...]
    config: Mapping[str, Any]
    rows: int
    details: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same receipt is the same bytes, on any machine."""
        return canonical_json(
            {
                "format": "lodex-receipt",
                "format_version": FORMAT_VERSION,
                "minimum_reader": FORMAT_VERSION,
                "kind": self.kind,
                "id": self.id,
                "inputs": list(self.inputs),
                "config": self.config,
                "rows": self.rows,
                "details": self.details,
                "files": {
                    name: {"bytes": record.bytes, "checksum": record.checksum}
                    | ({"link": record.link} if record.link else {})
                    for name, record in self.files.items()
                },
            }
        )


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8 and no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def record_files(folder: Path) -> dict[str, FileRecord]:
    """The size and checksum of every file in a flat folder, by name; links are followed and recorded as links."""
    records = {}
    for path in sorted(folder.iterdir()):
        if path.name == RECEIPT:
            continue
        link = str(path.readlink()) if path.is_symlink() else ""
        records[path.name] = FileRecord(path.stat().st_size, checksum_file(path), link)
    return records


def read_receipt(folder: Path, expected_checksum: str | None = None) -> Receipt:
    """Read and check a folder's receipt; `expected_checksum` is the one its manifest records.

    Raises DataLossError where the receipt is missing, is not one, or is another than the manifest published.
    """
    path = folder / RECEIPT
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataLossError(f"{path} is missing") from error
    if expected_checksum is not None and checksum_bytes(data) != expected_checksum:
        raise DataLossError(f"{path} is not the receipt its manifest records: expected {expected_checksum}")
    try:
        value = json.loads(data)
        if value["format"] != "lodex-receipt":
            raise DataLossError(f"{path} is not a receipt: its format is {value['format']!r}")
        if value["minimum_reader"] > FORMAT_VERSION:
            raise DataLossError(
                f"{path} needs a reader of format {value['minimum_reader']}, this Lodex reads {FORMAT_VERSION}"
            )
        return Receipt(
            kind=value["kind"],
            id=value["id"],
            inputs=tuple(value["inputs"]),
            config=value["config"],
            rows=value["rows"],
            details=value["details"],
            files={name: FileRecord(**record) for name, record in value["files"].items()},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataLossError(f"{path} cannot be read: {error}") from error


class Artefact:
    """A published folder and its receipt. `file` hands out paths after a check of their size."""

    def __init__(self, path: Path, receipt: Receipt) -> None:
        self.path = path
        self.receipt = receipt

    @property
    def kind(self) -> str:
        """What sort of task wrote it."""
        return self.receipt.kind

    @property
    def id(self) -> str:
        """The content-addressed id of the task that wrote it."""
        return self.receipt.id

    def file(self, name: str) -> Path:
        """The path of a file of this artefact; DataLossError unless it is there with the size recorded."""
        record = self.receipt.files.get(name)
        path = self.path / name
        if record is None:
            raise DataLossError(f"{path} is not in its receipt, which has {sorted(self.receipt.files)}")
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise DataLossError(f"{path} is missing") from error
        if size != record.bytes:
            raise DataLossError(f"{path} has {size} bytes, its receipt says {record.bytes}")
        return path

    def verify(self) -> int:
        """Check every file's checksum; returns the bytes read. Raises DataLossError at the first that differs."""
        total = 0
        for name, record in self.receipt.files.items():
            path = self.file(name)
            if (str(path.readlink()) if path.is_symlink() else "") != record.link:
                raise DataLossError(f"{path} does not link to {record.link!r} as its receipt says")
            found = checksum_file(path)
            if found != record.checksum:
                raise DataLossError(f"{path} has checksum {found}, its receipt says {record.checksum}")
            total += record.bytes
        return total
