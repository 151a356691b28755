"""Vectors that are cut."""

import numpy as np
import pytest

from lodex.embed.vectors.matryoshka import check_dimensions, truncate_dimensions
from lodex.errors import InvalidArgumentError


def vectors(n: int = 5, d: int = 12) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def test_the_first_dimensions_are_kept_and_scaled() -> None:
    """Against a loop in float64, whether the vectors had length one before or not."""
    x = vectors()
    expected = [row[:4] / np.sqrt(sum(float(v) ** 2 for v in row[:4])) for row in x.astype(np.float64)]
    unit = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    for rows in (x, unit):
        cut = truncate_dimensions(rows, 4, (8, 4))
        assert cut.dtype == np.float32
        assert cut.flags["C_CONTIGUOUS"]
        np.testing.assert_allclose(cut, expected, atol=1e-7)


def test_it_is_what_sentence_transformers_does() -> None:
    """Its own function, where it is installed."""
    peer = pytest.importorskip("sentence_transformers.util")
    torch = pytest.importorskip("torch")
    x = vectors(50, 64)
    expected = torch.nn.functional.normalize(peer.truncate_embeddings(torch.from_numpy(x), 16), dim=1)
    np.testing.assert_allclose(truncate_dimensions(x, 16, (16,)), expected.numpy(), atol=1e-7)


def test_unscaled_vectors_are_cut_alone() -> None:
    np.testing.assert_array_equal(truncate_dimensions(vectors(), 4, (4,), normalize=False), vectors()[:, :4])


def test_the_whole_vector_is_declared_by_every_model() -> None:
    """Asking for all dimensions is no cut."""
    check_dimensions(12, 12, ())
    np.testing.assert_allclose(np.linalg.norm(truncate_dimensions(vectors(), 12, ()), axis=1), 1, atol=1e-6)


def test_zero_stays_zero() -> None:
    """No NaN from a vector whose first dimensions are zero, nor from none at all."""
    x = vectors(2)
    x[0, :4] = 0
    cut = truncate_dimensions(x, 4, (4,))
    np.testing.assert_array_equal(cut[0], 0)
    assert np.isfinite(cut).all()
    assert truncate_dimensions(vectors(0), 4, (4,)).shape == (0, 4)


def test_the_cut_does_not_write_into_the_vectors() -> None:
    x = vectors()
    truncate_dimensions(x, 4, (4,))
    truncate_dimensions(x, 12, (4,))
    np.testing.assert_array_equal(x, vectors())


@pytest.mark.parametrize(
    ("dimensions", "declared", "complaint"),
    [
        (6, (8, 4), "expected one of 12, 8, 4 dimensions, got 6$"),
        (4, (), r"expected one of 12 dimensions, got 4; the model does not declare"),
        (0, (8, 4), "got 0"),
        (-4, (8, 4), "got -4"),
        (24, (8, 4), "got 24"),
    ],
)
def test_other_sizes_are_refused(dimensions: int, declared: tuple[int, ...], complaint: str) -> None:
    """The complaint lists the sizes there are and names the field of the request."""
    with pytest.raises(InvalidArgumentError, match=complaint) as caught:
        truncate_dimensions(vectors(), dimensions, declared)
    assert caught.value.field == "dimensions"


def test_one_vector_alone_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"expected vectors \(n, d\), got \(12,\)"):
        truncate_dimensions(vectors()[0], 4, (4,))
