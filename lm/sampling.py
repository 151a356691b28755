"""Drawing a token from a distribution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError
from lodex.types import Sampling

Floats = npt.NDArray[np.float64]


def require_sampling(sampling: Sampling) -> None:
    """InvalidArgumentError for settings that draw nothing."""
    checks = (
        ("max_tokens", sampling.max_tokens is None or sampling.max_tokens >= 1, "at least 1"),
        ("temperature", 0 <= sampling.temperature < float("inf"), "0 or above, and finite"),
        ("top_p", 0 < sampling.top_p <= 1, "above 0 and at most 1"),
        ("top_k", sampling.top_k is None or sampling.top_k >= 1, "at least 1"),
    )
    for name, is_good, expected in checks:
        if not is_good:
            raise InvalidArgumentError(
                f"{name} is {getattr(sampling, name)}, it must be {expected}", f"sampling.{name}"
            )
    if any(not stop for stop in sampling.stop):
        raise InvalidArgumentError("a stop text is empty", "sampling.stop")


def draw(log_probabilities: Floats, sampling: Sampling, rng: np.random.Generator) -> int:
    """A token drawn from log-probabilities (V,).

    At temperature 0 the most probable, the lowest id of equals. Else the distribution is sharpened or flattened by the
    temperature, cut to the `top_k` most probable tokens, and of these to the fewest that hold `top_p` together.
    """
    if sampling.temperature == 0:
        return int(log_probabilities.argmax())
    # Relative to the largest: a temperature near zero would take all of them to minus infinity.
    with np.errstate(over="ignore"):
        scaled = (log_probabilities - log_probabilities.max()) / sampling.temperature
    order = np.argsort(-scaled, kind="stable")[: sampling.top_k]
    weights = np.exp(scaled[order] - scaled[order[0]])
    shares = weights / weights.sum()
    kept = int(np.searchsorted(shares.cumsum(), sampling.top_p * (1 - 1e-12))) + 1
    shares = shares[:kept] / shares[:kept].sum()
    return int(order[min(int(np.searchsorted(shares.cumsum(), rng.random(), side="right")), len(shares) - 1)])
