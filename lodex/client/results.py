"""What writing and streams return: values, as everywhere in the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lodex.errors import LodexError
from lodex.types import Embeddings, IndexInfo


@dataclass(frozen=True, slots=True)
class Rejected:
    """A document that was left out: its place among those given, from 0, its doc_id, and why."""

    position: int
    doc_id: str
    error: LodexError


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest added, over all streams of its request: `version` holds all of it.

    `rejected` counts the documents that were left out; `errors` are those that this call was told of.
    """

    version: int
    documents: int
    replaced: int
    rejected: int
    text_bytes: int
    request_id: str = ""
    errors: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a deletion did: the first version without the documents, how many they are, and ids that were not there."""

    version: int
    deleted: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version of a store: what made it and when, and the names it has. `parent` is None for the first."""

    version: int
    parent: int | None
    time: datetime
    change: str
    documents: int
    segments: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is: `done` of `total` units of a phase (None: not known), and its tasks."""

    job: str
    store: str
    phase: str
    done: int
    total: int | None
    unit: str
    tasks_done: int
    tasks_total: int


@dataclass(frozen=True, slots=True)
class BuildResult:
    """An index that was built, and the first version with it."""

    version: int
    index: IndexInfo


@dataclass(frozen=True, slots=True)
class CompactResult:
    """What a compaction did."""

    version: int
    segments_before: int
    segments_after: int


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """What a purge removed: documents whose bytes are gone, versions that held them, bytes that were freed."""

    version: int
    documents: int
    versions: int
    bytes: int


@dataclass(frozen=True, slots=True)
class GarbageResult:
    """What was removed because no kept version needs it."""

    versions: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a check read, and a sentence for each damage. None: all is well."""

    version: int
    files: int
    bytes: int
    damages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import added; `examples` are the first reasons for which documents were left out."""

    version: int
    documents: int
    replaced: int
    rejected: int
    text_bytes: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """The vectors of some of the texts of a stream, from the one at `begin` on, counted from 0.

    `errors` are those of texts that have none, by their place in the stream; their rows are zero.
    """

    begin: int
    embeddings: Embeddings
    errors: Mapping[int, LodexError]
