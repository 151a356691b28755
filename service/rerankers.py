"""The rerankers of the server: which there are, loaded when first needed, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.rerank.registry import DEFAULT_RERANKER, PACKAGED, load_reranker

if TYPE_CHECKING:
    from lodex.rerank.first import FirstReranker


class Rerankers:
    """Rerankers by name: those that are packaged, and the folders that the operator names.

    A request never makes the server open a path: it names one of these.
    """

    def __init__(self, folders: Mapping[str, Path] | None = None, default: str = DEFAULT_RERANKER) -> None:
        self._sources: dict[str, str | Path] = {name: name for name in PACKAGED} | dict(folders or {})
        if default not in self._sources:
            raise InvalidArgumentError(f"no reranker {default!r}; there are {', '.join(self._sources)}", "reranker")
        self.default = default
        self._loaded: dict[str, FirstReranker] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The rerankers that may be asked for, loaded or not."""
        return tuple(self._sources)

    def loaded(self, name: str) -> FirstReranker | None:
        """A reranker, None while it is not loaded."""
        return self._loaded.get(name)

    def resolve(self, name: str, path: str) -> str:
        """The name itself, or the default for ""; NotFoundError lists those there are."""
        if not name:
            return self.default
        if name not in self._sources:
            raise NotFoundError(f"{path}: no reranker {name!r} on this server; there are {', '.join(self._sources)}")
        return name

    def load(self, name: str) -> FirstReranker:
        """The reranker of a name, which is read at the first call."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_reranker(self._sources[name])
            return self._loaded[name]
