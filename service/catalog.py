"""The stores by name, each request's pinned view of one, and the indexes that are open."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lodex.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from lodex.index.manifest import IndexEntry
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.service.call import note_read
from lodex.v1 import common_pb2

T = TypeVar("T")
_VERBS = {"tokens": "suffix"}
"""What builds an index of a kind, where that is not called after it."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class View:
    """A store as one request reads it: its name and one version, whatever is published meanwhile."""

    store: str
    snapshot: Snapshot

    def provenance(self, index: str = "") -> common_pb2.Provenance:
        """What a reply says it was read from: an index with the segments it covers, or the documents themselves."""
        manifest = self.snapshot.manifest
        total = len(manifest.segments)
        return common_pb2.Provenance(
            store=self.store,
            index=index,
            version=manifest.version,
            segments_ok=len(manifest.indexes[index].parts) if index else total,
            segments_total=total,
        )

    def index(self, name: str) -> IndexEntry:
        """An index by its name; NotFoundError lists those of the store."""
        try:
            return self.snapshot.index(name)
        except NotFoundError as error:
            raise NotFoundError(f"store {self.store!r}: {error}") from error

    def choose(self, kind: str, wanted: str, target: str = "target") -> str:
        """The name of an index of a kind: the one wanted, else the only one, else the one called after its kind.

        Where an alias is wanted, or is called after the kind, the name of what it stands for.

        `target` is the field of the request that says it. Raises NotFoundError for a name that is not there,
        FailedPreconditionError where no index of the kind is built, and InvalidArgumentError where `wanted` is of
        another kind or "" could mean several.
        """
        if wanted:
            if self.index(wanted).kind != kind:
                raise InvalidArgumentError(
                    f"index {wanted!r} of store {self.store!r} is of kind {self.index(wanted).kind!r}, "
                    f"this needs one of kind {kind!r}",
                    f"{target}.index",
                )
            return self.snapshot.resolve(wanted)
        names = sorted(name for name, entry in self.snapshot.manifest.indexes.items() if entry.kind == kind)
        if not names:
            raise FailedPreconditionError(
                f"store {self.store!r} has no index of kind {kind!r} at version {self.snapshot.version}; "
                f"build one with: lodex index {_VERBS.get(kind, kind)} STORE"
            )
        usual = self.snapshot.resolve(kind)
        if len(names) > 1 and usual not in names:
            raise InvalidArgumentError(
                f"store {self.store!r} has several indexes of kind {kind!r}: name one of {', '.join(names)}",
                f"{target}.index",
            )
        return usual if usual in names else names[0]


_Version = tuple[int, frozenset[str]]
"""A version, and what of the store was quarantined when it was opened."""


@dataclass
class _Opened:
    """An index as it is open: at the newest version asked for, and at one older version that a request pinned."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    newest: tuple[_Version, Any] | None = None
    pinned: tuple[_Version, Any] | None = None


class Catalog:
    """The stores that are served, by name.

    Every view follows the newest version that is published when its request arrives. Indexes are opened once for each
    version; when a newer one is opened the older is let go, and lives on only in the requests that still read it.
    """

    def __init__(self, stores: Mapping[str, Store], default: str = "") -> None:
        """`default` is the store that an empty name stands for, if any."""
        for name in stores:
            check_name(name, "stores")
        self.stores = dict(sorted(stores.items()))
        self._default = default
        self._opened: dict[tuple[str, str], _Opened] = {}
        self._lock = threading.Lock()

    def view(
        self, target: common_pb2.StoreRef | common_pb2.IndexRef, path: str = "target", version: int | None = None
    ) -> View:
        """Pin `version`, else the one that a request names, else the newest.

        `path` is the field of the request that names store and version.
        """
        name = target.store or self._default
        check_name(name, f"{path}.store")
        if version is None and target.HasField("version"):
            version = target.version
        if version is not None and version < 1:
            raise InvalidArgumentError(f"versions begin at 1, got {version}", f"{path}.version")
        store = self.require(name, f"{path}.store")
        snapshot = store.snapshot(version)
        note_read(store, snapshot.version, version is not None or store.is_pinned)
        return View(name, snapshot)

    def require(self, name: str, path: str = "store") -> Store:
        """A store by its name, for those who write it; NotFoundError."""
        name = name or self._default
        check_name(name, path)
        store = self.stores.get(name)
        if store is None:
            raise NotFoundError(f"no store {name!r} on this server; there are: {', '.join(self.stores) or 'none'}")
        return store

    def resolve(self, name: str) -> str:
        """The name of the store that an empty name stands for, or the name itself."""
        return name or self._default

    def add(self, name: str, store: Store) -> None:
        """Serve a further store; AlreadyExistsError where the name is taken."""
        check_name(name, "store")
        with self._lock:
            if name in self.stores:
                raise AlreadyExistsError(f"there is a store {name!r} on this server already")
            # Replaced rather than changed: requests go over it meanwhile.
            self.stores = dict(sorted({**self.stores, name: store}.items()))

    def remove(self, name: str) -> None:
        """Serve a store no longer; requests that read it end as they can."""
        with self._lock:
            self.stores = {known: store for known, store in self.stores.items() if known != name}
            self._opened = {key: opened for key, opened in self._opened.items() if key[0] != name}

    def open(self, view: View, index: str, opener: Callable[[Snapshot, str], T]) -> T:
        """The index of a view, opened by `opener` unless it is open."""
        with self._lock:
            opened = self._opened.setdefault((view.store, index), _Opened())
        # What was quarantined since may be in what is open, and what was repaired is not.
        version = (view.snapshot.version, view.snapshot.quarantined)
        with opened.lock:
            for slot in (opened.newest, opened.pinned):
                if slot is not None and slot[0] == version:
                    value: T = slot[1]
                    return value
            value = opener(view.snapshot, index)
            if opened.newest is None or version[0] >= opened.newest[0][0]:
                opened.newest = (version, value)
            else:
                opened.pinned = (version, value)
            return value


def check_name(name: str, path: str) -> None:
    """InvalidArgumentError unless `name` has the form of all names."""
    if not name:
        raise InvalidArgumentError(f"{path} is required", path)
    if not NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"{name[:80]!r} is no name: names are 1 to 63 of a-z, 0-9 and '-', a letter first", path
        )
