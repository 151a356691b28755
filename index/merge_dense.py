"""Merging dense indexes: the vectors of live passages, copied. Nothing is embedded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lodex.errors import DataLossError
from lodex.index.dense_build import read_encoder
from lodex.index.dense_ivf import LISTS, build_lists
from lodex.index.dense_part import VECTORS
from lodex.index.jobs import TaskResult
from lodex.index.merge_passages import live_passages
from lodex.index.merge_sources import Parts, SourcePart, Target
from lodex.index.passages import PassageTable
from lodex.types import Progress

_BLOCK_BYTES = 16 << 20


def merge_dense(parts: Parts, target: Target, out: Path, progress: Progress) -> TaskResult:
    """Write `vectors.f32`, and `lists.faiss` where the merged segment is large; the lists are made anew."""
    d = read_encoder(target.config).dimension
    n = target.inputs[0].receipt.rows
    done = 0
    largest_norm = 0.0
    progress.start("vectors", n, "vectors")
    with (out / VECTORS).open("wb") as file:
        for part in parts:
            vectors = _vectors(part, d)
            live = np.flatnonzero(live_passages(PassageTable(part.inputs[0], part.source.segment), part))
            rows = max(1, _BLOCK_BYTES // (4 * d))
            for begin in range(0, len(live), rows):
                block = vectors[live[begin : begin + rows]]
                file.write(block.tobytes())
                largest_norm = max(largest_norm, float(np.linalg.norm(block, axis=1).max()))
                done += len(block)
                progress.advance(len(block))
    progress.finish()
    assert done == n, f"{done} vectors for {n} passages; this is a bug"
    details = _details(parts, n) | {"largest_norm": largest_norm}
    if n >= max(int(target.config["ivf_from"]), 2):
        progress.start("inverted lists", None, "vectors")
        details |= build_lists(np.memmap(out / VECTORS, "<f4", "r", shape=(n, d)), out / LISTS)
        progress.finish()
    return TaskResult(rows=n, details=details)


def _vectors(part: SourcePart, d: int) -> Any:
    n = part.artefact.receipt.rows
    path = part.artefact.file(VECTORS)
    if n != part.inputs[0].receipt.rows or path.stat().st_size != 4 * n * d:
        raise DataLossError(f"{path} does not hold {part.inputs[0].receipt.rows} vectors of {d} float32")
    # An empty file cannot be mapped.
    return np.memmap(path, "<f4", "r", shape=(n, d)) if n else np.empty((0, d), np.float32)


def _details(parts: Parts, n: int) -> dict[str, Any]:
    """What was counted when the passages were embedded, summed.

    It is not known of each passage, so where some are left out since, `counted_passages` says over how many it was
    counted, and `truncated` is an upper bound.
    """
    truncated, tokens, counted = (
        sum(int(count) for count in counts) for counts in zip(*(_counted(part) for part in parts), strict=True)
    )
    details = {"truncated": min(truncated, n), "tokens": tokens}
    return details if counted == n else details | {"counted_passages": counted}


def _counted(part: SourcePart) -> tuple[int, int, int]:
    receipt = part.artefact.receipt
    return (
        receipt.details["truncated"],
        receipt.details["tokens"],
        receipt.details.get("counted_passages", receipt.rows),
    )
