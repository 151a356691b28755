"""Poolings without weights: against loops over the tokens, and independent of the batch."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.embed.pooling.token_pooling import TOKEN_POOLINGS, TokenPooling
from lodex.embed.ragged import Ragged
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InvalidArgumentError

H = 5
# (tokens, first pooled, end of the pool), the pool never empty
SHAPES = st.integers(1, 9).flatmap(
    lambda n: st.integers(0, n - 1).flatmap(lambda a: st.integers(a + 1, n).map(lambda b: (n, a, b)))
)


def batch_of(shapes: list[tuple[int, int, int]]) -> Ragged:
    return Ragged.of([TokenRow([3] * n, begin, end) for n, begin, end in shapes])


def loop(name: str, states: npt.NDArray[np.float64], begin: int, end: int) -> npt.NDArray[np.float64]:
    """One text (T, H) in float64, written out."""
    if name == "cls":
        return states[begin]
    if name == "last":
        return states[end - 1]
    weights = [float(i + 1) if name == "weighted_mean" else 1.0 for i in range(begin, end)]
    return sum(w * states[i] for w, i in zip(weights, range(begin, end), strict=True)) / sum(weights)


@pytest.mark.parametrize("name", sorted(TOKEN_POOLINGS))
@settings(max_examples=40, deadline=None)
@given(shapes=st.lists(SHAPES, min_size=1, max_size=6), seed=st.integers(0, 99))
def test_every_pooling_is_its_loop(name: str, shapes: list[tuple[int, int, int]], seed: int) -> None:
    """Over any lengths and pools; what is not pooled does not matter."""
    batch = batch_of(shapes)
    states = torch.randn(len(batch.ids), H, generator=torch.Generator().manual_seed(seed))
    spoilt = torch.where(batch.pooled[:, None], states, torch.full_like(states, 1e4))
    pooled = TokenPooling(name, H)(spoilt, batch)
    rows = torch.split(states.double(), list(batch.lengths))
    expected = [loop(name, row.numpy(), begin, end) for row, (_, begin, end) in zip(rows, shapes, strict=True)]
    assert pooled.dtype == torch.float32
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(TOKEN_POOLINGS))
def test_a_vector_has_the_same_bits_in_any_batch(name: str) -> None:
    """Alone, among others, and at any place; widths that fill no vector register too."""
    random = torch.Generator().manual_seed(0)
    shapes = [(n, n // 3, n) for n in (1, 2, 3, 7, 40, 200, 33)]
    states = [torch.randn(n, 37, generator=random) for n, _, _ in shapes]
    pool = TokenPooling(name, 37)
    alone = [pool(x, batch_of([shape]))[0] for x, shape in zip(states, shapes, strict=True)]
    for order in ([0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0], [4, 4, 5]):
        together = pool(torch.cat([states[i] for i in order]), batch_of([shapes[i] for i in order]))
        assert all(torch.equal(vector, alone[i]) for vector, i in zip(together, order, strict=True))


@pytest.mark.parametrize("name", sorted(TOKEN_POOLINGS))
def test_half_precision_is_pooled_in_float32(name: str) -> None:
    """The mean of many bfloat16 states is not itself rounded to bfloat16 on the way."""
    states = torch.full((1000, H), 1.0 + 1 / 128).bfloat16()
    pooled = TokenPooling(name, H)(states, batch_of([(1000, 0, 1000)]))
    torch.testing.assert_close(pooled, torch.full((1, H), 1.0 + 1 / 128), atol=1e-6, rtol=0)


def test_an_unknown_pooling_is_named() -> None:
    """With those there are."""
    with pytest.raises(InvalidArgumentError, match="pooling 'max' is not one of mean, weighted_mean, last, cls"):
        TokenPooling("max", H)
