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

    A hard text repeats its first 200,000 tokens: nearly all suffixes have an equal of great length in the other half.
    """
    try:
        from lodex.kernels.suffix_merge import merge_positions
    except ModuleNotFoundError:
        return {"skipped": "this build has no merge of suffix arrays"}
    text = np.fromfile(stream, np.uint16, tokens)
    cut = len(text) // 2
    if hard:
        text = np.resize(text[: min(HARD_PERIOD, len(text) // 10)], len(text))
    else:
        cut = int(cut + np.flatnonzero(text[cut:] == SEPARATOR)[0])
    left, right = suffix_array(text[:cut]), suffix_array(text[cut:])
    begin = time.process_time()
    merged = merge_positions(text, cut, left, right)
    ns = (time.process_time() - begin) / len(text) * 1e9
    del left, right
    return {"ns": ns, "right": bool(np.array_equal(merged, suffix_array(text)))}
