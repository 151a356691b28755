"""Merging a group of segments with everything built over them, by copying what is live: no model is needed.

Each part is the artefact of the very task that would build it over the merged segment, so a build finds it, and readers
see no difference. Passages, tokens and suffixes have the same bytes too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lodex.errors import FailedPreconditionError
from lodex.index.compaction_policy import Group
from lodex.index.dependencies import dependencies, dependencies_first
from lodex.index.files import checksum_bytes
from lodex.index.job_report import JobReport, run_measured
from lodex.index.jobs import Task, TaskResult
from lodex.index.manifest import PartEntry
from lodex.index.merge_dense import merge_dense
from lodex.index.merge_knn import merge_knn
from lodex.index.merge_passages import merge_passages
from lodex.index.merge_segments import merge_segments, sources_of
from lodex.index.merge_sources import Parts, Source, SourcePart, Target
from lodex.index.merge_suffix import merge_suffix
from lodex.index.merge_tokens import merge_tokens
from lodex.index.receipt import RECEIPT, Artefact
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.types import Progress

Merge = Callable[[Parts, Target, Path, Progress], TaskResult]


@dataclass(frozen=True)
class Merged:
    """A group as one segment, not yet in any version. `parts` are those of the indexes that covered the group.

    `merged_from` are the ids of the tasks whose parts were merged, by index and source segment.
    """

    sources: tuple[Source, ...]
    segment: Segment
    parts: Mapping[str, PartEntry] = field(default_factory=dict)
    merged_from: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def merge_group(root: Path, snapshot: Snapshot, group: Group, progress: Progress, report: JobReport) -> Merged:
    """Merge the segments of a group, and the parts of each index that covers them, dependencies first.

    What an interrupted run finished is found by its receipt. FailedPreconditionError for a kind of index that cannot be
    merged.
    """
    by_id = {segment.id: segment for segment in snapshot.segments}
    segments = [by_id[entry.id] for entry in group]
    sources = sources_of([(segment, snapshot.deletions(segment)) for segment in segments])
    segment = merge_segments(root, sources, progress)
    indexes = snapshot.manifest.indexes
    made: dict[str, Artefact] = {}
    for name in dependencies_first(indexes):
        if not all(source.segment.id in indexes[name].parts for source in sources):
            continue
        below = dependencies(indexes[name])
        if not made.keys() >= set(below):
            raise FailedPreconditionError(
                f"index {name!r} covers segments that {below[0]!r} does not, which it is built over: build both again"
            )
        target = Target(indexes[name].config, segment, tuple(made[other] for other in below))
        parts = [_source_part(snapshot, name, source) for source in sources]
        made[name] = _merge_part(root, indexes[name].kind, parts, target, progress, report)
    return Merged(
        sources,
        segment,
        {name: PartEntry(part.id, checksum_bytes((part.path / RECEIPT).read_bytes())) for name, part in made.items()},
        {name: {source.segment.id: indexes[name].parts[source.segment.id].task for source in sources} for name in made},
    )


def _source_part(snapshot: Snapshot, name: str, source: Source) -> SourcePart:
    below = [snapshot.part(other, source.segment) for other in dependencies(snapshot.index(name))]
    part = snapshot.part(name, source.segment)
    found = [artefact for artefact in (part, *below) if artefact is not None]
    for artefact in found:
        artefact.prove_all()
    return SourcePart(source, found[0], tuple(found[1:]))


def _merge_part(root: Path, kind: str, parts: Parts, target: Target, progress: Progress, report: JobReport) -> Artefact:
    merge = _MERGES.get(kind)
    if merge is None:
        raise FailedPreconditionError(f"segments with an index of kind {kind!r} cannot be merged; drop it first")
    inputs = (f"segments/{target.segment.id}", *(f"artefacts/{below.kind}/{below.id}" for below in target.inputs))
    task = Task(kind, inputs, target.config)
    artefact, done = run_measured(root, task, lambda out: merge(parts, target, out, progress))
    report.add(done)
    return artefact


_MERGES: Mapping[str, Merge] = {
    "passages": merge_passages,
    "tokens": merge_tokens,
    "suffix": merge_suffix,
    "dense": merge_dense,
    "knn": merge_knn,
}
