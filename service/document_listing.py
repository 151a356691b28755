"""Pages of the documents of a store: which ones a filter is true for, and where the next page goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lodex.errors import InvalidArgumentError
from lodex.filters import Filter
from lodex.index.predicates import matching_batches
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.service import messages
from lodex.v1 import common_pb2


@dataclass(frozen=True, slots=True)
class Place:
    """A document by its place in one version: the number of its segment, and its row."""

    segment: int = 0
    row: int = 0

    @classmethod
    def read(cls, cursor: str, path: str) -> Place:
        """The place that a cursor says, the first for ""; InvalidArgumentError for what is none."""
        if not cursor:
            return cls()
        segment, _, row = cursor.partition(":")
        if not (segment.isdecimal() and row.isdecimal() and max(len(segment), len(row)) <= 10):
            raise InvalidArgumentError(f"{path} is not a page token", path)
        return cls(int(segment), int(row))

    def __str__(self) -> str:
        return f"{self.segment}:{self.row}"


def list_page(
    snapshot: Snapshot, filter_: Filter, first: Place, size: int, max_bytes: int, check: Callable[[], None]
) -> tuple[list[common_pb2.Document], Place | None]:
    """At most `size` matching documents from a place on, without texts, and the place of the next one, None at the end.

    A page ends before it has more than `max_bytes`, with one document at least. `check` is called between steps and may
    raise.
    """
    page: list[common_pb2.Document] = []
    room = max_bytes
    for place, segment in _matches(snapshot, filter_, first, check):
        if len(page) == size:
            return page, place
        document = messages.document(segment.header(place.row))
        room -= document.ByteSize()
        if page and room < 0:
            return page, place
        page.append(document)
    return page, None


def _matches(
    snapshot: Snapshot, filter_: Filter, first: Place, check: Callable[[], None]
) -> Iterator[tuple[Place, Segment]]:
    for number, segment in enumerate(snapshot.segments[first.segment :], first.segment):
        begin = first.row if number == first.segment else 0
        for rows in matching_batches(segment, filter_, snapshot.deletions(segment), begin):
            check()
            for row in rows.tolist():
                yield Place(number, row), segment
