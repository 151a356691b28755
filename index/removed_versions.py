"""Removing versions. A mark stays in the place of each manifest.

So a number is never given twice: a writer that was slow finds its number taken, as it must, and a reader that goes from
one version to the next comes past those that are gone.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from lodex.index.files import checksum_bytes, storage_errors, sync_descriptor, sync_directory
from lodex.index.manifest import REMOVED_FORMAT, manifest_path, newest_version
from lodex.index.receipt import canonical_json

# File systems bound the links to one file, ext4 at 65,000.
_LINKS_PER_MARK = 10_000
_VALUE = {"format": REMOVED_FORMAT, "format_version": 1, "minimum_reader": 1}
_MARK = canonical_json(_VALUE | {"checksum": checksum_bytes(canonical_json(_VALUE))})


def remove_versions(root: Path, versions: Sequence[int]) -> None:
    """Put a mark in the place of manifests, durably. Each is there whole or not at all, if this is interrupted too."""
    assert not versions or max(versions) < newest_version(root), "the newest version would be removed; this is a bug"
    for first in range(0, len(versions), _LINKS_PER_MARK):
        with storage_errors(root):
            _mark(root, versions[first : first + _LINKS_PER_MARK])


def _mark(root: Path, versions: Sequence[int]) -> None:
    """All marks are links to one file, so that they cost a name each and one sync."""
    folder = root / "manifests"
    name = secrets.token_hex(8)
    mark, link = folder / f".tmp-{name}", folder / f".tmp-{name}-link"
    try:
        with mark.open("xb") as file:
            # The lock is that of the file, so it keeps those who sweep from the links too.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(_MARK)
            file.flush()
            sync_descriptor(file.fileno(), mark)
            if mark.exists():
                for version in versions:
                    os.link(mark, link)
                    link.rename(manifest_path(root, version))
                sync_directory(folder)
                return
    finally:
        mark.unlink(missing_ok=True)
        link.unlink(missing_ok=True)
    # A sweep came between the file and its lock.
    _mark(root, versions)
