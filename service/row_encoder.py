"""What the service asks of an embedder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lodex.embed.conventions.convention import Convention
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import LodexError
from lodex.service.embed_queue import EmbedsRows
from lodex.types import EncoderInfo, TextKind


class RowEncoder(EmbedsRows, Protocol):
    """An embedder in two steps, so that texts of many requests may share a forward. Threads may share it.

    `lodex.embed.encoder.TextEncoder` is one.
    """

    @property
    def info(self) -> EncoderInfo:
        """Who embeds."""
        ...

    @property
    def convention(self) -> Convention:
        """How it wants its texts."""
        ...

    @property
    def precision(self) -> str:
        """What it computes in: "float32" or "bfloat16"."""
        ...

    def tune(self) -> int:
        """Find the `max_batch_tokens` of this machine, once."""
        ...

    def tokenize(
        self, texts: Sequence[str], kind: TextKind | None, *, instruction: str | None = None
    ) -> Sequence[TokenRow | LodexError]:
        """A row for each text, or why it has none. `kind` None: the text as it stands, without any prompt.

        InvalidArgumentError for an instruction where the model takes none.
        """
        ...
