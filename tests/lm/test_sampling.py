"""Drawing tokens."""

import numpy as np
import pytest

from lodex.errors import InvalidArgumentError
from lodex.lm.sampling import draw, require_sampling
from lodex.types import Sampling

P = np.array([0.05, 0.4, 0.1, 0.4, 0.05])


def shares(sampling: Sampling, draws: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = [draw(np.log(P), sampling, rng) for _ in range(draws)]
    return np.bincount(drawn, minlength=len(P)) / draws


def test_temperature_zero_takes_the_most_probable_and_the_lowest_id_of_equals() -> None:
    """Greedy decoding is deterministic, ties included."""
    assert draw(np.log(P), Sampling(), np.random.default_rng()) == 1


def test_temperature_one_draws_from_the_distribution() -> None:
    """Frequencies are the probabilities."""
    np.testing.assert_allclose(shares(Sampling(temperature=1.0)), P, atol=0.015)


def test_temperature_sharpens() -> None:
    """At temperature 1/2 the probabilities are squared and shared anew."""
    np.testing.assert_allclose(shares(Sampling(temperature=0.5)), P**2 / (P**2).sum(), atol=0.015)


def test_top_k_keeps_the_most_probable() -> None:
    """Three tokens of five are drawn, by their own shares."""
    np.testing.assert_allclose(shares(Sampling(temperature=1.0, top_k=3)), np.array([0, 4, 1, 4, 0]) / 9, atol=0.015)


def test_top_p_keeps_the_fewest_that_hold_the_share() -> None:
    """0.8 is held by two tokens exactly, 0.81 takes a third."""
    np.testing.assert_allclose(shares(Sampling(temperature=1.0, top_p=0.8)), [0, 0.5, 0, 0.5, 0], atol=0.015)
    assert (shares(Sampling(temperature=1.0, top_p=0.81)) > 0).sum() == 3


def test_tokens_of_probability_zero_are_never_drawn() -> None:
    """Minus infinity stays out at any temperature."""
    rng = np.random.default_rng(1)
    log_probabilities = np.array([-np.inf, 0.0, -np.inf])
    assert {draw(log_probabilities, Sampling(temperature=9.0), rng) for _ in range(100)} == {1}


@pytest.mark.parametrize("temperature", [1e-308, 1e-320])
def test_a_temperature_near_zero_is_zero(temperature: float) -> None:
    """It takes the most probable token, without a warning."""
    assert draw(np.log(P), Sampling(temperature=temperature, top_k=1), np.random.default_rng(0)) == 1
    assert draw(np.array([-9.0, -0.1, -3.0]), Sampling(temperature=temperature), np.random.default_rng(0)) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"max_tokens": 0},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": 0},
        {"stop": ("",)},
    ],
)
def test_settings_that_draw_nothing_are_refused(settings: dict) -> None:
    """The error names the field."""
    with pytest.raises(InvalidArgumentError) as caught:
        require_sampling(Sampling(**settings))
    assert caught.value.field == f"sampling.{next(iter(settings))}"
