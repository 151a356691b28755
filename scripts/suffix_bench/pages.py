"""The pages of mapped files: made present, dropped from memory, and looked for. By system calls that Python lacks."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

_MADV_RANDOM, _MADV_DONTNEED, _MADV_POPULATE_READ = 1, 4, 22
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where in this process a file is mapped."""

    begin: int
    size: int
    path: Path

    def advise(self, advice: int) -> None:
        """Call madvise; OSError if it fails."""
        if _libc.madvise(ctypes.c_void_p(self.begin), ctypes.c_size_t(self.size), advice):
            raise OSError(ctypes.get_errno(), f"madvise({advice}) of {self.path}")

    def present(self) -> int:
        """Pages of the file, within the mapping, that are in memory."""
        seen = (ctypes.c_ubyte * -(-self.size // mmap.PAGESIZE))()
        if _libc.mincore(ctypes.c_void_p(self.begin), ctypes.c_size_t(self.size), seen):
            raise OSError(ctypes.get_errno(), f"mincore of {self.path}")
        return sum(page & 1 for page in bytes(seen)) if any(bytes(seen)) else 0


def mappings(folder: Path) -> list[Mapping]:
    """What this process has mapped of the files in a folder."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and Path(fields[5]).parent == folder.resolve():
            begin, end = (int(place, 16) for place in fields[0].split("-"))
            found.append(Mapping(begin, end - begin, Path(fields[5])))
    return found


def populate(folder: Path) -> None:
    """Have all pages of the mapped files of a folder present and mapped."""
    for mapping in mappings(folder):
        with mapping.path.open("rb") as file:  # in order, not page by page
            while file.read(1 << 24):
                pass
        mapping.advise(_MADV_POPULATE_READ)


def read_at_random(folder: Path) -> None:
    """Have the kernel read no more of the mapped files than what is asked for."""
    for mapping in mappings(folder):
        mapping.advise(_MADV_RANDOM)


def drop(folder: Path, attempts: int = 5) -> int:
    """Take the mapped files of a folder out of memory; returns the pages that stayed."""
    found = mappings(folder)
    for _ in range(attempts):
        for mapping in found:
            mapping.advise(_MADV_DONTNEED)
            with mapping.path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if not (left := sum(mapping.present() for mapping in found)):
            break
    return left
