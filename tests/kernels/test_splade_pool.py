"""SPLADE's max pooling of kernels: the twin and the interpreted kernel against the formula in float64."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lodex.errors import InvalidArgumentError
from lodex.kernels.splade_pool import splade_pool
from tests.kernels.conftest import Interpret

MODULE, FUNCTION = "lodex.kernels.splade_pool_triton", "splade_pool_triton"
Case = tuple[int, int, list[int], bool, float | None]


def arguments_of(case: Case, dtype: torch.dtype) -> tuple[Any, ...]:
    H, V, lengths, has_bias, softcap = case
    random = torch.Generator().manual_seed(H)
    states = torch.randn(sum(lengths), H, generator=random).to(dtype)
    weight = torch.randn(V, H, generator=random).to(dtype)
    bias = torch.randn(V, generator=random).to(dtype) if has_bias else None
    return states, torch.tensor([0, *lengths]).cumsum(0).to(torch.int32), weight, bias, softcap


def plain(states: Tensor, begins: Tensor, weight: Tensor, bias: Tensor | None, softcap: float | None) -> Tensor:
    """Max over tokens of log(1 + relu(softcap(logit))), in that order, in float64."""
    rows = []
    for begin, end in pairwise(begins.tolist()):
        logits = torch.tensor(
            [[float(np.dot(x, w)) for w in weight.double().numpy()] for x in states[begin:end].double().numpy()]
        ).double()
        if bias is not None:
            logits = logits + bias.double()
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        rows.append(torch.log(1 + torch.clamp(logits, min=0)).max(dim=0).values)
    return torch.stack(rows)


# Odd sizes, none a multiple of a tile; texts of one token and of more than two tiles; caps below the largest logit.
CASES: list[Case] = [
    (40, 150, [5, 1, 140, 2, 64], True, 3.0),
    (16, 1, [1], False, None),
    (72, 33, [3, 4, 3], False, 1.5),
    (33, 260, [65, 67], True, None),
]
# Weights are below 5. bfloat16 and float16 products on a CPU are rounded once to 8 and 11 bits.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_twin_is_the_formula(case: Case, dtype: torch.dtype) -> None:
    """The maximum may be taken before the bias, the cap, relu and log."""
    arguments = arguments_of(case, dtype)
    found = splade_pool(*arguments)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), plain(*arguments), rtol=0, atol=TOLERANCE[dtype])


def neighbours() -> list[tuple[Any, ...]]:
    """Two texts, and the second alone."""
    states, begins, *head = arguments_of((40, 50, [31, 70], True, None), torch.float32)
    return [(states, begins, *head), (states[31:], begins[1:] - 31, *head)]


def broken() -> tuple[Any, ...]:
    """Two texts, the first with NaN in a state."""
    states, *others = arguments_of((16, 20, [3, 2], False, None), torch.float32)
    states[1, 5] = math.nan
    return states, *others


@pytest.fixture(scope="module")
def interpreted(interpret: Interpret) -> dict[str, Tensor]:
    """Results by the case and its dtype, or its name: one child for all."""
    cases = {f"{case} {dtype}": arguments_of(case, dtype) for case in CASES for dtype in TOLERANCE}
    cases |= {"both": neighbours()[0], "alone": neighbours()[1], "broken": broken()}
    results = interpret([(MODULE, FUNCTION, arguments) for arguments in cases.values()])
    return dict(zip(cases, results, strict=True))


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernel_is_the_formula(case: Case, dtype: torch.dtype, interpreted: dict[str, Tensor]) -> None:
    """Products add up in float32 whatever the dtype of their factors, so the kernel is never farther than float32."""
    expected = plain(*arguments_of(case, dtype))
    torch.testing.assert_close(interpreted[f"{case} {dtype}"].double(), expected, rtol=0, atol=2e-6)


def test_a_text_does_not_depend_on_its_neighbours(interpreted: dict[str, Tensor]) -> None:
    """Alone, and behind another text, a text has the same bits, in the twin and in the kernel."""
    both, alone = neighbours()
    assert torch.equal(splade_pool(*both)[1], splade_pool(*alone)[0])
    assert torch.equal(interpreted["both"][1], interpreted["alone"][0])


def test_nan_is_seen(interpreted: dict[str, Tensor]) -> None:
    """A broken state breaks the weights of its text and of no other, instead of being passed over by the maximum."""
    for weights in (interpreted["broken"], splade_pool(*broken())):
        assert weights[0].isnan().all()
        assert weights[1].isfinite().all()


def test_shapes_that_disagree_are_refused() -> None:
    """The complaint says what was expected and what came."""
    begins = torch.tensor([0, 3], dtype=torch.int32)
    with pytest.raises(InvalidArgumentError, match=r"expected states \(n, 4\) torch.float32, got \(3, 5\)"):
        splade_pool(torch.zeros(3, 5), begins, torch.zeros(7, 4))
    with pytest.raises(InvalidArgumentError, match=r"torch\.float16"):
        splade_pool(torch.zeros(3, 4).half(), begins, torch.zeros(7, 4))
    with pytest.raises(InvalidArgumentError, match=r"bias of 7 terms has the shape \(6,\)"):
        splade_pool(torch.zeros(3, 4), begins, torch.zeros(7, 4), torch.zeros(6))
