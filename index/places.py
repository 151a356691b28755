"""Where token sequences stand in the stream of a segment, found by ranks of the suffix table or by reading the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.filters import Filter
from lodex.index.deletions import Deletions
from lodex.index.predicates import matching_rows
from lodex.index.suffix import RankRuns, SuffixSegment
from lodex.index.tokenizer import TokenIds

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Places:
    """Places of a stream in ascending order: positions, the sequence that stands at each, its document's row, (n,)."""

    positions: Int64s
    owners: Int64s
    rows: Int64s

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: npt.NDArray[Any] | slice) -> Places:
        return Places(self.positions[chosen], self.owners[chosen], self.rows[chosen])

    def first_of_each_document(self) -> Places:
        """The first place in each document."""
        is_first = np.ones(len(self), np.bool_)
        is_first[1:] = self.rows[1:] != self.rows[:-1]
        return self[is_first]


def ordered_places(part: SuffixSegment, positions: Int64s, owners: Int64s) -> Places:
    """Places in order, equal positions by owner, without those in deleted documents."""
    if len(owners) and owners.max() > 0:
        order = np.lexsort((owners, positions))
        positions, owners = positions[order], owners[order]
    else:
        positions = np.sort(positions)
    places = Places(positions, owners, part.stream.rows_of(positions))
    return places[part.is_live(places.rows)] if len(part.deletions) else places


def places_of(part: SuffixSegment, runs: RankRuns) -> Places:
    """The live places of some runs of ranks."""
    found = [part.positions(np.arange(b, e)) for b, e in zip(runs.begins.tolist(), runs.ends.tolist(), strict=True)]
    positions = np.concatenate([np.empty(0, np.int64), *found])
    return ordered_places(part, positions, np.repeat(runs.owners, runs.lengths))


def documents_at(part: SuffixSegment, rows: Int64s) -> tuple[Int64s, Int64s]:
    """Where documents begin, with the separator before them, and end, in tokens of the stream."""
    offsets = part.stream.offsets
    itemsize = part.stream.dtype.itemsize
    begins = offsets[rows].astype(np.int64) // itemsize
    is_last = rows + 1 == len(offsets)
    ends = offsets[np.where(is_last, rows, rows + 1)].astype(np.int64) // itemsize
    return begins, np.where(is_last, len(part.stream.tokens), ends)


def read_places(part: SuffixSegment, rows: Int64s, sequences: Sequence[TokenIds]) -> Places:
    """The places in some documents, ascending rows, by reading these documents alone."""
    begins, ends = documents_at(part, rows)
    # Documents that stand side by side are read as one.
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = begins[1:] != ends[:-1]
    is_last = np.ones(len(rows), np.bool_)
    is_last[:-1] = is_first[1:]
    runs = list(zip(begins[is_first].tolist(), ends[is_last].tolist(), strict=True))
    positions, owners = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for owner, sequence in enumerate(sequences):
        starts = [np.flatnonzero(part.stream.tokens[begin:end] == sequence[0]) + begin for begin, end in runs]
        candidates = np.concatenate(starts) if starts else np.empty(0, np.int64)
        positions.append(candidates[standing(part, candidates, sequence)])
        owners.append(np.full(len(positions[-1]), owner))
    return ordered_places(part, np.concatenate(positions), np.concatenate(owners))


def standing(part: SuffixSegment, starts: Int64s, sequence: TokenIds) -> npt.NDArray[np.intp]:
    """At which of some positions of a stream a sequence stands, as indices into `starts`.

    The end of the stream is a separator. A sequence holds the separator at its ends only, so none runs beyond it.
    """
    tokens, separator = part.stream.tokens, part.stream.separator
    kept = np.arange(len(starts))
    for i, token in enumerate(sequence.tolist()):
        at = starts[kept] + i
        if i and token == separator:
            is_it = at == len(tokens)
            is_it[~is_it] = tokens[at[~is_it]] == separator
        else:
            inside = at < len(tokens)
            kept, at = kept[inside], at[inside]
            is_it = tokens[at] == token
        kept = kept[is_it]
    return kept


def passing_rows(part: SuffixSegment, where: Filter | None, rows: Int64s) -> Mask:
    """Which of some documents pass a filter. Metadata of others is not read."""
    if where is None or not len(rows):
        return np.ones(len(rows), np.bool_)
    is_asked = np.zeros(part.stream.num_documents, np.bool_)
    is_asked[rows] = True
    others = Deletions(np.flatnonzero(~is_asked).astype(np.uint32), part.stream.num_documents)
    return np.isin(rows, matching_rows(part.segment, where, others))
