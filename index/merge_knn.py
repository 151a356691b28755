"""Merging kNN indexes: the keys of live entries, copied. No language model is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from lodex.errors import DataLossError
from lodex.index.jobs import TaskResult
from lodex.index.knn_build import KnnBuilder, read_source
from lodex.index.knn_files import BOUNDS, ENTRIES, KEYS, Floats, Rows, map_keys
from lodex.index.merge_sources import Parts, SourcePart, Target
from lodex.index.merge_tokens import live_runs
from lodex.index.tokenizer import TokenIds
from lodex.index.tokens import TokenStream
from lodex.types import Progress

_BLOCK_BYTES = 8 << 20


def merge_knn(parts: Parts, target: Target, out: Path, progress: Progress) -> TaskResult:
    """Write the files of a kNN index over the merged stream; lists are made anew where that is large.

    It is built as from a model, by one that remembers: what float16 holds, float32 gives back as it was.
    """
    config = target.config
    source = read_source(config)

    def remembered(documents: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[Floats]:
        for part in parts:
            yield from _live_keys(part, source.dimension, advance)

    builder = KnnBuilder(config["stream"], source, remembered, lists_from=config["lists_from"])
    return builder.build(target.segment, target.inputs, out, progress)


def _live_keys(part: SourcePart, dimension: int, advance: Callable[[int], None]) -> Iterator[Floats]:
    """The keys of a source's live entries in the order of entries. Memory: a block, and 8 bytes an entry with lists."""
    stream = TokenStream(part.inputs[0])
    n = part.artefact.receipt.rows
    path = part.artefact.file(KEYS)
    if n != len(stream.tokens) or path.stat().st_size != 2 * n * dimension:
        raise DataLossError(f"{path} does not hold {len(stream.tokens)} keys of {dimension} float16")
    keys = map_keys(path, n, dimension)
    row_of = _rows_of_entries(part) if BOUNDS in part.artefact.receipt.files else None
    for begin, end in live_runs(part, stream, max(1, _BLOCK_BYTES // (2 * dimension))):
        block = keys[begin:end] if row_of is None else keys[row_of[begin:end]]
        yield block.astype(np.float32)
        advance(end - begin)


def _rows_of_entries(part: SourcePart) -> Rows:
    """Where the key of each entry stands in a file that is in the order of lists."""
    n = part.artefact.receipt.rows
    path = part.artefact.file(ENTRIES)
    entries = np.fromfile(path, "<u8")
    rows = np.full(n, -1, np.int64)
    if len(entries) == n and (not n or entries.max() < n):
        rows[entries.astype(np.int64)] = np.arange(n)
    if (rows < 0).any():
        raise DataLossError(f"{path} does not name each of {n} entries once")
    return rows
