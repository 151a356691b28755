"""Repairing a store: what is quarantined is proven, built again from what it was made of, or named as lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lodex.errors import DataLossError, LodexError
from lodex.index.build import Builder
from lodex.index.files import checksum_bytes
from lodex.index.jobs import Task, TaskResult, run_task
from lodex.index.manifest import SUBTRACTIVE, TOMBSTONES, IndexEntry, Manifest, PartEntry, read_manifest, versions
from lodex.index.quarantine import Damage
from lodex.index.receipt import RECEIPT, Artefact, read_receipt
from lodex.index.segment import Segment
from lodex.index.segment_repair import affected_documents, restore_segment
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.subtractive import write_subtractive
from lodex.index.verify import folders
from lodex.types import Progress, Silent

Outcome = Literal["sound", "rebuilt", "gone", "lost"]
# What others are built from comes first.
_ORDER = ("segment", TOMBSTONES, "passages", "tokens", SUBTRACTIVE, "suffix", "dense", "knn")


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of one damaged folder: it is sound after all, was rebuilt, is in no version any more, or is lost.

    `why` says of a lost one what is missing, and `doc_ids` which documents are affected, where they can be named.
    """

    kind: str
    id: str
    outcome: Outcome
    why: str = ""
    doc_ids: tuple[str, ...] = ()


BuilderOf = Callable[[str], Builder]
"""What builds an index, by its name; raises where its model or tokenizer is not here."""


def repair_store(store: Store, builder_of: BuilderOf, progress: Progress | None = None) -> tuple[Repair, ...]:
    """Repair what is quarantined, and what lacks a file or receipt, in the newest version.

    Index parts are built again from the text. A task has the same id again, and nearly always the same bytes; where
    its receipt differs, a new version names the new one, and older versions lose this part. The text itself is in no
    other place: a damaged segment stays quarantined, and the documents affected are named.
    """
    damaged = {(damage.kind, damage.id): damage for damage in (*_incomplete(store), *store.files.quarantine)}
    order = {kind: place for place, kind in enumerate(_ORDER)}
    repairs = []
    for damage in sorted(damaged.values(), key=lambda damage: order.get(damage.kind, len(order))):
        repair = _repair(store, damage, builder_of, progress or Silent())
        if repair.outcome != "lost":
            store.files.quarantine.lift(damage.kind, damage.id)
        repairs.append(repair)
    return tuple(repairs)


def drop_lost(store: Store, repairs: Iterable[Repair]) -> tuple[str, ...]:
    """Take segments that cannot be read any more out of the store, with all their documents; the ids of these segments.

    A segment is lost where its text is, or where it is not known any more which of its documents are deleted. Older
    versions keep it. Until then every write answers DATA_LOSS: it cannot be told which doc_ids are taken.
    """
    lost = {(repair.kind, repair.id) for repair in repairs if repair.outcome == "lost"}
    dropped: list[str] = []

    def change(latest: Manifest) -> Manifest:
        dropped[:] = [
            entry.id
            for entry in latest.segments
            if ("segment", entry.id) in lost or (entry.deleted is not None and (TOMBSTONES, entry.deleted.task) in lost)
        ]
        return without_segments(latest, dropped) if dropped else latest

    store.commit(change, "repair")
    return tuple(dropped)


def without_segments(manifest: Manifest, ids: Collection[str]) -> Manifest:
    """The manifest without some segments, and without their part of every index."""
    segments = tuple(entry for entry in manifest.segments if entry.id not in ids)
    indexes = {
        name: replace(entry, parts={segment: part for segment, part in entry.parts.items() if segment not in ids})
        for name, entry in manifest.indexes.items()
    }
    return replace(manifest, segments=segments, indexes=indexes)


def _incomplete(store: Store) -> Iterator[Damage]:
    """The folders of the newest version whose receipt does not verify, or that lack a file. Reads only receipts."""
    for path, kind, id, receipt in folders(store.path, store.snapshot().manifest):
        try:
            artefact = Artefact(path, read_receipt(path, receipt))
            for name in artefact.receipt.files:
                artefact.require(name)
        except DataLossError as error:
            yield Damage(kind, id, RECEIPT, f"does not verify, or what it lists: {error}")


def _repair(store: Store, damage: Damage, builder_of: BuilderOf, progress: Progress) -> Repair:
    kind, id = damage.kind, damage.id
    snapshot = store.snapshot()
    found = [(path, receipt) for path, k, i, receipt in folders(store.path, snapshot.manifest) if (k, i) == (kind, id)]
    if not found:
        if any(_has(store.path, version, kind, id) for version in versions(store.path)):
            return Repair(kind, id, "lost", "only older versions have it")
        return Repair(kind, id, "gone")
    path, receipt = found[0]
    if _is_sound(path, receipt):
        return Repair(kind, id, "sound")
    if kind == "segment":
        return _repair_segment(store, damage, path, receipt)
    # Inputs that were repaired before are opened through a snapshot of their own.
    snapshot = store.snapshot()
    try:
        if kind == SUBTRACTIVE:
            artefact = _rebuild_subtractive(store, snapshot, id)
        else:
            artefact = _rebuild_part(store, snapshot, kind, id, builder_of, progress)
    except LodexError as error:
        return Repair(kind, id, "lost", str(error))
    if artefact is None:
        return Repair(kind, id, "lost", f"{damage.file} {damage.how}; {kind} can be restored from a backup alone")
    written = checksum_bytes((artefact.path / RECEIPT).read_bytes())
    if written != receipt:
        store.commit(lambda latest: _with_receipt(latest, kind, id, written), "repair")
    return Repair(kind, id, "rebuilt")


