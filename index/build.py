"""Building an index: the missing part of every segment, then one new version that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from lodex.errors import AlreadyExistsError, FailedPreconditionError
from lodex.index.files import checksum_bytes
from lodex.index.jobs import Task, TaskResult, run_task
from lodex.index.manifest import IndexEntry, Manifest, PartEntry
from lodex.index.receipt import RECEIPT, Artefact
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.types import Progress, Silent


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


def build_index(store: Store, name: str, builder: Builder, progress: Progress | None = None) -> Snapshot:
    """Build what `name` lacks and publish it; returns the version that has it, the present one if nothing lacked.

    Parts that an interrupted run finished are found by their receipts and not built again. Raises AlreadyExistsError
    where `name` is an index of another kind or configuration, FailedPreconditionError where a dependency is not there.
    Segments that a dependency does not cover yet are left out.
    """
    snapshot = store.snapshot()
    entry = snapshot.manifest.indexes.get(name)
    _require_same(name, entry, builder)
    for dependency in builder.depends_on:
        if dependency not in snapshot.manifest.indexes:
            raise FailedPreconditionError(f"index {name!r} needs {dependency!r}, which is not built yet")
    parts: dict[str, PartEntry] = {}
    for segment in snapshot.segments:
        inputs = [snapshot.part(dependency, segment) for dependency in builder.depends_on]
        ready = tuple(artefact for artefact in inputs if artefact is not None)
        # A segment that another writer published since the dependency was built is left for the next build.
        if len(ready) < len(inputs) or (entry is not None and segment.id in entry.parts):
            continue
        artefact = _build_part(store, segment, ready, builder, progress or Silent())
        parts[segment.id] = PartEntry(artefact.id, checksum_bytes((artefact.path / RECEIPT).read_bytes()))
    if entry is not None and not parts:
        return snapshot
    return store.commit(lambda latest: _with_parts(latest, name, builder, parts))


def _build_part(
    store: Store, segment: Segment, inputs: tuple[Artefact, ...], builder: Builder, progress: Progress
) -> Artefact:
    task = Task(
        kind=builder.kind,
        inputs=(f"segments/{segment.id}", *(f"artefacts/{artefact.kind}/{artefact.id}" for artefact in inputs)),
        config=builder.config,
    )
    return run_task(store.path, task, lambda out: builder.build(segment, inputs, out, progress))


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
    present = {segment.id for segment in latest.segments}
    merged = dict(entry.parts if entry else {}) | {
        segment: part for segment, part in parts.items() if segment in present
    }
    return replace(latest, indexes=dict(latest.indexes) | {name: IndexEntry(builder.kind, builder.config, merged)})
