"""Mapping the files that searches jump about in, and telling the kernel how they are read."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

NORMAL, RANDOM, SEQUENTIAL, WILLNEED = ADVICE = ("normal", "random", "sequential", "willneed")
"""How mapped files are read; see `Store.open`. `random` is for files larger than memory: no page is read ahead."""

# Some systems have no madvise, and there the kernel decides by itself.
_ADVICE: Mapping[str, int] = {
    name: getattr(mmap, f"MADV_{name.upper()}") for name in ADVICE if hasattr(mmap, f"MADV_{name.upper()}")
}


def map_file(path: Path, dtype: npt.DTypeLike, advice: str = NORMAL) -> npt.NDArray[Any]:
    """A file as a read-only array (items,), mapped; an empty one, which cannot be, as an empty array."""
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    mapped = np.memmap(path, dtype, "r")
    if advice != NORMAL and advice in _ADVICE:
        pages: mmap.mmap = mapped._mmap  # type: ignore[attr-defined]  # numpy has no other way to it
        pages.madvise(_ADVICE[advice])
    # A plain array over the mapping: slices of a memmap cost several times as much.
    return mapped.view(np.ndarray)
