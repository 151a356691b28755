"""Embedders that index builds share with requests: by turns, a few texts each, on the one thread of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np

from lodex.service.models import Models
from lodex.types import Embeddings, EncoderInfo

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder

ThreadOf = Callable[[str], ThreadPoolExecutor]
_TEXTS_A_TURN = 8
"""A query waits for no more than so many passages."""


class QueuedModels:
    """The embedders as index builds see them: those of `models`, by turns once `queue_on` has said on which threads.

    A text has one vector, whatever it is embedded with, so indexes are the same either way.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._thread_of: ThreadOf | None = None

    def queue_on(self, thread_of: ThreadOf) -> None:
        """Take turns with the requests of a server; `thread_of` gives the thread of a model by its name."""
        self._thread_of = thread_of

    def resolve(self, name: str, path: str) -> str:
        """As `Models.resolve`."""
        return self._models.resolve(name, path)

    def load(self, name: str) -> TextEncoder:
        """As `Models.load`."""
        return self._queued(name, lambda: self._models.load(name))

    def load_same(self, wanted: EncoderInfo) -> TextEncoder:
        """As `Models.load_same`."""
        return self._queued(wanted.name, lambda: self._models.load_same(wanted))

    def _queued(self, name: str, load: Callable[[], TextEncoder]) -> TextEncoder:
        if self._thread_of is None:
            return load()
        executor = self._thread_of(name)
        return cast("TextEncoder", _QueuedEncoder(executor.submit(load).result(), executor))


class _QueuedEncoder:
    """What builders ask of an embedder."""

    def __init__(self, encoder: TextEncoder, executor: ThreadPoolExecutor) -> None:
        self.info = encoder.info
        self._encoder = encoder
        self._executor = executor

    def embed_passages(self, texts: Sequence[str], advance: Callable[[int], None] = lambda done: None) -> Embeddings:
        """Embed a few texts at a time; `advance` is called in this thread, and may raise."""
        if not texts:
            return self._encoder.embed_passages(texts)
        parts = []
        for first in range(0, len(texts), _TEXTS_A_TURN):
            some = texts[first : first + _TEXTS_A_TURN]
            parts.append(self._executor.submit(self._encoder.embed_passages, some).result())
            advance(len(some))
        return Embeddings(
            vectors=np.concatenate([part.vectors for part in parts]),
            truncated=np.concatenate([part.truncated for part in parts]),
            tokens=sum(part.tokens for part in parts),
            fingerprint=self.info.fingerprint,
        )
