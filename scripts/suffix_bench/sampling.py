"""More text than was found: drawn from the ∞-gram distributions of what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from suffix_bench.corpus import SEPARATOR, Tokens

from lodex.kernels._suffix import SuffixTable

# Streams that grow side by side, the longest suffix looked at, the support it must have, the most tokens of a draw.
_STREAMS, _LONGEST, _SUPPORT, _DRAWN = 1 << 16, 8, 2, 16


def sample(folder: str, out: str, tokens: int, seed: int) -> int:
    """Write a stream of so many sampled tokens or a little more; returns how many.

    Each draw continues a stream by 1 to 16 tokens: those behind a place drawn from all where its longest suffix of at
    most 8 tokens that occurs twice or more stands. The separator is a token like others.
    """
    source = Path(folder)
    text = np.fromfile(source / "tokenized.0", np.uint16)
    table = np.fromfile(source / "table.0", np.uint8)
    width = len(table) // len(text)
    suffixes = SuffixTable(text, table)
    rng = np.random.default_rng(seed)
    streams = min(_STREAMS, max(1, tokens // 1000))
    contexts = text[rng.integers(0, len(text) - _LONGEST, streams)[:, None] + np.arange(_LONGEST)]
    contexts[:, 0] = SEPARATOR
    parts = [contexts]
    grown = _LONGEST
    while grown * streams < tokens:
        lengths, begins, ends = _longest_suffixes(suffixes, contexts)
        ranks = begins + (rng.random(streams) * (ends - begins)).astype(np.int64)
        places = _read_positions(table, width, ranks) + lengths
        drawn = int(rng.integers(1, _DRAWN + 1))
        parts.append(text.take(places[:, None] + np.arange(drawn), mode="wrap"))
        contexts = np.concatenate([contexts, parts[-1]], axis=1)[:, -_LONGEST:]
        grown += drawn
    stream = np.concatenate(parts, axis=1).reshape(-1)
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    stream.tofile(target / "tokenized.0")
    (np.flatnonzero(stream == SEPARATOR) * 2).astype("<u8").tofile(target / "offset.0")
    return len(stream)


def _longest_suffixes(suffixes: SuffixTable, contexts: Tokens) -> tuple[npt.NDArray[np.int64], ...]:
    """For each context the length of its longest suffix that occurs often enough, and the ranks that begin with it."""
    streams, longest = contexts.shape
    occurring, failing = np.zeros(streams, np.int64), np.full(streams, longest + 1)
    begins, ends = np.zeros(streams, np.int64), np.full(streams, len(suffixes))
    while (failing - occurring > 1).any():
        tried = (occurring + failing) // 2
        offsets = np.zeros(streams + 1, np.int64)
        np.cumsum(tried, out=offsets[1:])
        is_last = np.arange(longest) >= longest - tried[:, None]
        begin, end = suffixes.find(contexts[is_last], offsets)
        found = end - begin >= np.where(tried == 0, 1, _SUPPORT)
        occurring, failing = np.where(found, tried, occurring), np.where(found, failing, tried)
        begins, ends = np.where(found, begin, begins), np.where(found, end, ends)
    return occurring, begins, ends


def _read_positions(table: npt.NDArray[np.uint8], width: int, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where the suffixes of some ranks start, in tokens."""
    wide = np.zeros((len(ranks), 8), np.uint8)
    wide[:, :width] = table[ranks[:, None] * width + np.arange(width)]
    return wide.view("<i8").reshape(-1) // 2
