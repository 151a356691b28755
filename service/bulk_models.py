"""The embedders as index builds see them: in the same queue as the requests of a server, behind them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from lodex.embed.conventions.convention import Convention
from lodex.embed.runtime.batching import plan_batches
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import LodexError, ResourceExhaustedError
from lodex.service.embed_queue import EmbeddedRows, Priority
from lodex.service.models import Embedder, Models, embeddings_of
from lodex.types import Embeddings, EncoderInfo, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder

# For each batch in the model, one waits.
_BATCHES_AHEAD = 2
_FULL_S = 0.05


class BulkModels:
    """Embedders by name, whose texts are embedded as bulk.

    A text has one vector, whatever it is embedded with, so indexes are the same either way.
    """

    def __init__(self, models: Models) -> None:
        self._models = models

    def resolve(self, name: str, path: str) -> str:
        """As `Models.resolve`."""
        return self._models.resolve(name, path)

    def load(self, name: str) -> TextEncoder:
        """As `Models.load`."""
        return cast("TextEncoder", BulkEncoder(self._models.embedder(name)))

    def load_same(self, wanted: EncoderInfo) -> TextEncoder:
        """As `Models.load_same`."""
        self._models.load_same(wanted)
        return self.load(wanted.name)


class BulkEncoder:
    """What builders ask of a `TextEncoder`: texts to vectors, in the thread that asks, as others leave room."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def info(self) -> EncoderInfo:
        """Who embeds."""
        return self._embedder.info

    @property
    def convention(self) -> Convention:
        """How it wants its texts."""
        return self._embedder.encoder.convention

    @property
    def precision(self) -> str:
        """What it computes in."""
        return self._embedder.encoder.precision

    def tokenize(
        self, texts: Sequence[str], kind: TextKind | None, *, instruction: str | None = None
    ) -> Sequence[TokenRow | LodexError]:
        """What `embed_rows` reads, or what is wrong with a text."""
        return self._embedder.encoder.tokenize(texts, kind, instruction=instruction)

    def embed_passages(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] = lambda done: None,
        *,
        instruction: str | None = None,
    ) -> Embeddings:
        """`embed` for passages."""
        return self.embed(texts, TextKind.PASSAGE, advance, instruction=instruction)

    def embed(
        self,
        texts: Sequence[str],
        kind: TextKind,
        advance: Callable[[int], None] = lambda done: None,
        *,
        instruction: str | None = None,
    ) -> Embeddings:
        """Embed each text; the first that cannot be embedded raises its error. `advance` as in `embed_rows`."""
        rows: list[TokenRow] = []
        for row in self.tokenize(texts, kind, instruction=instruction):
            if isinstance(row, LodexError):
                raise row
            rows.append(row)
        return embeddings_of(self.info, rows, EmbeddedRows(self.embed_rows(rows, advance), 0, 0))

    def embed_rows(
        self, rows: Sequence[TokenRow], advance: Callable[[int], None] = lambda done: None
    ) -> npt.NDArray[np.float32]:
        """The vectors (n, d) of rows; `advance` is told in this thread how many more are done, and may raise.

        A few batches are ahead of the model, and no more.
        """
        encoder = self._embedder.encoder
        vectors = np.empty((len(rows), self.info.dimension), np.float32)
        begun: deque[tuple[list[int], Future[EmbeddedRows]]] = deque()

        def finish() -> None:
            batch, future = begun.popleft()
            vectors[batch] = future.result().vectors
            advance(len(batch))

        try:
            for batch in plan_batches([len(row.ids) for row in rows], encoder.max_batch_tokens):
                begun.append((batch, self._submit([rows[i] for i in batch])))
                if len(begun) >= _BATCHES_AHEAD * encoder.batches_at_once:
                    finish()
            while begun:
                finish()
        finally:
            for _, future in begun:
                future.cancel()
        return vectors

    def _submit(self, rows: Sequence[TokenRow]) -> Future[EmbeddedRows]:
        while True:
            try:
                return self._embedder.queue.submit(rows, priority=Priority.BULK)
            except ResourceExhaustedError:
                time.sleep(_FULL_S)  # other bulk is before it, and leaves the queue as it is embedded
