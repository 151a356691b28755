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
from pathlib import Path
from types import TracebackType

import xxhash

from lodex.errors import DataLossError, ResourceExhaustedError

_TEMPORARY = ".tmp-"
_READ_BYTES = 1 << 20


def checksum_bytes(data: bytes) -> str:
    """The checksum of `data` as it stands in manifests and receipts: `xxh3_128:` and 32 hexadecimal digits."""
    return "xxh3_128:" + xxhash.xxh3_128_hexdigest(data)


def checksum_file(path: Path) -> str:
    """The checksum of a file's bytes, in the form of `checksum_bytes`. Reads one MiB at a time."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return "xxh3_128:" + digest.hexdigest()


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
            os.fsync(file.fileno())
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
        temporary.unlink(missing_ok=True)


class Staging:
    """A folder under a temporary name, renamed to its final one by `publish`; leaving the block without it discards."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self._lock = -1
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

    def close(self) -> None:
        """Give up the lock, and the folder unless it was published."""
        if self._lock < 0:
            return
        if not self._published:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1


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


def storage_error(error: OSError, path: Path) -> Exception:
    """The Lodex error for what the file system said about `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ResourceExhaustedError(f"cannot write {path}: {os.strerror(error.errno)}")
    if error.errno == errno.EIO:
        return DataLossError(f"cannot write {path}: {os.strerror(error.errno)}; the device may be failing")
    return error
