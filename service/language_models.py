"""The language models of the server: which there are, loaded when first needed, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.lm.registry import DEFAULT_LANGUAGE_MODEL, PACKAGED, load_language_model
from lodex.types import LanguageModelInfo

if TYPE_CHECKING:
    from lodex.lm.model import LanguageModel


class LanguageModels:
    """Language models by name: those that are packaged, and the folders that the operator names.

    A request never makes the server open a path: it names one of these.
    """

    def __init__(self, folders: Mapping[str, Path] | None = None, default: str = DEFAULT_LANGUAGE_MODEL) -> None:
        self._sources: dict[str, str | Path] = {name: name for name in PACKAGED} | dict(folders or {})
        if default not in self._sources:
            raise InvalidArgumentError(
                f"no language model {default!r}; there are {', '.join(self._sources)}", "language_model"
            )
        self.default = default
        self._loaded: dict[str, LanguageModel] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The language models that may be asked for, loaded or not."""
        return tuple(self._sources)

    def loaded(self, name: str) -> LanguageModelInfo | None:
        """What is known of a language model, None while it is not loaded."""
        model = self._loaded.get(name)
        return model.info if model else None

    def resolve(self, name: str, path: str) -> str:
        """The name itself, or the default for ""; NotFoundError lists those there are."""
        if not name:
            return self.default
        if name not in self._sources:
            raise NotFoundError(
                f"{path}: no language model {name!r} on this server; there are {', '.join(self._sources)}"
            )
        return name

    def load(self, name: str) -> LanguageModel:
        """The language model of a name, which is read at the first call."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_language_model(self._sources[name])
            return self._loaded[name]
