"""Ranks of suffix arrays: those of an n-gram, and the document at one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lodex.errors import InvalidArgumentError, LodexError, NotFoundError
from lodex.index.occurrences import Place
from lodex.index.suffix import SuffixSegment
from lodex.index.tokenizer import TokenIds
from lodex.types import Rank, RankRange


def find_ranks(parts: Sequence[SuffixSegment], sequences: Sequence[TokenIds]) -> tuple[RankRange, ...]:
    """The ranks of each sequence in each segment, none empty, those in deleted documents among them."""
    found = [(part.segment.id, part.find(sequences)) for part in parts]
    return tuple(
        RankRange(segment_id, begin, end)
        for segment_id, runs in found
        for begin, end in zip(runs.begins.tolist(), runs.ends.tolist(), strict=True)
    )


def locate_rank(parts: Sequence[SuffixSegment], rank: Rank, match_tokens: int, field: str) -> Place | LodexError:
    """The run of `match_tokens` tokens, fewer at a document's end, at a rank or position; else why there is none.

    A separator counts as a token of the run and is none of the document that it precedes.
    """
    if (rank.rank is None) == (rank.position is None):
        return InvalidArgumentError(f"{field} must have a rank or a position, one of the two", field)
    part = next((part for part in parts if part.segment.id == rank.segment_id), None)
    if part is None:
        return NotFoundError(f"{field}: no segment {rank.segment_id!r} in the index")
    number = rank.rank if rank.rank is not None else rank.position
    assert number is not None, "one of the two is given; this is a bug"
    if not 0 <= number < len(part.stream.tokens):
        return NotFoundError(f"{field}: {number} is not in [0, {len(part.stream.tokens)}) of segment {rank.segment_id}")
    position = int(part.positions(np.array([number]))[0]) if rank.rank is not None else number
    row = int(part.stream.rows_of(position))
    if row in part.deletions:
        return NotFoundError(f"{field}: the document there is deleted")
    begin = int(part.stream.positions_in_document(position))
    end = min(begin + match_tokens, len(part.stream.document(row)))
    return Place(part, row, max(begin, 0), max(end, begin, 0))
