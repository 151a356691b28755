"""Attribution: the longest spans of a text that stand in infini-gram shards, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from lodex.index.infini_gram.shard import Shard, Tokens

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class AttributionDoc(TypedDict):
    """A place: byte `ptr` of the stream of shard `s`."""

    s: int
    ptr: int


class AttributionSpan(TypedDict):
    """Tokens [l, r) of a text, `length` of them, that occur `count` times: at `docs`, by shard and rank.

    `unigram_logprob_sum` is the natural logarithm of the product of its tokens' frequencies.
    """

    l: int  # noqa: E741  # infini-gram's name
    r: int
    length: int
    count: int
    unigram_logprob_sum: float
    docs: list[AttributionDoc]


def longest_spans(
    tokens: Tokens, lengths: Int64s, delimiters: Tokens, min_len: int, word_starts: Bools | None
) -> tuple[Int64s, Int64s]:
    """The maximal spans [l, r) of a text (n,), given the length of the longest match from each token, (n,).

    A span ends with the first delimiter in it, if any. With `word_starts` (n,) it begins at one, and is cut back until
    the token behind it is one or the text ends. A span has at least max(min_len, 1) tokens and lies within no other.
    """
    n = len(tokens)
    starts = np.arange(n)
    ends = starts + lengths
    if len(delimiters):
        at = np.where(np.isin(tokens, delimiters), starts, n)
        next_delimiter = np.minimum.accumulate(at[::-1])[::-1]
        ends = np.minimum(ends, next_delimiter + 1)
    is_candidate = ends - starts >= max(min_len, 1)
    if word_starts is not None:
        may_end = np.where(np.append(word_starts, True), np.arange(n + 1), -1)
        ends = np.maximum.accumulate(may_end)[ends]
        is_candidate = word_starts & (ends - starts >= max(min_len, 1))
    kept = np.flatnonzero(is_candidate)
    reached = np.maximum.accumulate(np.concatenate([[0], ends[kept]]))
    kept = kept[ends[kept] > reached[:-1]]
    return kept, ends[kept]


def spans_with_places(
    shards: Sequence[Shard],
    tokens: Tokens,
    begins: Int64s,
    ends: Int64s,
    max_cnt: int,
    log_probabilities: npt.NDArray[np.float64],
) -> list[AttributionSpan]:
    """Of spans [begin, end) of a text (n,) those that occur at most `max_cnt` times, with all their places.

    A span within another one occurs at least as often, so what `longest_spans` leaves out before anything is counted
    is what infini-gram leaves out afterwards. `log_probabilities` (n,) are those of the tokens.
    """
    offsets = np.zeros(len(begins) + 1, np.int64)
    np.cumsum(ends - begins, out=offsets[1:])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - begins, ends - begins)
    queries = tokens[within]
    ranks = [shard.table.find(queries, offsets) for shard in shards]
    counts = np.sum([last - first for first, last in ranks], axis=0)
    sums = np.add.reduceat(np.append(log_probabilities[within], 0.0), offsets[:-1]) if len(begins) else np.empty(0)
    kept = np.flatnonzero(counts <= max_cnt)
    docs = _places(shards, [(first[kept], last[kept]) for first, last in ranks])
    columns = (begins[kept].tolist(), ends[kept].tolist(), counts[kept].tolist(), sums[kept].tolist(), docs)
    return [
        {"l": l, "r": r, "length": r - l, "count": count, "unigram_logprob_sum": logprob, "docs": places}
        for l, r, count, logprob, places in zip(*columns, strict=True)  # noqa: E741  # infini-gram's name
    ]


def _places(shards: Sequence[Shard], ranks: Sequence[tuple[Int64s, Int64s]]) -> list[list[AttributionDoc]]:
    """The places of several ranges of ranks in each shard, by range."""
    found: list[list[AttributionDoc]] = [[] for _ in range(len(ranks[0][0]))]
    for s, (shard, (first, last)) in enumerate(zip(shards, ranks, strict=True)):
        counts = last - first
        offsets = np.zeros(len(first) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        ptrs = shard.positions(np.arange(offsets[-1]) - np.repeat(offsets[:-1] - first, counts)) * shard.width
        docs: list[AttributionDoc] = [{"s": s, "ptr": ptr} for ptr in ptrs.tolist()]
        bounds = offsets.tolist()
        for i, places in enumerate(found):
            places += docs[bounds[i] : bounds[i + 1]]
    return found
