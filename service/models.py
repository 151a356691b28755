"""The embedders of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.embed.registry import DEFAULT_ENCODER, PACKAGED, load_encoder
from lodex.errors import FailedPreconditionError
from lodex.service.call import Call
from lodex.service.named_models import NamedModels
from lodex.types import Embeddings, EncoderInfo, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder


class Models(NamedModels["TextEncoder"]):
    """Embedders by name, each at work on a thread of its own."""

    def __init__(self, folders: Mapping[str, Path] | None = None, default: str = DEFAULT_ENCODER) -> None:
        super().__init__("embedder", load_encoder, tuple(PACKAGED), folders, default, "model")

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

    async def embed(self, name: str, texts: Sequence[str], kind: TextKind, call: Call) -> Embeddings:
        """Embed texts on the model's own thread; between batches of texts it is asked whether to go on."""
        return await call.run(lambda: _embed(self.load(name), texts, kind, call), model=name)

    async def embed_queries(self, encoder: EncoderInfo, queries: Sequence[str], call: Call) -> Embeddings:
        """Embed queries by the very embedder that an index was built with."""
        return await call.run(
            lambda: _embed(self.load_same(encoder), queries, TextKind.QUERY, call), model=encoder.name
        )


def _embed(encoder: TextEncoder, texts: Sequence[str], kind: TextKind, call: Call) -> Embeddings:
    return encoder.embed(texts, kind, lambda done: call.check())
