"""The threads of the server: a pool for look-ups in indexes, one for each model, and one for each store's writes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import faiss


class Workers:
    """Executors, made when they are first needed.

    A model has a thread to itself: torch is neither reentrant nor faster for being called from two, and a long batch
    of texts never holds up an n-gram query.
    """

    def __init__(self, threads: int) -> None:
        # Requests share the cores. A team of OpenMP threads for each look-up would only wait for one another.
        self.pool = ThreadPoolExecutor(threads, "lodex-lookup", initializer=faiss.omp_set_num_threads, initargs=(1,))
        self._models: dict[str, ThreadPoolExecutor] = {}
        self._writers: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def for_model(self, name: str) -> ThreadPoolExecutor:
        """The one thread of a model."""
        with self._lock:
            if name not in self._models:
                self._models[name] = ThreadPoolExecutor(1, f"lodex-model-{name}")
            return self._models[name]

    def for_writes(self, store: str) -> ThreadPoolExecutor:
        """The one thread that writes documents of a store, so that requests never race each other for a version."""
        with self._lock:
            if store not in self._writers:
                self._writers[store] = ThreadPoolExecutor(1, f"lodex-write-{store}")
            return self._writers[store]

    def close(self) -> None:
        """Drop what waits, and wait for what is at work."""
        for executor in (self.pool, *self._models.values(), *self._writers.values()):
            executor.shutdown(wait=True, cancel_futures=True)
