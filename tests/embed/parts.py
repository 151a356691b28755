"""An embedder put together of its parts by hand, so that a test needs nothing of the runtime."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lodex.embed.backbones.backbone import Backbone
from lodex.embed.conventions.templates import render_prompt
from lodex.embed.formats.embedder import EmbedderFolder, read_embedder
from lodex.embed.ragged import Ragged
from lodex.embed.tokens.framing import TokenRow
from lodex.types import TextKind


class Parts:
    """Backbone, tokens and pooling of a folder."""

    def __init__(self, folder: Path, name: str = "") -> None:
        self.folder: EmbedderFolder = read_embedder(folder, name or folder.name)
        self.backbone = Backbone.open(self.folder.source, attention=self.folder.convention.attention)
        self.tokens = self.folder.open_tokens()
        self.pooling = self.folder.open_pooling()

    def rows(self, texts: list[str], kind: TextKind, instruction: str | None = None) -> list[TokenRow]:
        """The rows of texts, none of which fails."""
        rows = self.tokens.encode(texts, render_prompt(self.folder.convention, kind, instruction))
        return [row for row in rows if isinstance(row, TokenRow)]

    @torch.inference_mode()
    def embed(self, texts: list[str], kind: TextKind, instruction: str | None = None) -> Tensor:
        """Their vectors (n, d), all in one batch."""
        batch = Ragged.of(self.rows(texts, kind, instruction))
        hidden = self.backbone.layer_states(batch) if self.pooling.reads_layers else self.backbone.states(batch)
        vectors = self.pooling(hidden, batch)
        return normalize(vectors, dim=1) if self.folder.convention.normalize else vectors
