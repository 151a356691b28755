"""How many tokens a forward takes: as many as this machine works through fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

CANDIDATES = (256, 512, 1024, 2048, 4096)
# A larger batch must be this much faster to be taken: it needs more memory, and others wait longer for its end.
_WORTH = 1.03


def tune_batch_tokens(
    forward: Callable[[int], object],
    candidates: Sequence[int] = CANDIDATES,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.thread_time,
) -> int:
    """The smallest of the rising `candidates` than which no larger one computes more tokens a second, but for 3 %.

    `forward(n)` runs a batch of n tokens in this thread. It is run once unmeasured, since a first run of a shape
    compiles, and then for the best of as many runs as fit a share of `seconds` of `clock`, at least two. On a core of a
    CPU the activations of a small batch stay in its cache; a GPU wants more to do. Vectors do not depend on the answer.
    """
    if not candidates:
        raise ValueError("there are no candidates")
    best, best_cost = candidates[0], float("inf")
    for n in candidates:
        cost = _cost(forward, n, seconds / len(candidates), clock) / n
        if cost * _WORTH < best_cost:
            best, best_cost = n, cost
    return best


def _cost(forward: Callable[[int], object], n: int, seconds: float, clock: Callable[[], float]) -> float:
    """The least time of a run."""
    begin = clock()
    forward(n)
    times: list[float] = []
    while len(times) < 2 or (clock() - begin < seconds and len(times) < 20):
        start = clock()
        forward(n)
        times.append(clock() - start)
    return min(times)
