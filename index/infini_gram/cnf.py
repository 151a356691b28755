"""Conjunctions of n-grams over infini-gram shards: AND of OR, near each other within one document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.index.infini_gram.shard import Shard, Tokens

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Clause = Sequence[Tokens]

_SCANNED_PER_PLACE = 2
"""Tokens that are read in the time that one place takes to be listed and sorted."""
_SCANNED_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Conjunctions:
    """Places where all clauses of a query hold: for each shard where they begin, in tokens, in the order found.

    `count` is how many there are, estimated if `is_sampled`; `standard_error` is that of the estimate.
    """

    count: int
    positions: tuple[Int64s, ...]
    is_sampled: bool = False
    standard_error: float = 0.0


def find_conjunctions(
    shards: Sequence[Shard],
    clauses: Sequence[Clause],
    max_diff_tokens: int,
    max_clause_freq: int | None,
    rng: np.random.Generator,
) -> Conjunctions:
    """Find the occurrences of each shard's rarest clause that have one of each other clause near.

    The rule is infini-gram's. The clauses join in ascending order of their occurrences in the shard (equals in their
    own order), and each is looked for up to `max_diff_tokens` before the beginning and after the last start of what
    was joined so far; of both sides the nearest. One such range is counted once, and begins at its first start.
    Other documents are no neighbours, where infini-gram drops an occurrence that has its neighbour in its own document
    if there is one close behind the document's edge too.

    With `max_clause_freq` so many occurrences of the rarest clauses are drawn, without replacement, and the count is
    scaled to all of them.
    """
    sorted_clauses = [_by_rarity(shard, clauses) for shard in shards]
    anchors = [of_shard[0].places(shard) for shard, of_shard in zip(shards, sorted_clauses, strict=True)]
    total = sum(map(len, anchors))
    is_sampled = max_clause_freq is not None and total > max_clause_freq
    if is_sampled and max_clause_freq is not None:
        drawn = np.sort(rng.choice(total, max_clause_freq, replace=False, shuffle=False))
        firsts = np.cumsum([0, *map(len, anchors)])
        parts = np.split(drawn, np.searchsorted(drawn, firsts[1:-1]))
        anchors = [anchor[part - first] for anchor, part, first in zip(anchors, parts, firsts[:-1], strict=True)]
    found = tuple(
        _join(shard, anchor, of_shard[1:], max_diff_tokens)
        for shard, anchor, of_shard in zip(shards, anchors, sorted_clauses, strict=True)
    )
    held = sum(map(len, found))
    if not is_sampled or max_clause_freq is None:
        return Conjunctions(held, found)
    share = held / max_clause_freq
    error = total * np.sqrt(share * (1 - share) / max_clause_freq * (1 - max_clause_freq / total))
    return Conjunctions(round(share * total), found, True, float(error))


@dataclass(frozen=True, slots=True)
class _ClauseOfShard:
    """The n-grams of a clause, and the ranks [begin, end) of each in a shard."""

    terms: Clause
    ranks: tuple[Int64s, Int64s]

    def __len__(self) -> int:
        return int((self.ranks[1] - self.ranks[0]).sum())

    def places(self, shard: Shard, *, ascending: bool = False) -> Int64s:
        """Where its n-grams begin, by n-gram and rank or ascending."""
        ranges = zip(self.ranks[0].tolist(), self.ranks[1].tolist(), strict=True)
        found = np.concatenate([shard.positions_between(begin, end) for begin, end in ranges])
        if ascending:
            found.sort()  # before it is widened: half the time
        return found.astype(np.int64, copy=False)


def _by_rarity(shard: Shard, clauses: Sequence[Clause]) -> list[_ClauseOfShard]:
    """The clauses, those with the fewest places in a shard first."""
    found = []
    for terms in clauses:
        offsets = np.cumsum([0, *map(len, terms)], dtype=np.int64)
        found.append(_ClauseOfShard(terms, shard.table.find(np.concatenate(terms), offsets)))
    return sorted(found, key=len)  # stable, as infini-gram's sort of a few is


def _join(shard: Shard, anchors: Int64s, others: Sequence[_ClauseOfShard], reach: int) -> Int64s:
    """The first starts of the ranges around anchors that hold a place of each of the others, in the anchors' order."""
    # Neighbours are looked for in the order of the stream: each search ends near the one before.
    order = np.argsort(anchors)
    first = last = anchors[order]
    for clause in others:
        scanned = int((last - first).sum()) + len(first) * (2 * reach + 1)
        if scanned * len(clause.terms) < _SCANNED_PER_PLACE * len(clause):
            before, after = _scan(shard, clause.terms, first, last, reach)
        else:
            before, after = _nearest(clause.places(shard, ascending=True), first, last)
        low = np.where(before >= 0, np.minimum(first, before), first)
        high = np.maximum(last, after)
        # A range lies within one document, so its bounds are those of its first token's.
        begins, ends = shard.document_bounds(first)
        is_before = (before >= 0) & (first - low <= reach) & (low >= begins)
        is_after = (after >= 0) & (high - last <= reach) & (high < ends)
        kept = np.flatnonzero(is_before | is_after)
        first = np.where(is_before, low, first)[kept]
        last = np.where(is_after, high, last)[kept]
        order = order[kept]
    found = np.full(len(anchors), -1)
    found[order] = first
    return found[found >= 0]


def _nearest(ordered: Int64s, first: Int64s, last: Int64s) -> tuple[Int64s, Int64s]:
    """The last of the ordered places before each `last`, and the first at or after each `first`; -1 for none."""
    padded = np.concatenate([[-1], ordered, [-1]])
    at_last = np.searchsorted(ordered, last)
    at_first = at_last if first is last else np.searchsorted(ordered, first)
    return padded[at_last], padded[at_first + 1]


def _scan(shard: Shard, terms: Clause, first: Int64s, last: Int64s, reach: int) -> tuple[Int64s, Int64s]:
    """The same within `reach`, read from the stream: quicker than to sort the places of a clause of very many."""
    before, after = np.full(len(first), -1), np.full(len(first), -1)
    widths = last - first + 2 * reach + 1
    bounds = np.flatnonzero(np.diff(np.cumsum(widths) // _SCANNED_AT_ONCE)) + 1
    for part in np.split(np.arange(len(first)), bounds):
        starts = np.maximum(first[part] - reach, 0)
        lengths = np.minimum(last[part] + reach + 1, len(shard.tokens)) - starts
        owners = np.repeat(part, lengths)
        at = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths - starts, lengths)
        hits = np.flatnonzero(_begins_with(shard.tokens, at, terms))
        owners, at = owners[hits], at[hits]
        is_before = at < last[owners]
        before[owners[is_before]] = at[is_before]  # ascending: the last one stays
        is_after = at >= first[owners]
        after[owners[is_after][::-1]] = at[is_after][::-1]
    return before, after


def _begins_with(tokens: Tokens, at: Int64s, terms: Clause) -> Bools:
    """Whether one of the n-grams stands at each place."""
    found = np.zeros(len(at), np.bool_)
    heads = tokens[at]
    for term in terms:
        candidates = np.flatnonzero(heads == term[0])
        for depth, token in enumerate(term[1:], start=1):
            candidates = candidates[at[candidates] + depth < len(tokens)]
            candidates = candidates[tokens[at[candidates] + depth] == token]
        found[candidates] = True
    return found
