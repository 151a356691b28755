"""The lock between writers that publish and those who remove files: what a version names is there when it is published.

Writers share it for the moment of publishing, so they do not wait for each other; who removes folders has it alone. It
belongs to the process and the machine, as the file system's locks do.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"


@contextmanager
def commit_lock(root: Path, *, alone: bool = False) -> Iterator[None]:
    """Hold the lock of a store for the block, `alone` or with others who publish. No thread takes it twice."""
    descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
