"""Building indexes: the missing parts of every segment, and new versions that name them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lodex.errors import AlreadyExistsError, FailedPreconditionError
from lodex.index.files import checksum_bytes
from lodex.index.job_report import JobReport, TaskReport, run_measured, tell_tasks
from lodex.index.jobs import Task, TaskResult, artefact_path
from lodex.index.manifest import IndexEntry, Manifest, PartEntry
from lodex.index.receipt import RECEIPT, Artefact, read_receipt
from lodex.index.segment import Segment
from lodex.index.shards import Shards
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.worker_pool import Call, Outcome, WorkerPool
from lodex.types import Progress, Silent

PORTABLE_KINDS = frozenset(("passages", "tokens", "suffix"))
"""Kinds whose builders need files alone, so that worker processes can build them; others hold a model."""

_PUBLISH_AFTER_S = 30.0
# Two processes are started in the time that one takes to cut or to encode about this much text.
_WORKERS_FROM_BYTES = 8 << 20


class Builder(Protocol):
    """Makes the part of an index for one segment. Pure: the same inputs and `config` give the same answers."""

    @property
    def kind(self) -> str:
        """The kind of artefact: the folder it stands in."""
        ...

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Names of the indexes whose parts for the same segment are inputs, in the order `build` receives them."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """JSON that tells this index from another of its kind; a part of the task's id and of the manifest."""
        ...

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write flat files into `out`."""
        ...


@runtime_checkable
class ShardedBuilder(Builder, Protocol):
    """A builder whose work takes so long that a killed one must not lose all of it."""

    def build_from_shards(
        self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress, shards: Shards
    ) -> TaskResult:
        """Write what `build` writes, byte for byte, from tasks of its own that are taken from `shards`."""
        ...


def build_index(store: Store, name: str, builder: Builder, progress: Progress | None = None) -> Snapshot:
    """Build what `name` lacks and publish it; see `build_indexes`."""
    return build_indexes(store, {name: builder}, progress)


def build_indexes(
    store: Store,
    builders: Mapping[str, Builder],
    progress: Progress | None = None,
    *,
    pool: WorkerPool | None = None,
    report: JobReport | None = None,
) -> Snapshot:
    """Build what indexes lack, dependencies first, and publish it together; returns the version that has it.

    That is the present version if nothing lacked. A build of more than half a minute publishes what is finished as it
    goes. Parts that an interrupted run finished are found by their receipts, not built again; `report` tells of each.
    Raises AlreadyExistsError where a name is an index of another kind or configuration, FailedPreconditionError where
    a dependency is neither there nor among `builders`. Segments that a dependency does not cover are left out.
    """
    with store.writing():
        return _Round(store, builders, progress or Silent(), pool or WorkerPool(), report or JobReport()).build()


class _Round:
    """One pass over the segments of a version."""

    def __init__(
        self, store: Store, builders: Mapping[str, Builder], progress: Progress, pool: WorkerPool, report: JobReport
    ) -> None:
        self._store = store
        self._builders = builders
        self._progress = progress
        self._pool = pool
        self._report = report
        self._snapshot = store.snapshot()
        self._made: dict[str, dict[str, Artefact]] = {name: {} for name in builders}
        self._unpublished: dict[str, dict[str, PartEntry]] = {}
        self._published = time.monotonic()

    def build(self) -> Snapshot:
        known = self._snapshot.manifest.indexes
        for name, builder in self._builders.items():
            _require_same(name, known.get(name), builder)
            for dependency in builder.depends_on:
                if dependency not in known and dependency not in self._made:
                    raise FailedPreconditionError(f"index {name!r} needs {dependency!r}, which is not built yet")
        for name, builder in self._builders.items():
            self._build_index(name, builder)
            # An index of no segments is published all the same: its configuration is what later ones are built with.
            if name not in known and not self._made[name]:
                self._unpublished.setdefault(name, {})
        return self._publish()

    def _build_index(self, name: str, builder: Builder) -> None:
        tasks = list(self._lacking(name, builder))
        total_bytes = sum(segment.text_bytes for segment, _ in tasks)
        tell_tasks(self._progress, 0, len(tasks))
        for done, (segment_id, part, report) in enumerate(self._outcomes(builder, tasks, total_bytes), 1):
            self._unpublished.setdefault(name, {})[segment_id] = part
            path = artefact_path(self._store.path, builder.kind, part.task)
            self._made[name][segment_id] = Artefact(path, read_receipt(path, part.receipt))
            self._report.add(report)
            tell_tasks(self._progress, done, len(tasks))
            if time.monotonic() - self._published > _PUBLISH_AFTER_S:
                self._publish()

    def _lacking(self, name: str, builder: Builder) -> Iterator[tuple[Segment, tuple[Artefact, ...]]]:
        """The segments that lack the index, with what it is built over."""
        entry = self._snapshot.manifest.indexes.get(name)
        for segment in self._snapshot.segments:
            if entry is not None and segment.id in entry.parts:
                continue
            inputs = [self._part(dependency, segment) for dependency in builder.depends_on]
            # A segment that another writer published since the dependency was built is left for the next build.
            if None not in inputs:
                yield segment, tuple(artefact for artefact in inputs if artefact is not None)

    def _part(self, name: str, segment: Segment) -> Artefact | None:
        made = self._made.get(name, {}).get(segment.id)
        if made is not None or name not in self._snapshot.manifest.indexes:
            return made
        return self._snapshot.part(name, segment)

    def _outcomes(
        self, builder: Builder, tasks: list[tuple[Segment, tuple[Artefact, ...]]], total_bytes: int
    ) -> Iterator[tuple[str, PartEntry, TaskReport]]:
        """What becomes of each task, as it ends."""
        root = self._store.path
        if builder.kind not in PORTABLE_KINDS:
            for segment, inputs in tasks:
                shards = Shards(root, self._report)
                yield (segment.id, *_build_part(root, builder, segment.artefact, inputs, self._progress, shards))
            return
        calls = [
            Call(
                f"{builder.kind} of segment {segment.id}", partial(_build_scaled, root, builder, segment.artefact, ins)
            )
            for segment, ins in tasks
        ]
        if tasks:
            self._progress.start(builder.kind, total_bytes, "bytes")
        few = len(tasks) < 2 or total_bytes < _WORKERS_FROM_BYTES
        outcomes: Iterator[Outcome[tuple[PartEntry, TaskReport]]]
        outcomes = self._pool.run(calls, self._progress, workers=1 if few else None)
        for outcome in outcomes:
            yield (tasks[outcome.index][0].id, *outcome.result())
        if tasks:
            self._progress.finish()

    def _publish(self) -> Snapshot:
        self._published = time.monotonic()
        if not self._unpublished:
            return self._store.snapshot()
        parts, self._unpublished = self._unpublished, {}

        def change(latest: Manifest) -> Manifest:
            for name, built in parts.items():
                latest = _with_parts(latest, name, self._builders[name], built)
            return latest

        return self._store.commit(change, "build")


def _build_part(
    root: Path,
    builder: Builder,
    segment: Artefact,
    inputs: tuple[Artefact, ...],
    progress: Progress,
    shards: Shards | None = None,
) -> tuple[PartEntry, TaskReport]:
    """Build the part of one segment, or find it; in whatever process. `shards` are for builders that work in some."""
    task = Task(
        kind=builder.kind,
        inputs=(f"segments/{segment.id}", *(f"artefacts/{artefact.kind}/{artefact.id}" for artefact in inputs)),
        config=builder.config,
    )
    opened = Segment(segment.path, segment.receipt, segment.guard, segment.refused)

    def work(out: Path) -> TaskResult:
        for artefact in (opened.artefact, *inputs):
            artefact.prove_all()
        if shards is not None and isinstance(builder, ShardedBuilder):
            return builder.build_from_shards(opened, inputs, out, progress, shards)
        return builder.build(opened, inputs, out, progress)

    artefact, report = run_measured(root, task, work)
    if shards is not None:
        shards.forget()
    return PartEntry(artefact.id, checksum_bytes((artefact.path / RECEIPT).read_bytes())), report


def _build_scaled(
    root: Path, builder: Builder, segment: Artefact, inputs: tuple[Artefact, ...], progress: Progress
) -> tuple[PartEntry, TaskReport]:
    scaled = _InTextBytes(progress, int(segment.receipt.details["text_bytes"]))
    result = _build_part(root, builder, segment, inputs, scaled)
    scaled.complete()
    return result


class _InTextBytes:
    """Tells what a builder has done of one segment as bytes of its text, so that the segments of a job add up."""

    def __init__(self, progress: Progress, text_bytes: int) -> None:
        self._progress = progress
        self._text_bytes = text_bytes
        self._total = self._done = self._told = 0

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Take down how much there is to do."""
        self._total, self._done = total or 0, 0

    def advance(self, amount: int) -> None:
        """Go on by the same share of the text."""
        self._done += amount
        if self._total:
            self._tell(self._text_bytes * min(self._done, self._total) // self._total)

    def finish(self) -> None:
        """More phases may follow."""

    def complete(self) -> None:
        """The segment is done, also where it was found finished."""
        self._tell(self._text_bytes)

    def _tell(self, so_far: int) -> None:
        if so_far > self._told:
            self._progress.advance(so_far - self._told)
            self._told = so_far


def _require_same(name: str, entry: IndexEntry | None, builder: Builder) -> None:
    if entry is None or (entry.kind == builder.kind and entry.config == builder.config):
        return
    raise AlreadyExistsError(
        f"index {name!r} is there with another configuration: it has {entry.kind} {dict(entry.config)}, "
        f"asked for was {builder.kind} {dict(builder.config)}; choose another --name"
    )


def _with_parts(latest: Manifest, name: str, builder: Builder, parts: Mapping[str, PartEntry]) -> Manifest:
    entry = latest.indexes.get(name)
    _require_same(name, entry, builder)
    if name in latest.aliases:
        raise AlreadyExistsError(f"{name!r} is an alias of index {latest.aliases[name]!r}; choose another --name")
    present = {segment.id for segment in latest.segments}
    merged = dict(entry.parts if entry else {}) | {
        segment: part for segment, part in parts.items() if segment in present
    }
    return replace(latest, indexes=dict(latest.indexes) | {name: IndexEntry(builder.kind, builder.config, merged)})
