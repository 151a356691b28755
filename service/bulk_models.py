"""The embedders as index builds see them: in the same queue as the requests of a server, behind them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, cast

import numpy as np

from lodex.embed.tokens.framing import TokenRow
from lodex.errors import LodexError, ResourceExhaustedError
from lodex.service.embed_queue import EmbeddedRows, Priority
from lodex.service.models import Embedder, Models, embeddings_of
from lodex.types import Embeddings, EncoderInfo, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder

# So many batches are tokenized before they are needed, and wait for the model.
_BATCHES_AHEAD = 2
# Texts are tokenized so many at a time.
_TEXTS_AT_ONCE = 64
_FULL_S = 0.05


class BulkModels:
    """Embedders by name, whose passages are embedded as bulk.

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
    """What builders ask of an embedder: texts to vectors, in the thread that asks, as others leave room."""

    def __init__(self, embedder: Embedder) -> None:
        self.info = embedder.info
        self._embedder = embedder

    def embed_passages(self, texts: Sequence[str], advance: Callable[[int], None] = lambda done: None) -> Embeddings:
        """`embed` for passages."""
        return self.embed(texts, TextKind.PASSAGE, advance)

    def embed(
        self, texts: Sequence[str], kind: TextKind, advance: Callable[[int], None] = lambda done: None
    ) -> Embeddings:
        """Embed each text; `advance` is told in this thread how many more are done, and may raise.

        A text that cannot be read raises its error. A few batches are ahead of the model, and no more.
        """
        rows: list[TokenRow] = []
        vectors = np.empty((len(texts), self.info.dimension), np.float32)
        begun: deque[tuple[int, int, Future[EmbeddedRows]]] = deque()
        ahead = 0
        most = _BATCHES_AHEAD * self._embedder.encoder.max_batch_tokens * self._embedder.encoder.batches_at_once

        def finish() -> int:
            first, last, future = begun.popleft()
            vectors[first:last] = future.result().vectors
            advance(last - first)
            return sum(len(row.ids) for row in rows[first:last])

        try:
            for some in self._rows(texts, kind):
                first = len(rows)
                rows += some
                ahead += sum(len(row.ids) for row in some)
                while begun and ahead > most:
                    ahead -= finish()
                begun.append((first, len(rows), self._submit(some)))
            while begun:
                finish()
        finally:
            for _, _, future in begun:
                future.cancel()
        return embeddings_of(self.info, rows, EmbeddedRows(vectors, 0, 0))

    def _rows(self, texts: Sequence[str], kind: TextKind) -> Iterator[list[TokenRow]]:
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            some: list[TokenRow] = []
            for row in self._embedder.encoder.tokenize(texts[first : first + _TEXTS_AT_ONCE], kind):
                if isinstance(row, LodexError):
                    raise row
                some.append(row)
            yield some

    def _submit(self, rows: Sequence[TokenRow]) -> Future[EmbeddedRows]:
        while True:
            try:
                return self._embedder.queue.submit(rows, priority=Priority.BULK)
            except ResourceExhaustedError:
                time.sleep(_FULL_S)  # other bulk is before it, and leaves the queue as it is embedded