def _repair_segment(store: Store, damage: Damage, path: Path, receipt: str) -> Repair:
    """Text and documents prove themselves by the segment's id; what else there is can be made from them."""
    try:
        with store.writing():
            written = restore_segment(path)
    except DataLossError as error:
        return Repair("segment", damage.id, "lost", str(error), affected_documents(path))
    if written != receipt:
        store.commit(lambda latest: _with_receipt(latest, "segment", damage.id, written), "repair")
    return Repair("segment", damage.id, "rebuilt")


def _has(root: Path, version: int, kind: str, id: str) -> bool:
    try:
        return any((k, i) == (kind, id) for _, k, i, _ in folders(root, read_manifest(root, version)))
    except LodexError:
        return False


def _is_sound(path: Path, receipt: str) -> bool:
    try:
        artefact = Artefact(path, read_receipt(path, receipt))
        for name in artefact.receipt.files:
            artefact.require(name)
            artefact.prove(name)
    except DataLossError:
        return False
    return True


def _rebuild_part(
    store: Store, snapshot: Snapshot, kind: str, id: str, builder_of: BuilderOf, progress: Progress
) -> Artefact | None:
    """Build the part of an index again; None for a kind that nothing builds."""
    for name, entry in snapshot.manifest.indexes.items():
        for segment in snapshot.segments:
            part = entry.parts.get(segment.id)
            if part is None or (entry.kind, part.task) != (kind, id):
                continue
            builder = builder_of(name)
            inputs = tuple(_present(snapshot, dependency, segment) for dependency in builder.depends_on)
            names = (f"segments/{segment.id}", *(f"artefacts/{each.kind}/{each.id}" for each in inputs))
            task = Task(builder.kind, names, builder.config)
            if task.id != id:
                raise DataLossError(f"index {name!r} would be built as {task.id} now, from other inputs than {id}")

            with store.writing():
                return run_task(store.path, task, _Work(builder, segment, inputs, progress), afresh=True)
    return None


@dataclass(frozen=True)
class _Work:
    """The call of a builder, from inputs that are proven."""

    builder: Builder
    segment: Segment
    inputs: tuple[Artefact, ...]
    progress: Progress

    def __call__(self, out: Path) -> TaskResult:
        for artefact in (self.segment.artefact, *self.inputs):
            artefact.prove_all()
        return self.builder.build(self.segment, self.inputs, out, self.progress)


def _present(snapshot: Snapshot, name: str, segment: Segment) -> Artefact:
    part = snapshot.part(name, segment)
    if part is None:
        raise DataLossError(f"index {name!r} has no part for segment {segment.id} any more")
    return part


def _rebuild_subtractive(store: Store, snapshot: Snapshot, id: str) -> Artefact | None:
    for entry in snapshot.manifest.indexes.values():
        for segment in snapshot.segments:
            part = entry.parts.get(segment.id)
            if part is None or part.minus is None or part.minus.task != id:
                continue
            (deleted,) = (line.deleted for line in snapshot.manifest.segments if line.id == segment.id)
            if deleted is None:
                raise DataLossError(f"nothing of segment {segment.id} is deleted, and {id} would be subtracted from it")
            tombstones = store.files.artefact(TOMBSTONES, deleted.task, deleted.receipt)
            tokens = _present(snapshot, entry.config["stream"], segment)
            with store.writing():
                return write_subtractive(store.path, tokens, tombstones, snapshot.deletions(segment), afresh=True)
    return None


def _with_receipt(manifest: Manifest, kind: str, id: str, receipt: str) -> Manifest:
    """The manifest with another receipt for an artefact, wherever it stands."""

    def part_with(entry: IndexEntry, part: PartEntry) -> PartEntry:
        if kind == SUBTRACTIVE and part.minus is not None and part.minus.task == id:
            return replace(part, minus=replace(part.minus, receipt=receipt))
        return replace(part, receipt=receipt) if (entry.kind, part.task) == (kind, id) else part

    indexes: Mapping[str, IndexEntry] = {
        name: replace(entry, parts={segment: part_with(entry, part) for segment, part in entry.parts.items()})
        for name, entry in manifest.indexes.items()
    }
    segments = tuple(
        replace(segment, receipt=receipt) if (kind, segment.id) == ("segment", id) else segment
        for segment in manifest.segments
    )
    return replace(manifest, segments=segments, indexes=indexes)
