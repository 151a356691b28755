"""Warm-up, stable, decay: the learning rate over the share of the budget that is used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rises over `warmup`, stays, and falls linearly to zero over the last `decay`, both shares of the budget."""

    warmup: float = 0.03
    decay: float = 0.3

    def lr_share(self, used: float) -> float:
        """The share of the full learning rate once the share `used` of the budget, 0 to 1, is used."""
        rising = used / self.warmup if self.warmup else 1.0
        falling = (1 - used) / self.decay if self.decay else 1.0
        # A first step at rate zero would be wasted.
        return max(0.0, min(1.0, max(rising, 0.02), falling))

    def is_decaying(self, used: float) -> bool:
        """Whether the fall has begun."""
        return used >= 1 - self.decay
