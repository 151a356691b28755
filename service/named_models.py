"""Models by name: those that are packaged and the folders that the operator names, loaded when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from lodex.errors import InvalidArgumentError, NotFoundError

M = TypeVar("M")

# One for all kinds: the first model of a kind imports what runs it, and two threads that import parts of transformers
# at once find its modules half made.
_loading = threading.RLock()


class NamedModels(Generic[M]):
    """Models of one kind, called `kind` in errors. A request never makes the server open a path: it names one."""

    def __init__(
        self,
        kind: str,
        load: Callable[[str | Path], M],
        packaged: Sequence[str],
        folders: Mapping[str, Path] | None,
        default: str,
        setting: str,
    ) -> None:
        """`setting` is the one that names the default; InvalidArgumentError where that is no model."""
        self._kind = kind
        self._load = load
        self._sources: dict[str, str | Path] = {name: name for name in packaged} | dict(folders or {})
        if default not in self._sources:
            raise InvalidArgumentError(f"no {kind} {default!r}; there are {', '.join(self._sources)}", setting)
        self.default = default
        self._loaded: dict[str, M] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The models that may be asked for, loaded or not."""
        return tuple(self._sources)

    def loaded(self, name: str) -> M | None:
        """A model, None while it is not loaded."""
        return self._loaded.get(name)

    def resolve(self, name: str, path: str) -> str:
        """The name itself, or the default for ""; NotFoundError lists those there are."""
        if not name:
            return self.default
        if name not in self._sources:
            raise NotFoundError(
                f"{path}: no {self._kind} {name!r} on this server; there are {', '.join(self._sources)}"
            )
        return name

    def load(self, name: str) -> M:
        """The model of a name, which is read at the first call."""
        found = self._loaded.get(name)
        if found is None:
            with _loading:
                found = self._loaded.get(name)
                if found is None:
                    found = self._loaded[name] = self._load(self._sources[name])
        return found
