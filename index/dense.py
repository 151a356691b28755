"""The dense index of a snapshot: vectors in, the nearest passages of all segments out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.errors import FailedPreconditionError, FingerprintMismatchError, InvalidArgumentError
from lodex.index.dense_build import KIND, read_encoder
from lodex.index.dense_part import DensePart
from lodex.index.passages import PassageTable
from lodex.index.query_vectors import checked_queries
from lodex.index.receipt import Artefact
from lodex.index.snapshot import Snapshot
from lodex.types import EncoderInfo, Hit, Passage

MAX_K = 10_000


@dataclass(frozen=True, slots=True)
class Match:
    """A passage found, by its place: row `row` of the passage table of part `part`. `key` orders equal scores."""

    score: float
    key: bytes
    part: int
    row: int


class DenseIndex:
    """All parts of one dense index, opened for reading. Safe to share between threads."""

    def __init__(self, snapshot: Snapshot, name: str = "dense") -> None:
        entry = snapshot.index(name)
        if entry.kind != KIND:
            raise InvalidArgumentError(f"index {name!r} is of kind {entry.kind!r}, not {KIND!r}", "index")
        self.name = name
        self.chunking = str(entry.config["chunking"])
        self.encoder = read_encoder(entry.config)
        built = [(segment, part) for segment, part in snapshot.parts(name) if part is not None]
        self.segments_ok = len(built)
        self.segments_total = len(snapshot.segments)
        if snapshot.segments and not built:
            raise FailedPreconditionError(
                f"index {name!r} has no segment yet in version {snapshot.version}; run: lodex index update STORE"
            )
        self._tables: list[PassageTable] = [snapshot.passages(segment, self.chunking) for segment, _ in built]
        self._parts = [
            _open_part(snapshot, part, table, self.encoder.dimension)
            for (_, part), table in zip(built, self._tables, strict=True)
        ]
        self.num_passages = sum(part.num_live for part in self._parts)
        self.num_truncated = sum(int(part.receipt.details["truncated"]) for _, part in built)

    def check_encoder(self, info: EncoderInfo) -> None:
        """FingerprintMismatchError unless `info` is the embedder the index was built with, weights and all."""
        if info.fingerprint != self.encoder.fingerprint:
            raise FingerprintMismatchError(
                f"index {self.name!r} holds vectors of {self.encoder.name!r} ({self.encoder.fingerprint}), "
                f"not of {info.name!r} ({info.fingerprint})"
            )

    def search(
        self, queries: npt.NDArray[np.float32], k: int, nprobe: int | None = None, exact: bool = False
    ) -> list[list[Hit]]:
        """`nearest` with the passages read."""
        return [
            [Hit(self.passage(match), match.score) for match in matches]
            for matches in self.nearest(queries, k, nprobe, exact)
        ]

    def nearest(
        self, queries: npt.NDArray[np.float32], k: int, nprobe: int | None = None, exact: bool = False
    ) -> list[list[Match]]:
        """The best min(k, passages) for each row of `queries` (n, d): highest score first, ties by ascending key.

        A score is the inner product summed in float64 and rounded to float32, so it depends on query and passage alone.
        Segments below the size where lists begin are searched exactly, and so is every segment with `exact`: then the
        answer is independent of segments. Lists are probed `nprobe` at a time, by default as many as reached the recall
        the index was built for. k is at most `MAX_K`.
        """
        vectors = checked_queries(queries, self.encoder.dimension, self.name)
        if not 1 <= k <= MAX_K:
            raise InvalidArgumentError(f"k is {k}, expected 1 to {MAX_K}", "k")
        if nprobe is not None and nprobe < 1:
            raise InvalidArgumentError(f"nprobe is {nprobe}, expected at least 1", "nprobe")
        found: list[list[Match]] = [[] for _ in vectors]
        for number, part in enumerate(self._parts):
            for matches, candidates in zip(found, part.nearest(vectors, k, nprobe, exact), strict=True):
                matches += [Match(score, key, number, row) for score, key, row in candidates]
        return [sorted(matches, key=lambda match: (-match.score, match.key))[:k] for matches in found]

    def passage(self, match: Match) -> Passage:
        """The passage of a match, with its text."""
        return self._tables[match.part].passage(match.row)

    def doc_ids(self, matches: Sequence[Match]) -> list[str]:
        """The document of each match, without reading any text."""
        tables = (self._tables[match.part] for match in matches)
        return [table.segment.doc_id(int(table.rows[m.row])) for table, m in zip(tables, matches, strict=True)]


def _open_part(snapshot: Snapshot, artefact: Artefact, table: PassageTable, dimension: int) -> DensePart:
    """A part, opened once for all versions that have it with the same documents deleted."""
    deletions = snapshot.deletions(table.segment)
    ids = (artefact.id, table.segment.id, *([deletions.id] if len(deletions) else []))
    return snapshot.shared(DensePart, ids, lambda: DensePart(artefact, table, dimension, deletions))
