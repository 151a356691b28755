"""Conjunctions: several n-grams near each other, counted exactly or, where that is asked for, by a sample.

A clause stands wherever one of its sequences begins. The clause that occurs least is the anchor: it alone is followed
through the corpus, and the others are looked for around each of its places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.index.ngram_queries import Ngram, Vocabulary, pack, require, without_beginnings, without_endings
from lodex.index.places import Places, documents_at, ordered_places, places_of, standing
from lodex.index.suffix import RankRuns, SuffixSegment, spread
from lodex.index.tokenizer import TokenIds
from lodex.kernels._suffix import Corpus
from lodex.types import Count

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Clause = tuple[TokenIds, ...]
"""Sequences of which none begins with another, so that no two of them begin at one place."""


@dataclass(frozen=True, slots=True)
class TokenConjunction:
    """`lodex.types.Conjunction` in tokens: each clause a sequence of n-grams, each n-gram given by its variants."""

    all_of: tuple[tuple[Ngram, ...], ...]
    max_distance: int = 100
    same_document: bool = False
    max_clause_count: int | None = None


@dataclass(frozen=True, slots=True)
class EncodedConjunction:
    """A conjunction as streams write it, its arguments checked."""

    clauses: tuple[Clause, ...]
    max_distance: int
    same_document: bool
    max_clause_count: int | None

    @classmethod
    def of(cls, query: TokenConjunction, vocabulary: Vocabulary, field: str) -> EncodedConjunction:
        """Check and encode. InvalidArgumentError names the place: `field.all_of[1].any_of[0].tokens[3]`."""
        limit = query.max_clause_count
        require(len(query.all_of) > 0, f"{field} has no clause", f"{field}.all_of")
        require(
            query.max_distance >= 0,
            f"max_distance must not be negative, got {query.max_distance}",
            f"{field}.max_distance",
        )
        require(
            limit is None or limit > 0, f"max_clause_count must be positive, got {limit}", f"{field}.max_clause_count"
        )
        clauses = tuple(_clause(any_of, vocabulary, f"{field}.all_of[{i}]") for i, any_of in enumerate(query.all_of))
        return cls(clauses, query.max_distance, query.same_document, limit)


def _clause(any_of: Sequence[Ngram], vocabulary: Vocabulary, field: str) -> Clause:
    require(len(any_of) > 0, f"{field} has no n-gram", field)
    sequences: list[TokenIds] = []
    for i, ngram in enumerate(any_of):
        name = f"{field}.any_of[{i}]"
        variants = vocabulary.encode_variants(ngram, name)
        require(all(map(len, variants)), f"{name} must have a token", name)
        sequences += without_endings(variants)
    return tuple(tokens for tokens in without_beginnings(sequences) if not vocabulary.has_separator(tokens[1:-1]))


@dataclass(frozen=True, slots=True)
class AnchoredConjunction:
    """A conjunction with its clauses in the order they are looked at: the rarest first, the first of equals."""

    anchor: Clause
    others: tuple[Clause, ...]
    anchor_count: int
    max_distance: int | None
    """None: anywhere in the document."""

    @classmethod
    def of(cls, query: EncodedConjunction, corpus: Corpus, vocabulary: Vocabulary) -> AnchoredConjunction:
        """Find the rarest clause; `anchor_count` are its live occurrences."""
        sequences = [tokens for clause in query.clauses for tokens in clause]
        found = corpus.count_many(*pack(sequences, vocabulary.dtype))
        owners = np.repeat(np.arange(len(query.clauses)), [len(clause) for clause in query.clauses])
        counts = np.zeros(len(query.clauses), np.int64)
        np.add.at(counts, owners, found)
        first, *rest = np.argsort(counts, kind="stable").tolist()
        others = tuple(query.clauses[i] for i in rest)
        distance = None if query.same_document else query.max_distance
        return cls(query.clauses[first], others, int(counts[first]), distance)

    def places(self, part: SuffixSegment) -> Places:
        """The live places of the anchor for which all other clauses hold."""
        if not self.anchor_count:
            return places_of(part, part.find([]))
        places = places_of(part, part.find(self.anchor))
        return places[self._holds(part, places)]

    def estimate(self, parts: Sequence[SuffixSegment], wanted: int, seed: int) -> Count:
        """The count by `wanted` occurrences of the anchor, drawn evenly over their ranks from a random start.

        Occurrences in deleted documents are drawn too and put aside, so about as many as wanted are looked at. The
        standard error is that of a share in a sample without replacement from a finite population; one hit and one
        miss are added to the share, so that a sample without any hit is not taken for a proof.
        """
        runs = [part.find(self.anchor) for part in parts]
        ranks = sum(int(run.lengths.sum()) for run in runs)
        drawn = min(ranks, math.ceil(wanted * ranks / self.anchor_count))
        picks = even_sample(ranks, drawn, seed)
        hits = looked_at = first = 0
        for part, run in zip(parts, runs, strict=True):
            last = first + int(run.lengths.sum())
            places = picked_places(part, run, picks[(picks >= first) & (picks < last)] - first)
            hits += int(self._holds(part, places).sum())
            looked_at += len(places)
            first = last
        if looked_at >= self.anchor_count:
            return Count(hits)
        return _scaled(hits, looked_at, self.anchor_count)

    def _holds(self, part: SuffixSegment, places: Places) -> Mask:
        """For which places of the anchor all other clauses hold."""
        begins, ends = documents_at(part, places.rows)
        if self.max_distance is not None:
            begins = np.maximum(begins, places.positions - self.max_distance)
            ends = np.minimum(ends, places.positions + self.max_distance + 1)
        kept = np.arange(len(places))
        for clause in self.others:
            kept = kept[_stands_within(part, clause, begins[kept], ends[kept])]
        holds = np.zeros(len(places), np.bool_)
        holds[kept] = True
        return holds


def count_conjunction(
    query: EncodedConjunction, corpus: Corpus, parts: Sequence[SuffixSegment], vocabulary: Vocabulary
) -> Count:
    """How often a conjunction holds; an estimate where the rarest clause has more than `max_clause_count` places."""
    anchored = AnchoredConjunction.of(query, corpus, vocabulary)
    if query.max_clause_count is not None and anchored.anchor_count > query.max_clause_count:
        return anchored.estimate(parts, query.max_clause_count, seed=anchored.anchor_count)
    return Count(sum(len(anchored.places(part)) for part in parts))


def even_sample(population: int, size: int, seed: int) -> Int64s:
    """`size` of the numbers [0, population), ascending, evenly spaced from a random start: all equally probable."""
    start = float(np.random.default_rng(seed).random())
    # In this order of operations no two numbers are equal and none is too large.
    return np.minimum(((np.arange(size) + start) * (population / max(size, 1))).astype(np.int64), population - 1)


def picked_places(part: SuffixSegment, runs: RankRuns, picks: Int64s) -> Places:
    """The live places among some of the ranks of runs, numbered through."""
    ends = np.cumsum(runs.lengths)
    chosen = np.searchsorted(ends, picks, side="right")
    ranks = runs.ends[chosen] - ends[chosen] + picks
    return ordered_places(part, part.positions(ranks), runs.owners[chosen])


def _stands_within(part: SuffixSegment, clause: Clause, begins: Int64s, ends: Int64s) -> Mask:
    """In which windows [begin, end) of a stream, none of them empty, a clause begins."""
    runs = part.find(clause)
    places, to_read = int(runs.lengths.sum()), int((ends - begins).sum())
    if not places:
        return np.zeros(len(begins), np.bool_)
    if to_read * len(clause) < places:
        return _by_reading(part, clause, begins, ends)
    positions = np.sort(part.positions(spread(runs.begins, runs.lengths)))
    following = np.searchsorted(positions, begins)
    return (following < len(positions)) & (positions[np.minimum(following, len(positions) - 1)] < ends)


def _by_reading(part: SuffixSegment, clause: Clause, begins: Int64s, ends: Int64s) -> Mask:
    """The same by looking at every token of the windows: of a few places beside a frequent clause."""
    lengths = ends - begins
    starts, windows = spread(begins, lengths), np.repeat(np.arange(len(begins)), lengths)
    found = np.zeros(len(begins), np.bool_)
    for sequence in clause:
        found[windows[standing(part, starts, sequence)]] = True
    return found


def _scaled(hits: int, looked_at: int, population: int) -> Count:
    share = (hits + 1) / (looked_at + 2)
    unseen = 1 - looked_at / population
    error = population * math.sqrt(share * (1 - share) * unseen / max(looked_at, 1))
    estimate = round(population * hits / looked_at) if looked_at else 0
    return Count(estimate, approximate=True, standard_error=error)
