"""Who may write what, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lodex.config import ServeSettings
from lodex.errors import FailedPreconditionError, NotFoundError
from lodex.index.files import SyncError
from lodex.index.store import Store
from lodex.service.catalog import Catalog
from lodex.v1 import common_pb2

Listener = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """What clients may write: nothing, or the stores that are served and further ones under `store_root`.

    Files are imported from `import_roots` alone.
    """

    read_only: bool = False
    store_root: Path | None = None
    import_roots: tuple[Path, ...] = ()

    @classmethod
    def of(cls, settings: ServeSettings) -> WritePolicy:
        """What the settings of a server say."""
        return cls(settings.read_only, settings.store_root, settings.import_roots)


class WriteAccess:
    """Gives stores to those who write them.

    `on_written` is called with the name of a store after each write, `on_failed` when a sync failed and the store is
    written no longer, `on_dropped` when it was deleted; all in the thread that wrote.
    """

    def __init__(self, catalog: Catalog, policy: WritePolicy) -> None:
        self.catalog = catalog
        self.policy = policy
        self.on_written: list[Listener] = []
        self.on_failed: list[Listener] = []
        self.on_dropped: list[Listener] = []

    def is_read_only(self, name: str) -> bool:
        """Whether a store cannot be written."""
        try:
            self.require(name)
        except FailedPreconditionError:
            return True
        return False

    def require(self, name: str, path: str = "store") -> Store:
        """A store that may be written; NotFoundError, or FailedPreconditionError that says why not."""
        self.require_writable()
        store = self.catalog.require(name, path)
        store.require_writable()
        return store

    def require_writable(self) -> None:
        """FailedPreconditionError where the whole server writes nothing."""
        if self.policy.read_only:
            raise FailedPreconditionError("this server is read-only: it was started with the setting read_only")

    def require_same(self, name: str, store: Store) -> None:
        """NotFoundError where a store was dropped, whether or not another has its name by now."""
        if self.catalog.stores.get(self.catalog.resolve(name)) is not store:
            raise NotFoundError(f"store {name!r} was dropped")

    @contextmanager
    def writing(self, name: str, opened: Store | None = None) -> Iterator[Store]:
        """A store for the time of one write: the one that was `opened`, or the one that has the name now.

        Whatever goes wrong because it is dropped meanwhile becomes a NotFoundError.
        """
        if opened is not None:
            self.require_same(name, opened)
        store = self.require(name)
        with self.unless_dropped(name, store):
            try:
                yield store
            except SyncError:
                self.require_same(name, store)
                for listener in self.on_failed:
                    listener(self.catalog.resolve(name))
                raise
        self.written(name)

    @contextmanager
    def unless_dropped(self, name: str, store: Store) -> Iterator[None]:
        """Let what goes wrong within be a NotFoundError where the store was dropped."""
        try:
            yield
        except Exception:
            self.require_same(name, store)
            raise

    def dropped(self, name: str) -> None:
        """Tell that a store is there no longer."""
        for listener in self.on_dropped:
            listener(name)
        self.written(name)

    def written(self, name: str) -> None:
        """Tell that a store may have a new version."""
        for listener in self.on_written:
            listener(self.catalog.resolve(name))


def written_version(name: str, store: Store, version: int) -> common_pb2.Provenance:
    """The provenance of a write: the version that it made. Its segments are told while it is the newest."""
    manifest = store.snapshot().manifest
    segments = len(manifest.segments) if manifest.version == version else 0
    return common_pb2.Provenance(store=name, version=version, segments_ok=segments, segments_total=segments)
