"""The embedders of the server: which there are, loaded when first needed, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.embed.registry import DEFAULT_ENCODER, PACKAGED, load_encoder
from lodex.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from lodex.service.call import Call
from lodex.types import Embeddings, EncoderInfo, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder


class Models:
    """Embedders by name: those that are packaged, and the folders that the operator names.

    A request never makes the server open a path: it names one of these.
    """

    def __init__(self, folders: Mapping[str, Path] | None = None, default: str = DEFAULT_ENCODER) -> None:
        self._sources: dict[str, str | Path] = {name: name for name in PACKAGED} | dict(folders or {})
        if default not in self._sources:
            raise InvalidArgumentError(f"no embedder {default!r}; there are {', '.join(self._sources)}", "model")
        self.default = default
        self._loaded: dict[str, TextEncoder] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The embedders that may be asked for, loaded or not."""
        return tuple(self._sources)

    def loaded(self, name: str) -> EncoderInfo | None:
        """What is known of an embedder, None while it is not loaded."""
        encoder = self._loaded.get(name)
        return encoder.info if encoder else None

    def resolve(self, name: str, path: str) -> str:
        """The name itself, or the default for ""; NotFoundError lists those there are."""
        if not name:
            return self.default
        if name not in self._sources:
            raise NotFoundError(f"{path}: no embedder {name!r} on this server; there are {', '.join(self._sources)}")
        return name

    def load(self, name: str) -> TextEncoder:
        """The embedder of a name, which is read at the first call."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_encoder(self._sources[name])
            return self._loaded[name]

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
