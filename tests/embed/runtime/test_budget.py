"""The size of a forward, found by a clock of the test's own."""

from collections.abc import Callable

import pytest

from lodex.embed.runtime.budget import tune_batch_tokens


class Machine:
    """A machine whose forward of n tokens takes `cost(n)` seconds; the first run of a size takes ten more."""

    def __init__(self, cost: Callable[[int], float]) -> None:
        self.now = 0.0
        self.runs: list[int] = []
        self._cost = cost

    def forward(self, n: int) -> None:
        """Let the time pass."""
        self.now += self._cost(n) + (0 if n in self.runs else 10)
        self.runs.append(n)

    def clock(self) -> float:
        """Seconds since the start."""
        return self.now


@pytest.mark.parametrize(
    ("cost", "best"),
    [
        (lambda n: 0.001 + n * 1e-5, 400),  # a fixed cost: the larger the better
        (lambda n: n * 1e-5, 100),  # no difference: the smallest
        (lambda n: n * (1e-5 if n <= 200 else 2e-5), 100),  # a cache that overflows
        (lambda n: 0.001 + n * (1e-5 if n <= 200 else 2e-5), 200),  # both
    ],
)
def test_the_size_with_most_tokens_a_second_is_taken(cost: Callable[[int], float], best: int) -> None:
    """And of those that are as good, the smallest; what a first run compiles is not counted."""
    machine = Machine(cost)
    assert tune_batch_tokens(machine.forward, (100, 200, 400), 1.0, machine.clock) == best


def test_a_slow_machine_is_asked_three_times_a_size() -> None:
    """Once to compile and twice to measure, however short the time given."""
    machine = Machine(lambda n: 100.0)
    tune_batch_tokens(machine.forward, (100, 200), 0.001, machine.clock)
    assert machine.runs == [100] * 3 + [200] * 3


def test_noise_does_not_decide() -> None:
    """The best run of a size counts, not one that was disturbed."""
    disturbed = iter([0.0, 5.0, 0.0, 0.0, 0.0] * 100)
    machine = Machine(lambda n: n * 1e-5 + (next(disturbed) if n == 100 else 0))
    assert tune_batch_tokens(machine.forward, (100, 200), 30.0, machine.clock) == 100


def test_no_candidates_are_refused() -> None:
    """There is nothing to choose from."""
    with pytest.raises(ValueError, match="no candidates"):
        tune_batch_tokens(print, ())
