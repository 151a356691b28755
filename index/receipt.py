"""Receipts: what a task wrote, from what, and the checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISLNK
from typing import Any

from lodex.errors import DataLossError
from lodex.index.files import BLOCK_BYTES, Checksums, checksum_bytes, checksum_file, read_error

RECEIPT = "receipt.json"
FORMAT_VERSION = 2
"""What is written. Format 1 had no checksums of blocks, and opens as it is."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes and checksum of a file; `link` is the relative target where it links to another artefact's.

    `blocks` are the checksums of its blocks as `Checksums` has them, "" where only the whole has one.
    """

    bytes: int
    checksum: str
    link: str = ""
    blocks: str = ""

    def to_json(self) -> dict[str, Any]:
        """What stands in a receipt."""
        optional = {"link": self.link, "blocks": self.blocks}
        return {"bytes": self.bytes, "checksum": self.checksum} | {k: v for k, v in optional.items() if v}


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
                "files": {name: record.to_json() for name, record in self.files.items()},
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
        if path.name == RECEIPT or path.name.startswith("."):
            continue
        link = str(path.readlink()) if path.is_symlink() else ""
        found = checksum_file(path)
        records[path.name] = FileRecord(path.stat().st_size, found.whole, link, found.blocks)
    return records


def read_receipt(folder: Path, expected_checksum: str | None = None) -> Receipt:
    """Read and check a folder's receipt; `expected_checksum` is the one its manifest records.

    Raises DataLossError where the receipt is missing, is not one, or is another than the manifest published.
    """
    path = folder / RECEIPT
    try:
        data = path.read_bytes()
    except OSError as error:
        raise read_error(error, path) from error
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataLossError(f"{path} cannot be read: {error}") from error


Report = Callable[[str, str, str, str], None]
"""Is told the kind and id of a folder, the file of it that is damaged, and how."""


@dataclass(frozen=True, slots=True)
class Guard:
    """How the files of a store are watched: whether all are checked before they are read, and who hears of damage.

    `advice` is how mapped ones are read, see `mapped_files.ADVICE`.
    """

    on_read: bool = False
    report: Report | None = None
    advice: str = "normal"


UNWATCHED = Guard()


class Artefact:
    """A published folder and its receipt. `file` hands out paths after a check of what they lead to.

    Always checked are presence, size and the target of a link, and the checksum of a file of one block, which costs
    less than opening it. Under a guard `on_read` the checksum of every file is, once, before its first byte is read.
    A folder that is `refused` hands out nothing: every file raises DataLossError with that sentence.
    """

    def __init__(self, path: Path, receipt: Receipt, guard: Guard = UNWATCHED, refused: str = "") -> None:
        self.path = path
        self.receipt = receipt
        self.refused = refused
        self.guard = guard
        self._proven: set[str] = set()

    @property
    def kind(self) -> str:
        """What sort of task wrote it."""
        return self.receipt.kind

    @property
    def id(self) -> str:
        """The content-addressed id of the task that wrote it."""
        return self.receipt.id

    def file(self, name: str, *, whole: bool = False) -> Path:
        """The path of a file, to be read; DataLossError where it is not what the receipt says.

        With `whole` its checksum is compared whatever its size: for bytes that go to readers which trust them.
        """
        path = self.require(name)
        is_due = whole or self.guard.on_read or self.receipt.files[name].bytes <= BLOCK_BYTES
        if is_due and name not in self._proven:
            self.prove(name)
        return path

    def require(self, name: str) -> Path:
        """The path of a file that is there, of the size and with the link that the receipt records; DataLossError."""
        if self.refused:
            raise DataLossError(self.refused)
        record = self.receipt.files.get(name)
        path = self.path / name
        if record is None:
            raise DataLossError(f"{path} is not in its receipt, which has {sorted(self.receipt.files)}")
        try:
            if S_ISLNK(path.lstat().st_mode) and str(path.readlink()) != record.link:
                raise self.damaged(
                    name, f"links to {path.readlink()}, its receipt says {record.link or 'to nothing'!r}"
                )
            size = path.stat().st_size
        except OSError as error:
            raise read_error(error, path) from error
        if size != record.bytes:
            raise self.damaged(name, f"has {size} bytes, its receipt says {record.bytes}")
        return path

    def prove(self, name: str, found: Checksums | None = None) -> None:
        """Compare a file's checksum with the receipt; DataLossError names the blocks that differ.

        The file is read, unless the checksums `found` in it are given.
        """
        record = self.receipt.files[name]
        found = found or checksum_file(self.path / name)
        if found.whole != record.checksum:
            raise self.damaged(name, _difference(found, record))
        self._proven.add(name)

    def prove_all(self) -> None:
        """Prove every file that is not proven yet, for those who write what stands on this folder.

        A part that is made from damaged bytes would carry the damage on, under checksums of its own.
        """
        for name in self.receipt.files:
            self.file(name, whole=True)

    def damaged(self, name: str, how: str) -> DataLossError:
        """The error for a file of this folder that is damaged, which the guard is told of."""
        if self.guard.report is not None:
            self.guard.report(self.kind, self.id, name, how)
        return DataLossError(f"{self.path / name} {how}")


def _difference(found: Checksums, record: FileRecord) -> str:
    """How a file differs from its record, with the places where that is known."""
    sentence = f"has checksum {found.whole}, its receipt says {record.checksum}"
    if len(found.blocks) != len(record.blocks):
        return sentence
    differing = [
        i for i in range(len(found.blocks) // 16) if found.blocks[16 * i :][:16] != record.blocks[16 * i :][:16]
    ]
    places = [f"{i * BLOCK_BYTES} to {min((i + 1) * BLOCK_BYTES, record.bytes)}" for i in differing[:_NAMED_BLOCKS]]
    more = f" and {len(differing) - _NAMED_BLOCKS} blocks more" if len(differing) > _NAMED_BLOCKS else ""
    return f"{sentence}; damaged are bytes {', '.join(places)}{more}" if places else sentence


_DIGITS = 16
_NAMED_BLOCKS = 8
