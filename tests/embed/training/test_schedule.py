"""The learning rate over a budget."""

import pytest

from lodex.embed.training.schedule import Schedule


@pytest.mark.parametrize(
    ("used", "share"),
    [(0.0, 0.02), (0.05, 0.5), (0.1, 1.0), (0.5, 1.0), (0.6, 1.0), (0.8, 0.5), (0.999, 0.0025), (1.0, 0.0)],
)
def test_warm_up_stable_decay(used: float, share: float) -> None:
    """It rises over the first share, stays, and falls linearly to zero."""
    assert Schedule(warmup=0.1, decay=0.4).lr_share(used) == pytest.approx(share)


def test_the_decay_is_known() -> None:
    """Whoever changes its batches for the decay can ask when it begins."""
    schedule = Schedule(decay=0.25)
    assert not schedule.is_decaying(0.74)
    assert schedule.is_decaying(0.75)
