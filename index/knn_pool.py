"""The candidates of one query: every entry that may be among its k nearest, while tiles of estimates stream by."""

from __future__ import annotations

import numpy as np

from lodex.index.knn_files import Floats, Rows


class CandidatePool:
    """Keeps entries whose estimated distance is within `margin` of the k-th best estimate so far.

    With a margin of twice the largest error of an estimate the k nearest are among them, and all that tie with the
    k-th, in whatever order and tiles the entries come.
    """

    def __init__(self, k: int, margin: float) -> None:
        self._k = k
        self._margin = margin
        # Not infinity, which marks an entry that may not be found.
        self._threshold = np.finfo(np.float32).max
        self._estimates: list[Floats] = []
        self._numbers: list[Rows] = []
        self._count = 0

    def add(self, estimates: Floats, first: int) -> None:
        """Offer the entries `first`, `first + 1`, ... with their estimates (n,); those of +inf are passed over."""
        chosen = np.flatnonzero(estimates <= self._threshold)
        if len(chosen):
            self._keep(estimates[chosen], chosen + first)

    def add_some(self, estimates: Floats, numbers: Rows) -> bool:
        """Offer the entries of lowest estimates (n,) from among more; False, and none kept, where others may be wanted.

        That is so unless the highest of them is already beyond the k-th by more than the margin.
        """
        if len(estimates) <= self._k:
            return False
        kth = np.partition(estimates, self._k - 1)[self._k - 1]
        if not estimates.max() > self._beyond(kth):
            return False
        self._keep(estimates, numbers)
        return True

    def numbers(self) -> Rows:
        """The entries kept, ascending, (n,) int64."""
        self._shrink()
        return np.sort(self._numbers[0]) if self._numbers else np.empty(0, np.int64)

    def _keep(self, estimates: Floats, numbers: Rows) -> None:
        self._estimates.append(estimates)
        self._numbers.append(numbers)
        self._count += len(numbers)
        if self._count > 2 * self._k + 64:
            self._shrink()

    def _beyond(self, kth: np.float32) -> np.float32:
        """The highest estimate that may be wanted, rounded upwards so that the margin is kept whole."""
        return np.float32(np.nextafter(kth + np.float32(self._margin), np.float32(np.inf)))

    def _shrink(self) -> None:
        if not self._estimates:
            return
        estimates, numbers = np.concatenate(self._estimates), np.concatenate(self._numbers)
        if len(estimates) > self._k:
            kth = np.partition(estimates, self._k - 1)[self._k - 1]
            self._threshold = self._beyond(kth)
            kept = estimates <= self._threshold
            estimates, numbers = estimates[kept], numbers[kept]
        self._estimates, self._numbers, self._count = [estimates], [numbers], len(estimates)
