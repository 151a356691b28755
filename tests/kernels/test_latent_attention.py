"""Latent-attention pooling of kernels: the twin and the interpreted kernels against a loop in float64."""

import math
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from lodex.errors import InvalidArgumentError
from lodex.kernels.latent_attention import latent_attention_pool
from lodex.kernels.latent_weights import LatentWeights
from tests.kernels.conftest import Interpret

Array = npt.NDArray[np.float64]
MODULE, FUNCTION = "lodex.kernels.latent_attention_triton", "latent_attention_pool_triton"


def head_of(H: int, heads: int, R: int, M: int, dtype: torch.dtype, seed: int = 0) -> LatentWeights:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random) * shape[-1] ** -0.5 * 2

    head = LatentWeights(
        heads=heads, norm_weight=1 + draw(H), norm_bias=draw(H), scores=draw(heads * R, H), answers=draw(H, heads * R),
        mlp_norm_weight=1 + draw(H), mlp_norm_bias=draw(H), gated=draw(2 * M, H), gated_bias=draw(2 * M),
        out=draw(H, M), out_bias=draw(H), eps=1e-3,
    )  # fmt: skip
    return head.to("cpu", dtype)


def texts_of(lengths: list[int], H: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """States far from zero mean, a mask that drops the first tokens of longer texts and one in the middle, offsets."""
    random = torch.Generator().manual_seed(seed)
    states = (torch.randn(sum(lengths), H, generator=random) * 2 + 1.5).to(dtype)
    offsets = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    pooled = torch.ones(sum(lengths), dtype=torch.bool)
    for begin, length in zip(offsets.tolist(), lengths, strict=False):
        if length > 3:
            pooled[begin : begin + 2] = False
            pooled[begin + length // 2] = False
    return states, pooled, offsets


def plain(states: Tensor, pooled: Tensor, offsets: Tensor, head: LatentWeights) -> Array:
    """A loop over texts, tokens and heads in float64."""
    w = {f.name: getattr(head, f.name).double().numpy() for f in fields(head) if f.name not in ("heads", "eps")}
    x, keep = states.double().numpy(), pooled.numpy()

    def norm(v: Array, name: str) -> Array:
        spread = v - v.mean()
        return spread / math.sqrt((spread**2).mean() + head.eps) * w[f"{name}_weight"] + w[f"{name}_bias"]

    def one(v: Array) -> Array:
        normed = norm(v, "norm")
        for h in range(head.heads):
            part = slice(h * head.latents, (h + 1) * head.latents)
            shares = np.exp(w["scores"][part] @ normed)
            v = v + w["answers"][:, part] @ (shares / shares.sum())
        value, gate = np.split(w["gated"] @ norm(v, "mlp_norm") + w["gated_bias"], 2)
        gelu = gate * 0.5 * (1 + np.array([math.erf(g / math.sqrt(2)) for g in gate]))
        return v + w["out"] @ (value * gelu) + w["out_bias"]

    means = []
    for begin, end in pairwise(offsets.tolist()):
        means.append(np.mean([one(x[i]) for i in range(begin, end) if keep[i]], axis=0))
    return np.array(means)


# Odd sizes, none a multiple of a tile; one head of one latent; texts of one token and of more than two tiles of rows.
SHAPES = [
    (40, 3, 7, 150, [5, 1, 135]),
    (16, 1, 1, 8, [1]),
    (72, 2, 33, 20, [3, 4, 3]),
    (130, 2, 16, 130, [65, 67]),
]
# Of the largest element: float32 adds some hundred terms; bfloat16 has 8 bits and rounds six times on the way.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def arguments_of(shape: tuple[int, int, int, int, list[int]], dtype: torch.dtype) -> tuple[Any, ...]:
    H, heads, R, M, lengths = shape
    return (*texts_of(lengths, H, dtype), head_of(H, heads, R, M, dtype))


def assert_near(found: Tensor, expected: Array, dtype: torch.dtype) -> None:
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_twin_is_the_formula(shape: tuple[int, int, int, int, list[int]], dtype: torch.dtype) -> None:
    """On a CPU the twin answers; weights and states are read in their own precision."""
    arguments = arguments_of(shape, dtype)
    assert_near(latent_attention_pool(*arguments), plain(*arguments), dtype)


def neighbours() -> list[tuple[Any, ...]]:
    """Two texts, and the second alone."""
    head = head_of(40, 3, 7, 24, torch.float32)
    states, pooled, offsets = texts_of([31, 70], 40, torch.float32)
    return [(states, pooled, offsets, head), (states[31:], pooled[31:], offsets[1:] - 31, head)]


def broken(*, where_pooled: bool) -> tuple[Any, ...]:
    """Two texts, with NaN among what is not pooled or in a pooled token of the first."""
    head = head_of(16, 1, 4, 8, torch.float32)
    states, pooled, offsets = texts_of([6, 5], 16, torch.float32)
    states[4 if where_pooled else 0, 5] = math.nan
    return states, pooled, offsets, head


@pytest.fixture(scope="module")
def interpreted(interpret: Interpret) -> dict[str, Tensor]:
    """Results by the shape and dtype of a case, or its name: one child for all."""
    cases = {f"{shape} {dtype}": arguments_of(shape, dtype) for shape in SHAPES for dtype in TOLERANCE}
    cases |= {"both": neighbours()[0], "alone": neighbours()[1]}
    cases |= {"skipped": broken(where_pooled=False), "met": broken(where_pooled=True)}
    results = interpret([(MODULE, FUNCTION, arguments) for arguments in cases.values()])
    return dict(zip(cases, results, strict=True))


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernels_are_the_formula(
    shape: tuple[int, int, int, int, list[int]], dtype: torch.dtype, interpreted: dict[str, Tensor]
) -> None:
    """The second layer of the MLP after the mean is the same function; so are LayerNorms applied to tiles."""
    arguments = arguments_of(shape, dtype)
    found = interpreted[f"{shape} {dtype}"]
    assert_near(found, plain(*arguments), dtype)
    assert_near(found, latent_attention_pool(*arguments).double().numpy(), dtype)


def test_a_text_does_not_depend_on_its_neighbours(interpreted: dict[str, Tensor]) -> None:
    """Alone, and behind another text, a text has the same bits in the kernels."""
    assert torch.equal(interpreted["both"][1], interpreted["alone"][0])


def test_what_is_not_pooled_does_not_matter(interpreted: dict[str, Tensor]) -> None:
    """NaN among the tokens of an instruction reaches neither the twin nor the kernels."""
    expected = latent_attention_pool(*broken(where_pooled=False))
    assert expected.isfinite().all()
    torch.testing.assert_close(interpreted["skipped"], expected, rtol=0, atol=1e-4)


def test_nan_that_is_pooled_is_seen(interpreted: dict[str, Tensor]) -> None:
    """A text with a broken state has a broken vector, and its neighbour has not."""
    for vectors in (interpreted["met"], latent_attention_pool(*broken(where_pooled=True))):
        assert vectors[0].isnan().all()
        assert vectors[1].isfinite().all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"scores": torch.zeros(12, 15)}, r"scores is \(12, 15\), expected \(12, 16\)"),
        ({"gated": torch.zeros(15, 16)}, r"gated is \(15, 16\), expected \(16, 16\)"),
        ({"answers": torch.zeros(12, 16).T}, r"answers \(16, 12\) is not laid out row by row"),
        ({"heads": 5}, "12 logits of latents cannot be divided among 5 heads"),
        ({"heads": 0}, "among 0 heads"),
    ],
)
def test_weights_that_disagree_are_refused(change: dict[str, Any], complaint: str) -> None:
    """The complaint names the tensor, what it is and what it should be."""
    head = head_of(16, 3, 4, 8, torch.float32)
    with pytest.raises(InvalidArgumentError, match=complaint):
        replace(head, **change)


