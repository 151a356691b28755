"""Attention over texts end to end in bfloat16, against the formula in float64."""

import numpy as np
import numpy.typing as npt
import pytest

from lodex.kernels._text_attention import attend, can_attend
from lodex.kernels.text_attention_reference import attend_reference

pytestmark = pytest.mark.skipif(not can_attend(), reason="this processor has no tiles of bfloat16")
Bits = npt.NDArray[np.uint16]


def to_bits(x: npt.NDArray[np.floating]) -> Bits:
    """The nearest bfloat16, ties to even."""
    wide = x.astype(np.float32).view(np.uint32)
    return ((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16).astype(np.uint16)


def to_floats(bits: Bits) -> npt.NDArray[np.float64]:
    """What the bits stand for."""
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def draw(rng: np.random.Generator, tokens: int, heads: int, width: int, spread: float = 1.0) -> Bits:
    return to_bits(rng.normal(scale=spread, size=(tokens, heads, width)))


def attended(
    queries: Bits, keys: Bits, values: Bits, lengths: list[int], scale: float
) -> tuple[Bits, npt.NDArray[np.int64]]:
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    out = np.zeros(queries.shape, np.uint16)
    attend(queries, keys, values, offsets, scale, out)
    return out, offsets


LENGTHS = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 250]


@pytest.mark.parametrize(("heads", "key_heads", "width"), [(12, 12, 32), (4, 2, 64), (4, 1, 128), (1, 1, 32)])
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_it_is_the_formula(heads: int, key_heads: int, width: int, spread: float) -> None:
    """Within the rounding of the weights and of the result, 2^-8 of the largest value each."""
    rng = np.random.default_rng(width)
    n = sum(LENGTHS)
    q, k, v = draw(rng, n, heads, width, spread), draw(rng, n, key_heads, width), draw(rng, n, key_heads, width)
    out, offsets = attended(q, k, v, LENGTHS, width**-0.5)
    expected = attend_reference(*map(to_floats, (q, k, v)), offsets, width**-0.5)
    np.testing.assert_allclose(to_floats(out), expected, atol=2**-8 * 4, rtol=2**-7)


def test_weights_that_add_up_to_one_give_the_mean() -> None:
    """Equal keys: every row is the mean of the text's values, and one key alone gives its value unchanged."""
    rng = np.random.default_rng(0)
    q, v = draw(rng, 41, 2, 32), draw(rng, 41, 2, 32)
    k = np.broadcast_to(to_bits(np.ones(32)), (41, 2, 32)).copy()
    out, _ = attended(q, k, v, [1, 40], 1.0)
    np.testing.assert_array_equal(out[0], v[0])
    mean = to_floats(v[1:]).mean(axis=0)
    np.testing.assert_allclose(to_floats(out[1:]), np.broadcast_to(mean, (40, 2, 32)), atol=2e-3)


def test_large_scores_do_not_overflow() -> None:
    """Scores of thousands: the largest takes all."""
    q = to_bits(np.full((20, 1, 32), 100.0))
    k = to_bits(np.linspace(-100, 100, 20)[:, None, None] * np.ones((1, 1, 32)))
    v = draw(np.random.default_rng(0), 20, 1, 32)
    out, _ = attended(q, k, v, [20], 1.0)
    np.testing.assert_array_equal(out, np.broadcast_to(v[19:], (20, 1, 32)))


def test_a_text_has_the_same_bits_wherever_it_stands() -> None:
    """Alone, among others in any order, and behind rows of no text."""
    rng = np.random.default_rng(1)
    texts = [tuple(draw(rng, n, 3, 32) for _ in range(3)) for n in LENGTHS]
    alone = [attended(*text, [n], 0.2)[0] for text, n in zip(texts, LENGTHS, strict=True)]
    for order in (range(len(texts)), reversed(range(len(texts)))):
        chosen = list(order)
        together = [np.concatenate([texts[i][part] for i in chosen]) for part in range(3)]
        out, offsets = attended(*together, [LENGTHS[i] for i in chosen], 0.2)
        for i, begin, end in zip(chosen, offsets[:-1], offsets[1:], strict=True):
            np.testing.assert_array_equal(out[begin:end], alone[i])


def test_rows_of_no_text_are_left_and_rows_may_be_apart() -> None:
    """Queries, keys and values are slices of one product; what stands before and behind the texts stays."""
    rng = np.random.default_rng(2)
    qkv = draw(rng, 30, 3 * 2, 32).reshape(30, 3, 2, 32)
    q, k, v = (qkv[:, part] for part in range(3))
    out = np.full((30, 2, 32), 7, np.uint16)
    attend(q, k, v, np.array([3, 13, 25]), 0.2, out)
    assert (out[:3] == 7).all()
    assert (out[25:] == 7).all()
    expected, _ = attended(*(np.ascontiguousarray(x[3:25]) for x in (q, k, v)), [10, 12], 0.2)
    np.testing.assert_array_equal(out[3:25], expected)


def test_arrays_that_do_not_fit_are_refused() -> None:
    """Shapes, widths, strides, offsets and scale."""
    x = np.zeros((10, 2, 32), np.uint16)
    ends = np.array([0, 10])
    good = (x, x, x, ends, 1.0, x.copy())

    def refused(**changes: object) -> None:
        names = ("queries", "keys", "values", "offsets", "scale", "out")
        with pytest.raises(ValueError, match=r"\w+"):
            attend(**(dict(zip(names, good, strict=True)) | changes))

    refused(queries=x[:, :, :16])
    refused(out=x[:9].copy())
    refused(keys=x[:9])
    refused(keys=np.zeros((10, 3, 32), np.uint16), values=np.zeros((10, 3, 32), np.uint16))
    refused(values=x[:, ::-1])
    refused(offsets=np.array([0, 11]))
    refused(offsets=np.array([0, 5, 5]))
    refused(offsets=np.array([-1, 5]))
    refused(offsets=np.array([], np.int64))
    refused(scale=0.0)
    refused(scale=float("nan"))
    narrow = np.zeros((10, 2, 48), np.uint16)
    refused(queries=narrow, keys=narrow, values=narrow, out=narrow.copy())
    attend(*good)
