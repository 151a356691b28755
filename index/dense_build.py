"""Building a dense index: the passages of a segment, embedded, in a file of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lodex.errors import DimensionMismatchError, InvalidArgumentError
from lodex.index.dense_ivf import LISTS, build_lists
from lodex.index.dense_part import VECTORS
from lodex.index.job_report import tell_tokens
from lodex.index.jobs import Task, TaskResult
from lodex.index.passages import PassageTable
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.shards import Shards
from lodex.index.vector_shard import EMBED, SHARD_BYTES, SHARD_ROWS, read_vectors, write_vectors
from lodex.types import Embeddings, EncoderInfo, Progress

KIND = "dense"
# Below this many vectors a segment is scanned whole: brute force is exact and as fast (FAISS's own guidance).
IVF_FROM = 50_000
_TEXT = "title passage"
# What of an embedder is written down. Whatever else is known of it follows from the fingerprint, and may not make
# another index of one that is there.
_IDENTITY = ("name", "fingerprint", "dimension", "max_tokens", "normalized")


class EmbedPassages(Protocol):
    """Texts to vectors in their order; `advance` is told how many more are done."""

    def __call__(self, texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
        """Embed each text."""
        ...


class DenseBuilder:
    """Embeds every passage of a segment; what is embedded is the title, a space and the passage, or the passage alone.

    That is the text of the BEIR protocol (arXiv:2104.08663). Memory is bounded by one shard of passages and its
    vectors; a segment of `ivf_from` passages or more also gets inverted lists, whose codes are built in memory.
    """

    kind = KIND

    def __init__(self, chunking: str, encoder: EncoderInfo, embed: EmbedPassages, *, ivf_from: int = IVF_FROM) -> None:
        self.depends_on: tuple[str, ...] = (chunking,)
        self.config: Mapping[str, Any] = {
            "chunking": chunking,
            "encoder": _identity(encoder),
            "ivf_from": ivf_from,
            "metric": "inner_product",
            "text": _TEXT,
        }
        self._encoder = encoder
        self._embed = embed
        self._ivf_from = max(ivf_from, 2)

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write `vectors.f32`, and `lists.faiss` for a large segment."""
        table = PassageTable(inputs[0], segment)
        return self._join(table, (self._embedded(table, rows, progress) for rows in _shards(table)), out, progress)

    def build_from_shards(
        self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress, shards: Shards
    ) -> TaskResult:
        """`build`, where each run of passages is a task of kind "embed", unless there is but one. The same bytes."""
        table = PassageTable(inputs[0], segment)
        runs = list(_shards(table))
        if len(runs) < 2:
            return self.build(segment, inputs, out, progress)
        return self._join(table, (self._taken(table, inputs[0], run, progress, shards) for run in runs), out, progress)

    def _join(self, table: PassageTable, parts: Iterator[_Embedded], out: Path, progress: Progress) -> TaskResult:
        """Write the vectors of all parts one after another, and what is made of them all."""
        n, d = table.num_passages, self._encoder.dimension
        truncated = tokens = 0
        largest_norm = 0.0
        progress.start("embedding", n, "passages")
        with (out / VECTORS).open("wb") as file:
            for part in parts:
                file.write(part.vectors.astype("<f4", copy=False).tobytes())
                truncated += part.truncated
                tokens += part.tokens
                largest_norm = max(largest_norm, float(np.linalg.norm(part.vectors, axis=1).max()))
        progress.finish()
        details: dict[str, Any] = {"truncated": truncated, "tokens": tokens, "largest_norm": largest_norm}
        if n >= self._ivf_from:
            progress.start("inverted lists", None, "vectors")
            details |= build_lists(np.memmap(out / VECTORS, "<f4", "r", shape=(n, d)), out / LISTS)
            progress.finish()
        return TaskResult(rows=n, details=details)

    def _embedded(self, table: PassageTable, run: tuple[int, int], progress: Progress) -> _Embedded:
        embeddings = self._embed(_texts(table, *run), progress.advance)
        vectors = _checked(embeddings.vectors, run[1] - run[0], self._encoder.dimension, self._encoder.name)
        tell_tokens(progress, embeddings.tokens)
        return _Embedded(vectors, embeddings.tokens, int(embeddings.truncated.sum()))

    def _taken(
        self, table: PassageTable, passages: Artefact, run: tuple[int, int], progress: Progress, shards: Shards
    ) -> _Embedded:
        """The vectors of a run of passages, from its shard."""
        first, last = run
        told = 0

        def work(out: Path) -> TaskResult:
            nonlocal told
            part = self._embedded(table, run, progress)
            told = last - first
            return write_vectors(out, part.vectors, part.tokens, part.truncated)

        inputs = (f"segments/{table.segment.id}", f"artefacts/{passages.kind}/{passages.id}")
        config = {"encoder": self.config["encoder"], "first": first, "last": last, "text": _TEXT}
        part = shards.take(Task(EMBED, inputs, config), work, partial(_read, dimension=self._encoder.dimension))
        progress.advance(last - first - told)
        return part


@dataclass(frozen=True, slots=True)
class _Embedded:
    """The vectors (n, d) float32 of a run of passages, the tokens that were read of them, and how many were cut."""

    vectors: npt.NDArray[np.float32]
    tokens: int
    truncated: int


def _read(shard: Artefact, dimension: int) -> _Embedded:
    details = shard.receipt.details
    return _Embedded(read_vectors(shard, np.float32, dimension), details["tokens"], details["truncated"])


def _identity(encoder: EncoderInfo) -> dict[str, Any]:
    return {name: getattr(encoder, name) for name in _IDENTITY}


def read_encoder(config: Mapping[str, Any]) -> EncoderInfo:
    """The embedder that a dense index's configuration records."""
    return EncoderInfo(**config["encoder"])


def _shards(table: PassageTable) -> Iterator[tuple[int, int]]:
    """Runs [first, last) of passages, of at most so many passages and, unless one alone has more, so many bytes."""
    ends = np.cumsum(table.ends - table.begins, dtype=np.uint64)
    first = done = 0
    while first < table.num_passages:
        last = int(ends.searchsorted(np.uint64(done + SHARD_BYTES), "right"))
        last = min(max(last, first + 1), first + SHARD_ROWS)
        yield first, last
        first, done = last, int(ends[last - 1])


def _texts(table: PassageTable, first: int, last: int) -> list[str]:
    titles = {row: table.segment.header(row).title for row in np.unique(table.rows[first:last]).tolist()}
    passages = zip(table.rows[first:last].tolist(), table.texts(first, last), strict=True)
    return [f"{titles[row]} {text}" if titles[row] else text for row, text in passages]


def _checked(vectors: npt.NDArray[np.float32], n: int, d: int, name: str) -> npt.NDArray[np.float32]:
    if vectors.shape != (n, d):
        raise DimensionMismatchError(f"embedder {name!r} gave vectors of shape {vectors.shape}, expected {(n, d)}")
    if not np.isfinite(vectors).all():
        raise InvalidArgumentError(f"embedder {name!r} gave a vector that is not finite")
    return vectors
