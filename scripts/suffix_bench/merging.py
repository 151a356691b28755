"""The exact merge of two sorted blocks."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from suffix_bench.corpus import SEPARATOR
from suffix_bench.sorting import suffix_array

HARD_PERIOD = 200_000


def merge(stream: str, tokens: int, hard: bool) -> dict[str, Any]:
    """Merge the two halves of a stream in this process; the first is cut at a document. Whether the result is right.

    Pieces are taken as compaction takes them, into memory that the process has: new memory is the system's business.

    A hard text repeats its first 200,000 tokens: nearly all suffixes have an equal of great length in the other half.
    """
    try:
        from lodex.kernels.suffix_merge import entries_of, merged_entries
    except ModuleNotFoundError:
        return {"skipped": "this build has no merge of suffix arrays"}
    text = np.fromfile(stream, np.uint16, tokens)
    cut = len(text) // 2
    if hard:
        text = np.resize(text[: min(HARD_PERIOD, len(text) // 10)], len(text))
    else:
        cut = int(cut + np.flatnonzero(text[cut:] == SEPARATOR)[0])
    left, right = suffix_array(text[:cut]), suffix_array(text[cut:])
    merged = np.full(len(text), -1, np.int32)
    begin, at = time.process_time(), 0
    for piece in merged_entries(text, cut, entries_of(left), entries_of(right)):
        positions = piece.view(np.int32)
        merged[at : at + len(positions)] = positions
        at += len(positions)
    ns = (time.process_time() - begin) / len(text) * 1e9
    del left, right
    return {"ns": ns, "right": bool(np.array_equal(merged, suffix_array(text)))}
