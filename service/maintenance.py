"""What a server does by itself: new documents get into every index, and small segments are merged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from lodex.errors import CancelledError, LodexError
from lodex.index.build import Builder
from lodex.index.compaction import Throttle, compact, needs_compaction
from lodex.index.manifest import Manifest
from lodex.index.store import Store
from lodex.service.indexing import build_with, index_builders
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.operations import JobMeter, on_kept_version
from lodex.service.writing import WriteAccess

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_COMPACTION_SHARE = 0.5
"""Of one core, at most, so that queries are not held up."""


@dataclass
class _Failures:
    """When a store that failed is tried again: later each time, up to a minute."""

    next_try: float = 0.0
    pause_s: float = 0.0

    def failed(self) -> None:
        self.pause_s = min(max(2 * self.pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self.next_try = time.monotonic() + self.pause_s


@dataclass
class _Lane:
    """One sort of work on all stores, in a thread of its own."""

    name: str
    is_due: Callable[[Manifest], bool]
    work: Callable[[str, Store, JobMeter], None]
    failures: dict[str, _Failures] = field(default_factory=dict)
    wake: threading.Event = field(default_factory=threading.Event)


class Maintenance:
    """Looks after every store that may be written: whenever it is told of a version, and every `interval_s`.

    Building and compacting have a thread each: documents do not wait for a long merge before they are found. What
    fails is logged and tried again, after a pause that grows to a minute.
    """

    def __init__(self, access: WriteAccess, models: Models, language_models: LanguageModels, interval_s: float) -> None:
        self._access = access
        self._models = models
        self._language_models = language_models
        self._interval_s = interval_s
        self._builders: dict[str, tuple[dict[str, tuple[str, object]], dict[str, Builder]]] = {}
        self._meter = JobMeter("maintenance", "")
        self._lanes = (
            _Lane("index build", lacks_parts, self._build),
            _Lane("compaction", lambda manifest: bool(needs_compaction(manifest)), self._compact),
        )
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"lodex-{lane.name}", daemon=True)
            for lane in self._lanes
        ]

    def start(self) -> None:
        """Begin, with what is due already."""
        self._access.on_written.append(self.wake)
        for thread in self._threads:
            thread.start()

    def wake(self, store: str) -> None:
        """Look at the stores now: one of them may have a new version."""
        for lane in self._lanes:
            lane.wake.set()

    def stop(self) -> None:
        """Stop at the next check of what is at work."""
        self._meter.cancel()
        self.wake("")

    def close(self) -> None:
        """Stop, and wait until it has."""
        self.stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def failing(self, store: str) -> tuple[str, ...]:
        """Which sorts of work on a store failed the last time."""
        return tuple(lane.name for lane in self._lanes if store in lane.failures)

    def _run(self, lane: _Lane) -> None:
        while not self._meter.is_cancelled:
            lane.wake.clear()
            for name, store in self._access.catalog.stores.items():
                if not self._access.is_read_only(name):
                    self._look_after(lane, name, store)
            lane.wake.wait(self._interval_s)

    def _look_after(self, lane: _Lane, name: str, store: Store) -> None:
        failures = lane.failures.get(name)
        if failures is not None and time.monotonic() < failures.next_try:
            return
        try:
            before = store.snapshot()
            if lane.is_due(before.manifest):
                on_kept_version(store, partial(lane.work, name, store, self._meter), self._meter)
                if store.version != before.version:
                    # What was built may be merged now, and what was published meanwhile lacks its indexes.
                    self.wake(name)
            lane.failures.pop(name, None)
        except CancelledError:
            return
        except Exception as error:
            if self._access.catalog.stores.get(name) is not store:
                return
            failures = lane.failures.setdefault(name, _Failures())
            failures.failed()
            logger.warning(
                "%s of store %s failed, tried again in %.0f s: %s",
                lane.name,
                name,
                failures.pause_s,
                error,
                exc_info=not isinstance(error, LodexError),
            )

    def _build(self, name: str, store: Store, meter: JobMeter) -> None:
        build_with(store, self._builders_of(name, store), meter)

    def _builders_of(self, name: str, store: Store) -> dict[str, Builder]:
        """The builders of a store, kept while it has the same indexes: models and tokenizers are loaded once."""
        manifest = store.snapshot().manifest
        wanted: dict[str, tuple[str, object]] = {
            index: (entry.kind, entry.config) for index, entry in manifest.indexes.items()
        }
        known = self._builders.get(name)
        if known is None or known[0] != wanted:
            known = wanted, index_builders(store, self._models, self._language_models)
            self._builders[name] = known
        return known[1]

    def _compact(self, name: str, store: Store, meter: JobMeter) -> None:
        compact(store, throttle=Throttle(_COMPACTION_SHARE), check=meter.check)


def lacks_parts(manifest: Manifest) -> bool:
    """Whether some index does not cover some segment."""
    return any(len(entry.parts) < len(manifest.segments) for entry in manifest.indexes.values())
