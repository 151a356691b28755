"""Building a dense index: the passages of a segment, embedded, in a file of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lodex.errors import DimensionMismatchError, InvalidArgumentError
from lodex.index.dense_ivf import LISTS, build_lists
from lodex.index.dense_part import VECTORS
from lodex.index.jobs import TaskResult
from lodex.index.passages import PassageTable
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.types import Embeddings, EncoderInfo, Progress

KIND = "dense"
# Below this many vectors a segment is scanned whole: brute force is exact and as fast (FAISS's own guidance).
IVF_FROM = 50_000
_BLOCK_PASSAGES = 4096
_BLOCK_BYTES = 16 << 20


class EmbedPassages(Protocol):
    """Texts to vectors in their order; `advance` is told how many more are done."""

    def __call__(self, texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
        """Embed each text."""
        ...


class DenseBuilder:
    """Embeds every passage of a segment; what is embedded is the title, a space and the passage, or the passage alone.

    That is the text of the BEIR protocol (arXiv:2104.08663). Memory is bounded by one block of passages and its
    vectors; a segment of `ivf_from` passages or more also gets inverted lists, whose codes are built in memory.
    """

    kind = KIND

    def __init__(self, chunking: str, encoder: EncoderInfo, embed: EmbedPassages, *, ivf_from: int = IVF_FROM) -> None:
        self.depends_on: tuple[str, ...] = (chunking,)
        self.config: Mapping[str, Any] = {
            "chunking": chunking,
            "encoder": asdict(encoder),
            "ivf_from": ivf_from,
            "metric": "inner_product",
            "text": "title passage",
        }
        self._encoder = encoder
        self._embed = embed
        self._ivf_from = max(ivf_from, 2)

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write `vectors.f32`, and `lists.faiss` for a large segment."""
        table = PassageTable(inputs[0], segment)
        n, d = table.num_passages, self._encoder.dimension
        truncated = tokens = 0
        largest_norm = 0.0
        progress.start("embedding", n, "passages")
        with (out / VECTORS).open("wb") as file:
            for first, last in _blocks(table):
                embeddings = self._embed(_texts(table, first, last), progress.advance)
                vectors = _checked(embeddings.vectors, last - first, d, self._encoder.name)
                file.write(vectors.astype("<f4").tobytes())
                truncated += int(embeddings.truncated.sum())
                tokens += embeddings.tokens
                largest_norm = max(largest_norm, float(np.linalg.norm(vectors, axis=1).max()))
        progress.finish()
        details: dict[str, Any] = {"truncated": truncated, "tokens": tokens, "largest_norm": largest_norm}
        if n >= self._ivf_from:
            progress.start("inverted lists", None, "vectors")
            details |= build_lists(np.memmap(out / VECTORS, "<f4", "r", shape=(n, d)), out / LISTS)
            progress.finish()
        return TaskResult(rows=n, details=details)


def read_encoder(config: Mapping[str, Any]) -> EncoderInfo:
    """The embedder that a dense index's configuration records."""
    return EncoderInfo(**config["encoder"])


def _blocks(table: PassageTable) -> Iterator[tuple[int, int]]:
    """Runs [first, last) of passages, of at most so many passages and, unless one alone has more, so many bytes."""
    ends = np.cumsum(table.ends - table.begins, dtype=np.uint64)
    first = done = 0
    while first < table.num_passages:
        last = int(ends.searchsorted(np.uint64(done + _BLOCK_BYTES), "right"))
        last = min(max(last, first + 1), first + _BLOCK_PASSAGES)
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
