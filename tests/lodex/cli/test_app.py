"""What is printed for programs."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from lodex.cli.app import print_json
from lodex.errors import NotFoundError
from lodex.types import FinishReason, RankedCandidate


@dataclass
class Held:
    """A value within a value."""

    inner: Any


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (RankedCandidate(1, -np.inf).score, None),
        (float("nan"), None),
        (np.float32(np.inf), None),
        (np.float64(0.5), 0.5),
        (np.array([[1.0, -np.inf], [np.nan, 2.0]]), [[1.0, None], [None, 2.0]]),
        (np.array([0.5, 2.0], np.float32), [0.5, 2.0]),
        (np.array([1, 2], np.int64), [1, 2]),
        (np.array([True]), [True]),
        (np.array(np.nan), None),
        (np.array(["a"]), ["a"]),
        (Held({"a": (np.inf, Held(np.array([np.inf])))}), {"inner": {"a": [None, {"inner": [None]}]}}),
        (FinishReason.STOP, "stop"),
        (NotFoundError("gone"), {"error": "gone"}),
        ("é", "é"),
        (True, True),
        (np.True_, True),
        (None, None),
    ],
    ids=repr,
)
def test_json_has_null_for_numbers_that_are_not_finite(
    capsys: pytest.CaptureFixture[str], value: Any, expected: Any
) -> None:
    """At any depth; everything else is itself."""
    print_json({"value": value})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"value": expected}
