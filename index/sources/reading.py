"""What every reader of a format takes and gives: a file and the terms of reading, records and faults."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.fields import Fields
from lodex.types import Document

MAX_DOCUMENT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """A document and where it stood: the file as the user named it, and the 1-based line or row, 0 for a whole file."""

    document: Document
    place: str
    line: int = 0


Item = Record | InputError
"""What readers yield. A fault is a value, not the end of the file: the caller decides whether to go on."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The terms of reading: the field mapping, the size limit, and whom to tell how many bytes of input were read."""

    fields: Fields = field(default_factory=Fields)
    max_document_bytes: int = MAX_DOCUMENT_BYTES
    advance: Callable[[int], object] = lambda amount: None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read. `name` is its path below the input that led to it: the stable part of default doc_ids."""

    path: Path
    name: str

    @property
    def place(self) -> str:
        """The path for messages."""
        return printable(self.path)

    def open(self, reading: Reading) -> MeteredFile:
        """Open for reading; OSError."""
        return MeteredFile(self.path, reading.advance)

    def read(self, reading: Reading) -> bytes:
        """The whole file. InputError for one that is empty, or larger than a document may be; OSError."""
        with self.open(reading) as file:
            size = os.fstat(file.fileno()).st_size
            if size > reading.max_document_bytes:
                raise too_large(f"the file has {size:,} bytes", reading)
            data = file.readall()
        if not data:
            raise InputError("the file is empty", kind=Fault.EMPTY_FILE)
        return data


Reader = Callable[[SourceFile, Reading], Iterator[Item]]


class MeteredFile(io.FileIO):
    """An unbuffered file that reports the bytes read from it."""

    def __init__(self, path: Path, advance: Callable[[int], object]) -> None:
        super().__init__(path)
        self._advance = advance
        self._end: int | None = None

    def limit(self, begin: int, end: int | None) -> None:
        """Go to byte `begin`; `readinto`, through which buffers read, will find the file ended at `end`."""
        self.seek(begin)
        self._end = end

    def read(self, size: int | None = -1, /) -> Any:
        """Read up to `size` bytes."""
        data = super().read(-1 if size is None else size)
        self._advance(len(data))
        return data

    def readall(self) -> bytes:
        """Read to the end."""
        data = super().readall() or b""
        self._advance(len(data))
        return data

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer`."""
        view = memoryview(buffer).cast("B")
        if self._end is not None:
            view = view[: max(self._end - self.tell(), 0)]
        count = super().readinto(view) or 0
        self._advance(count)
        return count


def too_large(what: str, reading: Reading) -> InputError:
    """The fault of a document, or what may hold one, above the limit."""
    return InputError(
        f"{what}, more than --max-document-bytes allows ({reading.max_document_bytes:,})", kind=Fault.TOO_LARGE
    )


def printable(path: str | os.PathLike[str]) -> str:
    r"""A path as printable Unicode: bytes that are not UTF-8 and control characters become `\xff` escapes."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
