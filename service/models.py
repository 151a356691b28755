"""The embedders of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lodex.config import Limits
from lodex.embed.registry import DEFAULT_ENCODER, PACKAGED, encoder_folder, load_encoder
from lodex.embed.tokens.framing import TokenRow
from lodex.embed.vectors.quantization import Int8Ranges
from lodex.errors import FailedPreconditionError, LodexError, NotFoundError
from lodex.service.call import Call
from lodex.service.embed_queue import EmbeddedRows, EmbedQueue, QueueStatistics
from lodex.service.named_models import NamedModels
from lodex.service.row_encoder import RowEncoder
from lodex.types import Embeddings, EncoderInfo, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder


INT8_RANGES = "int8_ranges.safetensors"
"""What the file of `Int8Ranges` is called in the folder of an embedder."""


@dataclass(frozen=True, slots=True)
class Embedder:
    """A loaded embedder, the queue before it, and the ranges of its int8 vectors, if there are any."""

    encoder: RowEncoder
    queue: EmbedQueue
    int8_ranges: Int8Ranges | None = None

    @property
    def info(self) -> EncoderInfo:
        """Who embeds."""
        return self.encoder.info


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Texts as rows, each or why it has none, and how long that took."""

    rows: Sequence[TokenRow | LodexError]
    tokenize_ns: int


class Models(NamedModels["TextEncoder"]):
    """Embedders by name, each behind a queue of its own."""

    def __init__(
        self,
        folders: Mapping[str, Path] | None = None,
        default: str = DEFAULT_ENCODER,
        *,
        max_queued_tokens: int = Limits().max_queued_tokens,
        int8_ranges: Mapping[str, Path] | None = None,
    ) -> None:
        """`int8_ranges` are files by the name of the embedder; otherwise the one in its folder counts, if any."""
        super().__init__("embedder", load_encoder, tuple(PACKAGED), folders, default, "model")
        for name in int8_ranges or {}:
            self.resolve(name, f"int8_ranges.{name}")
        self._max_queued_tokens = max_queued_tokens
        self._range_files = dict(int8_ranges or {})
        self._embedders: dict[str, Embedder] = {}
        self._making = threading.Lock()

    def load_same(self, wanted: EncoderInfo) -> TextEncoder:
        """The very embedder that an index was built with; FailedPreconditionError where this is not to be had."""
        if wanted.name not in self._sources:
            raise FailedPreconditionError(
                f"the index was built with embedder {wanted.name!r}, and here are only {', '.join(self._sources)}: "
                f"name its folder, as --model-folder {wanted.name}=PATH or models.{wanted.name} in the settings"
            )
        encoder = self.load(wanted.name)
        if encoder.info.fingerprint != wanted.fingerprint:
            raise FailedPreconditionError(
                f"the index was built with another {wanted.name!r} ({wanted.fingerprint}) than the one here "
                f"({encoder.info.fingerprint}): build it again"
            )
        return encoder

    def embedder(self, name: str) -> Embedder:
        """The embedder of a name with its queue; it is read at the first call."""
        encoder = self.load(name)
        with self._making:
            if name not in self._embedders:
                ranges = self._int8_ranges(name)
                queue = EmbedQueue(encoder, max_queued_tokens=self._max_queued_tokens, name=name)
                self._embedders[name] = Embedder(encoder, queue, ranges)
            return self._embedders[name]

    def _int8_ranges(self, name: str) -> Int8Ranges | None:
        path = self._range_files.get(name)
        if path is None:
            path = encoder_folder(self._sources[name]) / INT8_RANGES
            if not path.is_file():
                return None
        elif not path.is_file():
            raise NotFoundError(f"no int8 ranges of embedder {name!r} at {path}")
        return Int8Ranges.open(path)

    def prepare(self, name: str) -> None:
        """Read an embedder, and let it find the size of its batches on this machine."""
        self.embedder(name).encoder.tune()

    def statistics(self, name: str) -> QueueStatistics:
        """What waits for an embedder and what it has done."""
        with self._making:
            known = self._embedders.get(name)
        return known.queue.statistics if known else QueueStatistics()

    def _same_embedder(self, wanted: EncoderInfo) -> Embedder:
        self.load_same(wanted)
        return self.embedder(wanted.name)

    async def open(self, name: str, call: Call) -> Embedder:
        """`embedder`, on the model's own thread while it is not loaded."""
        found = self._embedders.get(name)
        return found if found is not None else await call.run(self.embedder, name, model=name)

    async def embed_queries(self, encoder: EncoderInfo, queries: Sequence[str], call: Call) -> Embeddings:
        """Embed queries by the very embedder that an index was built with; the first that cannot be read is raised."""
        embedder = await call.run(self._same_embedder, encoder, model=encoder.name)
        tokenized = await tokenize(embedder, queries, TextKind.QUERY, call)
        rows: list[TokenRow] = []
        for row in tokenized.rows:
            if isinstance(row, LodexError):
                raise row
            rows.append(row)
        embedded = await call.embed(embedder.queue, rows)
        return embeddings_of(embedder.info, rows, embedded)

    def close(self) -> None:
        """End what waits for an embedder with UnavailableError, and wait for what is at work."""
        for embedder in list(self._embedders.values()):
            embedder.queue.close()


async def tokenize(
    embedder: Embedder, texts: Sequence[str], kind: TextKind | None, call: Call, instruction: str | None = None
) -> Tokenized:
    """Make rows of texts, beside whatever the model is doing."""

    def work() -> Tokenized:
        begun_ns = time.perf_counter_ns()
        rows = embedder.encoder.tokenize(texts, kind, instruction=instruction)
        return Tokenized(rows, time.perf_counter_ns() - begun_ns)

    return await call.run(work)


def embeddings_of(info: EncoderInfo, rows: Sequence[TokenRow], embedded: EmbeddedRows) -> Embeddings:
    """The vectors of rows with what was read of the texts."""
    counts = np.array([len(row.ids) for row in rows], np.int64)
    return Embeddings(
        vectors=embedded.vectors if rows else np.empty((0, info.dimension), np.float32),
        truncated=np.array([row.truncated for row in rows], np.bool_),
        tokens=int(counts.sum()),
        fingerprint=info.fingerprint,
        token_counts=counts,
    )
