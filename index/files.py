"""Files that appear whole or not at all.

Everything a store holds is written under a temporary name, synced, and renamed into place; a published file never
changes. A temporary folder is locked while its owner lives, so that what a killed writer left can be told from what
another writer is still writing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from lodex.errors import DataLossError, ResourceExhaustedError

BLOCK_BYTES = 1 << 20
"""Bytes that one checksum of a block covers: damage is told to the MiB, for 16 bytes of receipt a MiB."""
_TEMPORARY = ".tmp-"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SyncError(DataLossError):
    """A sync failed: what was written may be lost whatever a second sync says, so its writer stops for good."""


@dataclass(frozen=True, slots=True)
class Checksums:
    """The checksum of a file, and those of its blocks: 16 hexadecimal digits each, "" for a file of one block."""

    whole: str
    blocks: str


def checksum_bytes(data: bytes) -> str:
    """The checksum of `data` as it stands in manifests and receipts: `xxh3_128:` and 32 hexadecimal digits."""
    return "xxh3_128:" + xxhash.xxh3_128_hexdigest(data)


def checksum_file(path: Path) -> Checksums:
    """The checksum of a file's bytes, in the form of `checksum_bytes`, and the XXH3-64 of every block of one MiB.

    The file is read once, into one buffer. DataLossError where the device cannot read it.
    """
    whole = xxhash.xxh3_128()
    blocks: list[str] = []
    buffer = memoryview(bytearray(BLOCK_BYTES))
    try:
        with path.open("rb", buffering=0) as file:
            while size := _fill(file, buffer):
                # The interpreter lock is let go for so large a piece, so that files are hashed on all cores.
                whole.update(buffer[:size])
                blocks.append(xxhash.xxh3_64_hexdigest(buffer[:size]))
    except OSError as error:
        raise read_error(error, path) from error
    return Checksums("xxh3_128:" + whole.hexdigest(), "".join(blocks) if len(blocks) > 1 else "")


def _fill(file: Any, buffer: memoryview) -> int:
    """Read until the buffer is full or the file ends; returns the bytes read."""
    size = 0
    while size < len(buffer) and (count := file.readinto(buffer[size:])):
        size += count
    return size


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable. SyncError where that fails."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise SyncError(f"cannot sync {path}: {error.strerror}; what was written there may be lost") from error
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a folder that may be there already, and those it stands in; the names of new ones are durable."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable; see `sync_descriptor`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_descriptor(descriptor, path)
    finally:
        os.close(descriptor)


def sync_descriptor(descriptor: int, path: Path) -> None:
    """Make the bytes of an open file durable. OSError where the disk is full, else SyncError where that fails.

    Kernels forget what they could not write: a second sync would succeed over a hole. A full disk is no exception, but
    such a file is thrown away with its folder, and nothing of it is synced again.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise
        raise SyncError(f"cannot sync {path}: {error.strerror}; what was written there may be lost") from error


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """An array's bytes as a file. Unlike `tofile` an error says what the file system said."""
    with path.open("wb") as file:
        file.write(np.ascontiguousarray(array).data)


def publish_new_file(path: Path, data: bytes) -> bool:
    """Write `data` to `path` unless it exists; False where another writer was first.

    The link is what publishes: unlike a rename it fails when the name is taken.
    """
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            # Locked while its writer lives, as a temporary folder is. A sweep may still come before the lock.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            sync_descriptor(file.fileno(), path)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except FileNotFoundError:
                return publish_new_file(path, data)
        sync_directory(path.parent)
        return True
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        # What cannot be removed is swept by a later writer, and changes nothing about what was published.
        with suppress(OSError):
            temporary.unlink()


class Staging:
    """A folder under a temporary name, renamed to its final one by `publish`; leaving the block without it discards."""

    def __init__(self, parent: Path) -> None:
        self._lock = -1
        with storage_errors(parent):
            make_directory(parent)
            while self._lock < 0:
                self.path = parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
                self.path.mkdir()
                self._lock = self._lock_folder()
        self._published = False

    def _lock_folder(self) -> int:
        """A descriptor that holds the lock; -1 where a sweep took the folder before it was locked."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return -1
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not self.path.exists():
            os.close(descriptor)
            return -1
        return descriptor

    def publish(self, final: Path) -> None:
        """Sync everything and rename to `final`; where that folder is there already, discard this one.

        Final names are content addresses, so both hold the same bytes.
        """
        try:
            for root, _, names in os.walk(self.path):
                for name in names:
                    sync_file(Path(root) / name)
                sync_directory(Path(root))
            try:
                self.path.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                # Young again, so that nobody collects as garbage what is about to be published.
                os.utime(final)
                return
            sync_directory(final.parent)
        except OSError as error:
            raise storage_error(error, final) from error
        self._published = True

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, OSError):
            raise storage_error(error, self.path) from error

    def close(self) -> None:
        """Give up the lock, and the folder unless it was published."""
        if self._lock < 0:
            return
        if not self._published:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1


def is_temporary(path: Path) -> bool:
    """Whether a name is that of something being written, or left by a writer that was killed."""
    return path.name.startswith(_TEMPORARY)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file, durably: what is there is the old one or the new one."""
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            sync_descriptor(file.fileno(), path)
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sweep_abandoned(parent: Path) -> int:
    """Remove the temporary files and folders under `parent` whose owners are gone; returns how many."""
    removed = 0
    for path in parent.glob(f"{_TEMPORARY}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            removed += 1
        finally:
            os.close(descriptor)
    return removed


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise what the file system says within as the Lodex error for it."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> Exception:
    """The Lodex error for what the file system said of writing `path`: a full disk, a device that fails."""
    if error.errno in _DISK_FULL:
        return ResourceExhaustedError(f"cannot write {path}: {os.strerror(error.errno)}")
    if error.errno == errno.EIO:
        return DataLossError(f"cannot write {path}: {os.strerror(error.errno)}; the device may be failing")
    return error


def read_error(error: OSError, path: Path) -> Exception:
    """The Lodex error for what the file system said of reading `path`, which a manifest or receipt says is there."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataLossError(f"{path} is missing")
    if isinstance(error, IsADirectoryError) or error.errno in (errno.EIO, errno.ELOOP):
        return DataLossError(f"{path} cannot be read: {error.strerror}")
    return error


def remove_folder(path: Path) -> None:
    """Remove a published folder, whole or not at all: what an interruption leaves of it is swept. None may be there."""
    try:
        path.rename(path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}"))
    except FileNotFoundError:
        return
    sweep_abandoned(path.parent)
