"""Compaction: many small segments become few, deleted documents leave the files, and every answer stays what it was."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lodex.errors import DataLossError
from lodex.index.compaction_policy import Group, full_compaction, needs_compaction
from lodex.index.deletion import with_deleted
from lodex.index.files import SyncError, sweep_abandoned
from lodex.index.job_report import JobReport
from lodex.index.manifest import IndexEntry, Manifest
from lodex.index.merge_sources import Rows
from lodex.index.merging import Merged, merge_group
from lodex.index.open_files import OpenFiles
from lodex.index.pacing import Check, Paced, Throttle
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.writer import SEGMENT_BYTES, segment_entry
from lodex.types import Progress, Silent

__all__ = ["Check", "CompactReport", "Throttle", "compact", "compact_groups", "needs_compaction"]

Choose = Callable[[Manifest], Sequence[Group]]
"""Which segments of a version are to become one."""

_log = logging.getLogger(__name__)
# Other writers may change what is being merged; it is tried again on top of what they published.
_MAX_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did: the version that has it, the present one where nothing was due.

    `merged` segments were rewritten into `groups`, with `documents` and `text_bytes` of text that were copied and
    `reclaimed_bytes` of deleted text that were not. `given_up` groups were changed by others until the end.
    """

    version: int
    segments_before: int
    segments_after: int
    groups: int = 0
    merged: int = 0
    documents: int = 0
    text_bytes: int = 0
    reclaimed_bytes: int = 0
    given_up: int = 0
    seconds: float = 0.0


def compact(
    store: Store,
    full: bool = False,
    *,
    throttle: Throttle | None = None,
    progress: Progress | None = None,
    check: Check = lambda: None,
    report: JobReport | None = None,
    segment_bytes: int = SEGMENT_BYTES,
) -> CompactReport:
    """Rewrite what `needs_compaction`, or with `full` all that can be fewer segments; one new version, or none.

    Nothing is lost to what others publish meanwhile: their deletions are carried over, and a group that they changed
    otherwise is merged again or given up. `throttle` sleeps between blocks, `check` is called there and may raise; a
    compaction that was stopped or killed goes on where it was when it is run again. Memory is that of building a
    suffix index of the largest group; readers need no more than before.
    """

    def choose(manifest: Manifest) -> Sequence[Group]:
        return full_compaction(manifest, segment_bytes) if full else needs_compaction(manifest, segment_bytes)

    paced = Paced(progress or Silent(), throttle or Throttle(1), check)
    return compact_groups(store, choose, paced, "compact", report or JobReport())


def compact_groups(store: Store, choose: Choose, progress: Progress, what: str, report: JobReport) -> CompactReport:
    """Merge the groups of the newest version and publish them together, as a change called `what`.

    Groups that others changed meanwhile are chosen and merged again, a few times. DataLossError for a group that is
    damaged, when the others are published.
    """
    started = time.perf_counter()
    before = store.snapshot()
    done = CompactReport(before.version, len(before.segments), len(before.segments))
    with store.writing():
        sweep_abandoned(store.path / "segments")
        for _ in range(_MAX_ROUNDS):
            snapshot = store.snapshot()
            groups = choose(snapshot.manifest)
            if not groups:
                break
            merged, damage = _merged(store, snapshot, groups, progress, report)
            done = _publish(store, merged, done, what)
            if damage is not None:
                raise damage
            if not done.given_up:
                break
    done = replace(done, seconds=time.perf_counter() - started)
    _log.info(
        "compaction to version %d: %d segments into %d groups, %d documents, %d bytes reclaimed, %.2f s",
        *(done.version, done.merged, done.groups, done.documents, done.reclaimed_bytes, done.seconds),
    )
    return done


def _merged(
    store: Store, snapshot: Snapshot, groups: Sequence[Group], progress: Progress, report: JobReport
) -> tuple[list[Merged], DataLossError | None]:
    """The groups merged, and the first damage met. One damaged segment does not keep the others from being merged."""
    merged, damage = [], None
    for group in groups:
        try:
            merged.append(merge_group(store.path, snapshot, group, progress, report))
        except SyncError:
            raise
        except DataLossError as error:
            damage = damage or error
    return merged, damage


def _publish(store: Store, merged: Sequence[Merged], before: CompactReport, what: str) -> CompactReport:
    """Put merged segments in the place of their sources, those whose sources are still as they were merged."""
    taken: list[Merged] = []

    def change(latest: Manifest) -> Manifest:
        taken.clear()
        for group in merged:
            following = _with_merged(store.files, latest, group)
            if following is not None:
                latest = following
                taken.append(group)
        return latest

    snapshot = store.commit(change, what)
    sources = [source for group in taken for source in group.sources]
    documents = sum(group.segment.num_documents for group in taken)
    text_bytes = sum(group.segment.text_bytes for group in taken)
    return replace(
        before,
        version=snapshot.version,
        segments_after=len(snapshot.segments),
        groups=before.groups + len(taken),
        merged=before.merged + len(sources),
        documents=before.documents + documents,
        text_bytes=before.text_bytes + text_bytes,
        reclaimed_bytes=before.reclaimed_bytes + sum(source.segment.text_bytes for source in sources) - text_bytes,
        given_up=len(merged) - len(taken),
    )


def _with_merged(files: OpenFiles, latest: Manifest, group: Merged) -> Manifest | None:
    """The manifest with a merged segment where the first of its sources stood; None where they are not as they were."""
    ids = [source.segment.id for source in group.sources]
    present = {entry.id for entry in latest.segments}
    if not present.issuperset(ids) or group.segment.id in present or not _is_covered_as_before(latest, group):
        return None
    deleted = _deleted_since(files, latest, group)
    if deleted is None:
        return None
    segments = [
        segment_entry(group.segment) if entry.id == ids[0] else entry
        for entry in latest.segments
        if entry.id not in ids[1:]
    ]
    indexes = {name: _with_part(entry, name, group) for name, entry in latest.indexes.items()}
    following = replace(latest, segments=tuple(segments), indexes=indexes)
    return with_deleted(files, following, {group.segment.id: deleted}) if len(deleted) else following


def _is_covered_as_before(latest: Manifest, group: Merged) -> bool:
    """Whether each index has of the sources the very parts that were merged, or none: it may have been dropped."""
    for name, entry in latest.indexes.items():
        merged_from = group.merged_from.get(name, {})
        now = {
            source.segment.id: entry.parts[source.segment.id].task
            for source in group.sources
            if source.segment.id in entry.parts
        }
        if now and now != merged_from:
            return False
    return True


def _with_part(entry: IndexEntry, name: str, group: Merged) -> IndexEntry:
    """The index with the merged part in the place of those it was merged from."""
    ids = {source.segment.id for source in group.sources}
    parts = {segment: part for segment, part in entry.parts.items() if segment not in ids}
    if len(parts) < len(entry.parts):
        parts[group.segment.id] = group.parts[name]
    return replace(entry, parts=parts)


def _deleted_since(files: OpenFiles, latest: Manifest, group: Merged) -> Rows | None:
    """Rows of the merged segment that were deleted while it was written; None where a deleted one is there again."""
    entries = {entry.id: entry for entry in latest.segments}
    rows = [np.empty(0, np.uint32)]
    for source in group.sources:
        now = files.deletions(entries[source.segment.id]).rows
        since = np.setdiff1d(now, source.deletions.rows)
        if len(now) - len(since) < len(source.deletions):
            return None
        rows.append(source.new_rows(since))
    return np.concatenate(rows)
