"""What the service asks of an embedder, and today's embedders seen so."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lodex.embed.conventions.convention import Convention
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InvalidArgumentError, LodexError
from lodex.service.embed_queue import EmbedsRows, Vectors
from lodex.types import EncoderInfo, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder


class RowEncoder(EmbedsRows, Protocol):
    """An embedder in two steps, so that texts of many requests may share a forward. Threads may share it."""

    info: EncoderInfo
    convention: Convention

    def tokenize(
        self, texts: Sequence[str], kind: TextKind | None, *, instruction: str | None = None
    ) -> Sequence[TokenRow | LodexError]:
        """A row for each text, or why it has none. `kind` None: the text as it stands, without any prompt.

        InvalidArgumentError for an instruction where the model takes none.
        """
        ...


class EncoderOfToday:
    """A `TextEncoder` that embeds texts only, as a `RowEncoder`: by the steps of its own `embed`."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder: Any = encoder
        self.info = encoder.info
        self.convention = Convention(pooling="mean", max_tokens=encoder.info.max_tokens)
        is_cpu = self._encoder._device.type == "cpu"
        self.batches_at_once: int = self._encoder._workers.size if is_cpu else 1
        self.max_batch_tokens = 1024 if is_cpu else 16_384
        skipped: dict[TextKind, int] = getattr(encoder, "_skipped", {})
        self._skipped: dict[TextKind | None, int] = {kind: skipped.get(kind, 0) for kind in TextKind}

    def tokenize(
        self, texts: Sequence[str], kind: TextKind | None, *, instruction: str | None = None
    ) -> list[TokenRow | LodexError]:
        """A row for each text."""
        if instruction is not None:
            raise InvalidArgumentError(f"embedder {self.info.name!r} takes no instruction", "instruction")
        prompt = self._encoder._prompts[kind] if kind else ""
        ids, truncated = self._encoder._tokens.encode([prompt + text for text in texts])
        skipped = self._skipped.get(kind, 0)
        return [
            TokenRow(row, min(skipped, len(row) - 1), len(row), cut) for row, cut in zip(ids, truncated, strict=True)
        ]

    def embed_tokens(self, rows: Sequence[TokenRow]) -> Vectors:
        """The vectors of rows, those of one length together."""
        batches: dict[tuple[int, TextKind], list[int]] = {}
        for i, row in enumerate(rows):
            batches.setdefault((len(row.ids), self._kind_of(row)), []).append(i)
        vectors = np.empty((len(rows), self.info.dimension), np.float32)
        jobs = ((kind, [list(rows[i].ids) for i in batch]) for (_, kind), batch in batches.items())
        with closing(self._encoder._workers.map(self._encoder._forward, jobs)) as results:
            for batch, result in zip(batches.values(), results, strict=True):
                vectors[batch] = result
        return vectors

    def _kind_of(self, row: TokenRow) -> TextKind:
        """A kind of text of which as much is pooled; the model does not know kinds otherwise."""
        skipped = min(self._skipped[TextKind.QUERY], len(row.ids) - 1)
        return TextKind.QUERY if row.pool_begin == skipped else TextKind.PASSAGE


def row_encoder(encoder: TextEncoder) -> RowEncoder:
    """An embedder as the service uses it."""
    return EncoderOfToday(encoder)
