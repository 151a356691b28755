"""Which segments are worth rewriting together: tiers of size, and a bound on what deleted documents may occupy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lodex.index.manifest import Manifest, SegmentEntry
from lodex.index.writer import SEGMENT_BYTES, SEGMENT_DOCUMENTS

FAN_IN = 8
"""Segments of one tier that are merged when there are so many, and the factor between the sizes of tiers."""
DELETED_SHARE = 0.2
"""From this share of deleted documents or bytes on, a segment is rewritten."""
# Below this a segment is so cheap to rewrite that its size says nothing.
_FLOOR_BYTES = 16 << 10

Group = tuple[SegmentEntry, ...]
"""Segments that become one, in the order of the manifest."""


@dataclass(frozen=True, slots=True)
class _Pile:
    """What would be one segment: the present segments that it is made of, and its size without deleted documents."""

    members: Group
    documents: int
    text_bytes: int

    @property
    def tier(self) -> int:
        """Piles of a tier differ in size by less than a factor of `FAN_IN`; all below the floor are in the first."""
        size, tier = self.text_bytes, 0
        while size >= _FLOOR_BYTES:
            size //= FAN_IN
            tier += 1
        return tier


def needs_compaction(manifest: Manifest, segment_bytes: int = SEGMENT_BYTES) -> list[Group]:
    """The groups that are due, [] where none is. It reads nothing but the manifest.

    `FAN_IN` segments of like size become one, and so on with the results; none becomes larger than what ingest writes,
    `segment_bytes` of text or 262,144 documents. So of n segments' worth of text there are at most some
    7 log8(n) segments, and each byte is rewritten about log8(n) times. A segment with `DELETED_SHARE` of its documents
    or bytes deleted is rewritten in any case.

    Segments that the same indexes cover are merged among themselves, so no index loses coverage. They need not be
    neighbours: no answer depends on the order of segments, and waiting for neighbours of like size would leave small
    ones between large ones.
    """
    groups = []
    for piles in _covered_alike(manifest):
        while chosen := _next_merge(piles, segment_bytes):
            piles = [pile for pile in piles if pile not in chosen] + [_heap(chosen)]
        groups += [_in_order(manifest, pile) for pile in piles if len(pile.members) > 1 or _is_due(pile.members[0])]
    return groups


def full_compaction(manifest: Manifest, segment_bytes: int = SEGMENT_BYTES) -> list[Group]:
    """The groups that leave as few segments as there can be in their order, and no deleted documents."""
    groups = []
    for piles in _covered_alike(manifest):
        groups += [_heap(run).members for run, _ in _runs(piles, segment_bytes)]
    return [group for group in groups if len(group) > 1 or group[0].deleted is not None]


def deleted_compaction(manifest: Manifest) -> list[Group]:
    """Each segment that has deleted documents, by itself."""
    return [(entry,) for entry in manifest.segments if entry.deleted is not None]


def coverage(manifest: Manifest, segment: str) -> frozenset[str]:
    """The names of the indexes that have a part for a segment."""
    return frozenset(name for name, entry in manifest.indexes.items() if segment in entry.parts)


def _covered_alike(manifest: Manifest) -> Iterable[list[_Pile]]:
    """Every segment as a pile of its own, apart for each set of indexes that cover them."""
    alike: dict[frozenset[str], list[_Pile]] = {}
    for entry in manifest.segments:
        pile = _Pile((entry,), entry.live_documents, entry.live_text_bytes)
        alike.setdefault(coverage(manifest, entry.id), []).append(pile)
    return alike.values()


def _next_merge(piles: Sequence[_Pile], segment_bytes: int) -> list[_Pile] | None:
    """The smallest piles that are to become one, None where all may stay."""
    tiers: dict[int, list[_Pile]] = {}
    for pile in piles:
        tiers.setdefault(pile.tier, []).append(pile)
    for tier in sorted(tiers):
        for run, is_full in _runs(tiers[tier], segment_bytes):
            if len(run) >= FAN_IN or (is_full and len(run) > 1):
                return run
    return None


def _runs(piles: Sequence[_Pile], segment_bytes: int) -> Iterator[tuple[list[_Pile], bool]]:
    """The piles in runs that fit into one segment each, and whether the next pile would not have fitted too."""
    run: list[_Pile] = []
    documents = text_bytes = 0
    for pile in piles:
        documents += pile.documents
        text_bytes += pile.text_bytes
        if run and (documents > SEGMENT_DOCUMENTS or text_bytes > segment_bytes):
            yield run, True
            run, documents, text_bytes = [], pile.documents, pile.text_bytes
        run.append(pile)
    if run:
        yield run, False


def _heap(piles: Sequence[_Pile]) -> _Pile:
    members = tuple(member for pile in piles for member in pile.members)
    return _Pile(members, sum(pile.documents for pile in piles), sum(pile.text_bytes for pile in piles))


def _in_order(manifest: Manifest, pile: _Pile) -> Group:
    members = set(pile.members)
    return tuple(entry for entry in manifest.segments if entry in members)


def _is_due(entry: SegmentEntry) -> bool:
    deleted = entry.deleted
    return deleted is not None and (
        deleted.documents >= DELETED_SHARE * entry.documents or deleted.text_bytes >= DELETED_SHARE * entry.text_bytes
    )
