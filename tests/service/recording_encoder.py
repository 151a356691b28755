"""An embedder that tests can hold up, and that keeps the batches it was given."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lodex.embed.conventions.convention import Convention
from lodex.embed.tokens.framing import TokenRow
from lodex.embed.vectors.quantization import Int8Ranges
from lodex.errors import InvalidArgumentError, LodexError
from lodex.service.embed_queue import EmbedQueue, Vectors
from lodex.service.models import Embedder, Models
from lodex.types import EncoderInfo, TextKind


def row(first: int, length: int = 1, truncated: bool = False) -> TokenRow:
    """A row of `length` tokens that is known by its first one."""
    return TokenRow([first] + [0] * (length - 1), 0, length, truncated)


class RecordingEncoder:
    """A word is a token, and a vector is (first token, tokens, 3, 4, ...), not normalised.

    While `gate` is closed, batches that have begun wait. `batches` are the first tokens of the rows of each, in the
    order in which they began; each takes `pause_s`. A row that begins with `poison` fails its batch, one that begins
    with `broken` has a vector that is not finite; a text "unreadable" has no row.
    """

    def __init__(
        self, max_batch_tokens: int = 8, batches_at_once: int = 1, convention: Convention | None = None
    ) -> None:
        self.max_batch_tokens = max_batch_tokens
        self.batches_at_once = batches_at_once
        self.convention = convention or Convention(pooling="mean", max_tokens=6, normalize=False)
        self.info = EncoderInfo("recording", "f00d", 10, self.convention.max_tokens, self.convention.normalize)
        self.precision = "float32"
        self.batches: list[list[int]] = []
        self.tokens: list[int] = []
        self.asked: list[tuple[tuple[str, ...], TextKind | None, str | None]] = []
        self.poison = self.broken = -1
        self.pause_s = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self._begun = threading.Condition()

    def tokenize(
        self, texts: Sequence[str], kind: TextKind | None, *, instruction: str | None = None
    ) -> list[TokenRow | LodexError]:
        """A token for each word, its number: 7 for "7", the length of any other."""
        self.asked.append((tuple(texts), kind, instruction))
        return [self._row(text) for text in texts]

    def _row(self, text: str) -> TokenRow | LodexError:
        if text == "unreadable":
            return InvalidArgumentError("the text leaves no token to pool")
        ids = [int(word) if word.isdigit() else len(word) for word in text.split()] or [0]
        cut = ids[: self.info.max_tokens]
        return TokenRow(cut, 0, len(cut), len(cut) < len(ids))

    def embed_tokens(self, rows: Sequence[TokenRow]) -> Vectors:
        """The vectors of rows, once the gate is open."""
        with self._begun:
            self.batches.append([int(row.ids[0]) for row in rows])
            self.tokens.append(sum(len(row.ids) for row in rows))
            self._begun.notify_all()
        assert self.gate.wait(20)
        time.sleep(self.pause_s)
        if self.poison in self.batches[-1]:
            raise ZeroDivisionError("poison")
        vectors = np.empty((len(rows), self.info.dimension), np.float32)
        vectors[:] = np.arange(1, self.info.dimension + 1)
        vectors[:, 0] = [row.ids[0] for row in rows]
        vectors[:, 1] = [len(row.ids) for row in rows]
        vectors[[row.ids[0] == self.broken for row in rows], 2] = np.nan
        return vectors

    def tune(self) -> int:
        """Nothing to find."""
        return self.max_batch_tokens

    def wait_for(self, batches: int) -> None:
        """Until so many batches have begun."""
        with self._begun:
            assert self._begun.wait_for(lambda: len(self.batches) >= batches, 20)


class RecordingModels(Models):
    """Embedders of which the default one records; `embedder` waits for a test to open its gate."""

    def __init__(
        self, encoder: RecordingEncoder, ranges: Int8Ranges | None = None, max_queued_tokens: int = 10**6
    ) -> None:
        super().__init__()
        queue = EmbedQueue(encoder, max_queued_tokens=max_queued_tokens, name=self.default)
        self._embedders[self.default] = Embedder(encoder, queue, ranges)

    def embedder(self, name: str) -> Embedder:
        """The one that records."""
        return self._embedders[name]

    def loaded(self, name: str) -> Any:
        """The one that records."""
        return self._embedders[name].encoder


def eventually(claim: object) -> None:
    """Wait until a claim holds, a function without arguments."""
    deadline = time.monotonic() + 20
    while not claim():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)