@pytest.mark.parametrize(
    ("states", "pooled", "offsets", "complaint"),
    [
        (torch.zeros(3, 16), torch.tensor([True, False, False]), [0, 2, 3], "text 1 has no token to pool"),
        (torch.zeros(2, 16), torch.ones(2, dtype=torch.bool), [0, 0, 2], "text 0 has no token to pool"),
        (torch.zeros(3, 15), torch.ones(3, dtype=torch.bool), [0, 3], r"expected hidden states \(N, 16\)"),
        (torch.zeros(3, 16).half(), torch.ones(3, dtype=torch.bool), [0, 3], "float32, got .* torch.float16"),
        (torch.zeros(3, 16), torch.ones(2, dtype=torch.bool), [0, 3], r"got \(3, 16\), \(2,\) and \(2,\)"),
        (torch.zeros(3, 16), torch.ones(3, dtype=torch.bool), [0], r"offsets \(B \+ 1,\)"),
    ],
)
def test_what_cannot_be_pooled_is_refused(states: Tensor, pooled: Tensor, offsets: list[int], complaint: str) -> None:
    """A text without tokens would be 0 / 0; shapes that disagree are told."""
    with pytest.raises(InvalidArgumentError, match=complaint):
        latent_attention_pool(
            states, pooled, torch.tensor(offsets, dtype=torch.int32), head_of(16, 3, 4, 8, torch.float32)
        )
