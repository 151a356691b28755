"""Repairing a store with the builders of its indexes."""

from __future__ import annotations

from collections.abc import Iterator

from lodex.errors import DataLossError, InvalidArgumentError
from lodex.index.build import Builder
from lodex.index.jobs import artefact_path
from lodex.index.repair import Repair, repair_store
from lodex.index.store import Store
from lodex.index.tokenizer import DEFAULT_TOKENIZER, TOKENIZER_FILE, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.service.indexing import index_builder
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.types import Progress


def repair(
    store: Store,
    progress: Progress | None = None,
    models: Models | None = None,
    language_models: LanguageModels | None = None,
) -> tuple[Repair, ...]:
    """`repair_store` with the tokenizers and models that the indexes were built with."""
    known = models or Models(), language_models or LanguageModels()

    def builder_of(name: str) -> Builder:
        try:
            return index_builder(store, name, *known)
        except DataLossError:
            for tokenizer in _tokenizers(store, name):
                return TokensBuilder(tokenizer)
            raise

    return repair_store(store, builder_of, progress)


def _tokenizers(store: Store, name: str) -> Iterator[Tokenizer]:
    """The tokenizer of a stream of which no part is sound: from beside damaged tokens, or the bundled one.

    A fingerprint tells whether it is the one.
    """
    entry = store.snapshot().index(name)
    if entry.kind != TokensBuilder.kind:
        return
    config = entry.config
    for part in entry.parts.values():
        path = artefact_path(store.path, entry.kind, part.task) / TOKENIZER_FILE
        try:
            left = Tokenizer(path.read_text(encoding="utf-8"), config["tokenizer"], config["eos_id"])
        except (OSError, UnicodeDecodeError, InvalidArgumentError):
            continue
        if left.fingerprint == config["fingerprint"]:
            yield left
    if config["tokenizer"] == DEFAULT_TOKENIZER:
        bundled = Tokenizer.load()
        if bundled.fingerprint == config["fingerprint"]:
            yield bundled
