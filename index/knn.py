"""The kNN index of a snapshot: states of a language model in, the nearest contexts of all segments out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.errors import FailedPreconditionError, InvalidArgumentError
from lodex.index.knn_build import KIND, read_source
from lodex.index.knn_files import Floats, Rows
from lodex.index.knn_part import KnnPart
from lodex.index.knn_pool import CandidatePool
from lodex.index.occurrences import Place, read_occurrence
from lodex.index.query_vectors import checked_queries
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.index.stream_parts import stream_parts
from lodex.index.tokens import TokenStream
from lodex.types import Occurrence

MAX_K = 65_536
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest entries of each of n queries, nearest first; fewer than k leave the ends of their rows filled.

    `distances` (n, k) float32 squared L2, +inf where there is none; `token_ids` (n, k) int64 the token behind each
    entry, EOS at a document's end; `segments` (n, k) int32 the part of the index, and `positions` (n, k) int64 the
    token position in that part's stream. The last three are -1 where there is none.
    """

    distances: npt.NDArray[np.float32]
    token_ids: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int64]


class KnnIndex:
    """A kNN index of a snapshot, over those segments that have it: `segments_ok` of `segments_total`.

    Khandelwal et al. 2020, Generalization through Memorization (arXiv:1911.00172): an entry is a context of the corpus
    with the token that followed it. Keys are float16, distances are computed from them in float32. Safe to share
    between threads.
    """

    def __init__(self, snapshot: Snapshot, name: str = "knn") -> None:
        entry = snapshot.index(name)
        if entry.kind != KIND:
            raise InvalidArgumentError(f"index {name!r} is of kind {entry.kind!r}, not {KIND!r}", "index")
        self.name = name
        self.version = snapshot.version
        self.stream_name: str = entry.config["stream"]
        source = read_source(entry.config)
        self.model = source.model
        self.model_fingerprint = source.fingerprint
        self.dimension = source.dimension
        self.window_tokens = source.window_tokens
        self.stride_tokens = source.stride_tokens
        self._parts = tuple(
            _open_part(snapshot, segment, stream, part, self.dimension)
            for segment, stream, part in stream_parts(snapshot, name, self.stream_name)
        )
        self.segments_ok, self.segments_total = len(self._parts), len(snapshot.segments)
        if not self._parts:
            raise FailedPreconditionError(
                f"index {name!r} has no segment yet in version {snapshot.version}; run: lodex index update STORE"
            )
        self.tokenizer = self._parts[0].stream.tokenizer
        self.eos_id = self._parts[0].stream.eos_id
        self._firsts = np.concatenate([[0], np.cumsum([part.num_entries for part in self._parts])]).astype(np.int64)
        self.num_entries = int(self._firsts[-1])
        self._largest_norm = max(part.largest_norm for part in self._parts)

    @property
    def streams(self) -> tuple[TokenStream, ...]:
        """The token stream of each part, by the numbers that `Neighbors.segments` gives."""
        return tuple(part.stream for part in self._parts)

    def search(
        self,
        queries: Floats,
        k: int,
        *,
        nprobe: int | None = None,
        exact: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> Neighbors:
        """The k nearest entries of each row of `queries` (n, d); equal distances by hash of doc_id, then by place.

        Segments below the size where lists begin are searched exactly, and so is every segment with `exact`: then the
        answer is independent of segments and of the queries beside, bit for bit. Lists are probed `nprobe` at a time,
        by default as many as reached the recall the index was built for, and at least as many as hold k entries.
        `check` is called between tiles and may raise. k is at most `MAX_K`.

        DimensionMismatchError for queries of another d, InvalidArgumentError for what is not finite.
        """
        vectors = checked_queries(queries, self.dimension, self.name)
        if not 1 <= k <= MAX_K:
            raise InvalidArgumentError(f"k is {k}, expected 1 to {MAX_K}", "k")
        if nprobe is not None and nprobe < 1:
            raise InvalidArgumentError(f"nprobe is {nprobe}, expected at least 1", "nprobe")
        n = len(vectors)
        found = Neighbors(
            np.full((n, k), np.inf, np.float32),
            np.full((n, k), -1, np.int64),
            np.full((n, k), -1, np.int32),
            np.full((n, k), -1, np.int64),
        )
        for begin in range(0, n, _QUERIES_AT_ONCE):
            batch = vectors[begin : begin + _QUERIES_AT_ONCE]
            pools = [CandidatePool(k, self._margin(query)) for query in batch]
            for part, first in zip(self._parts, self._firsts[:-1].tolist(), strict=True):
                if part.num_entries:
                    part.offer(batch, pools, first, k, nprobe, exact, check)
            for i, (query, pool) in enumerate(zip(batch, pools, strict=True), begin):
                check()
                self._rank(query, pool.numbers(), found, i)
        return found

    def occurrence(self, segment: int, position: int, context_tokens: int = 16) -> Occurrence:
        """Where an entry of `search` stands: its document, the token that followed as the match, the text around it.

        The match is empty where the document ended there. InvalidArgumentError for what is no entry.
        """
        if not 0 <= segment < len(self._parts) or not 0 <= position < self._parts[segment].num_entries:
            raise InvalidArgumentError(f"no entry {position} in part {segment} of index {self.name!r}", "position")
        part = self._parts[segment]
        row = int(part.stream.rows_of(position))
        begin = int(part.stream.positions_in_document(position)) + 1
        end = min(begin + 1, len(part.stream.document(row)))
        return read_occurrence(Place(part, row, begin, end), self.tokenizer, context_tokens)

    def _margin(self, query: Floats) -> float:
        """Twice how far an estimate may be from the distance that is computed for it.

        Either is a sum of d products or squares in float32, off by less than (d + 4) / 2^24 of the sum of their sizes
        (Higham 2002, section 3.1), which (|q| + |k|)^2 bounds; 2^23 covers both.
        """
        lengths = float(np.linalg.norm(query.astype(np.float64))) + self._largest_norm
        return 2 * (self.dimension + 8) * 2.0**-23 * lengths**2

    def _rank(self, query: Floats, numbers: Rows, into: Neighbors, i: int) -> None:
        """Put the best of the candidates into row i of the answer."""
        parts, distances, entries = self._measured(query, numbers)
        k = min(into.distances.shape[1], len(numbers))
        if not k:
            return
        kept = np.flatnonzero(distances <= np.partition(distances, k - 1)[k - 1])
        order = kept[np.argsort(distances[kept], kind="stable")]
        ranked = distances[order]
        if (ranked[1:] == ranked[:-1]).any():
            hashes, places = self._tie_keys(parts[order], entries[order])
            order = order[np.lexsort((places, hashes, ranked))]
        order = order[:k]
        into.distances[i, :k] = distances[order]
        into.segments[i, :k] = parts[order]
        into.positions[i, :k] = entries[order]
        for number in np.unique(parts[order]).tolist():
            chosen = np.flatnonzero(parts[order] == number)
            into.token_ids[i, chosen] = self._parts[number].values(entries[order[chosen]])

    def _measured(self, query: Floats, numbers: Rows) -> tuple[Rows, Floats, Rows]:
        """The part, distance and entry of each candidate; the candidates ascend."""
        bounds = np.searchsorted(numbers, self._firsts).tolist()
        parts, distances, entries = [], [], []
        for number, part in enumerate(self._parts):
            rows = numbers[bounds[number] : bounds[number + 1]] - self._firsts[number]
            if len(rows):
                parts.append(np.full(len(rows), number, np.int64))
                distances.append(part.distances(query, rows))
                entries.append(part.entries(rows))
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64)
        return np.concatenate(parts), np.concatenate(distances), np.concatenate(entries)

    def _tie_keys(self, parts: Rows, entries: Rows) -> tuple[npt.NDArray[np.uint64], Rows]:
        hashes, places = np.empty(len(parts), np.uint64), np.empty(len(parts), np.int64)
        for number in np.unique(parts).tolist():
            chosen = parts == number
            hashes[chosen], places[chosen] = self._parts[number].tie_keys(entries[chosen])
        return hashes, places


def _open_part(
    snapshot: Snapshot, segment: Segment, stream: TokenStream, artefact: Artefact, dimension: int
) -> KnnPart:
    """A part, opened once for all versions that have it with the same documents deleted."""
    deletions = snapshot.deletions(segment)
    ids = (artefact.id, *([deletions.id] if len(deletions) else []))
    return snapshot.shared(KnnPart, ids, lambda: KnnPart(segment, stream, artefact, dimension, deletions))
