"""Zipfian whitening: against the singular values of the weighted vectors, and by what whitening means."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from lodex.embed.vectors.whitening import WeightedMoments, Whitening, fit_whitening
from lodex.errors import DataLossError, DimensionMismatchError, FailedPreconditionError, InvalidArgumentError

Array = npt.NDArray[np.float32]


def zipfian(v: int = 400, d: int = 9, rank: int | None = None, seed: int = 0) -> tuple[Array, npt.NDArray[np.float64]]:
    """Vectors far from zero with very different spreads, and frequencies 1 / r."""
    rng = np.random.default_rng(seed)
    spread = (
        rng.normal(size=(d if rank is None else rank, d)) * np.logspace(0, -2, d if rank is None else rank)[:, None]
    )
    x = rng.normal(size=(v, len(spread))) @ spread + rng.normal(size=d) * 3
    return x.astype(np.float32), 1 / np.arange(1, v + 1)


def by_svd(x: Array, p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(x - mu) U L^-1/2 from the SVD of sqrt(p) (x - mu): another algorithm, and no covariance."""
    p = p / p.sum()
    centred = x.astype(np.float64) - p @ x.astype(np.float64)
    _, s, vt = np.linalg.svd(np.sqrt(p)[:, None] * centred, full_matrices=False)
    return centred @ vt.T / s


def aligned(found: Array, expected: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`expected` with the signs of its columns, which are arbitrary, as in `found`."""
    return expected * np.sign((found * expected).sum(axis=0))


def test_it_is_the_singular_value_decomposition() -> None:
    x, p = zipfian()
    found = fit_whitening(x, p).apply(x)
    assert found.dtype == np.float32
    expected = by_svd(x, p)
    np.testing.assert_allclose(found, aligned(found, expected), atol=1e-3 * np.abs(expected).max())


def test_whitened_vectors_are_white_under_their_frequencies() -> None:
    """Weighted mean 0 and weighted covariance I: under other frequencies they are not."""
    x, p = zipfian()
    white = fit_whitening(x, p).apply(x).astype(np.float64)
    share = p / p.sum()
    np.testing.assert_allclose(share @ white, 0, atol=2e-4)
    np.testing.assert_allclose((white * share[:, None]).T @ white, np.eye(9), atol=1e-3)
    assert np.abs(np.cov(white.T) - np.eye(9)).max() > 0.05


def test_counts_are_frequencies() -> None:
    """A vector that occurs three times counts as three vectors, and one that never occurs as none."""
    x, _ = zipfian(50)
    counts = np.random.default_rng(1).integers(0, 4, 50)
    found, expected = fit_whitening(x, counts), fit_whitening(np.repeat(x, counts, axis=0), np.ones(counts.sum()))
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)
    np.testing.assert_allclose(found.transform, expected.transform, rtol=1e-4, atol=1e-4)


def test_batches_are_one() -> None:
    """Also far from zero, where sums of squares would lose the variance."""
    x, p = zipfian()
    far = x + np.float32(1000)
    whole = fit_whitening(far, p)
    moments = WeightedMoments(9)
    for begin, end in ((0, 1), (1, 1), (1, 250), (250, 400)):
        moments.add(far[begin:end], p[begin:end])
    np.testing.assert_allclose(moments.whitening().transform, whole.transform, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(moments.whitening().mean, whole.mean, rtol=1e-7)
    found = whole.apply(far)
    np.testing.assert_allclose(found, aligned(found, by_svd(far, p)), atol=2e-2)


def test_directions_without_variance_are_left_out() -> None:
    """Vectors of five directions in nine dimensions become five numbers, none of them noise."""
    x, p = zipfian(rank=5)
    whitening = fit_whitening(x.astype(np.float64), p)
    exact = fit_whitening(zipfian(rank=5)[0].astype(np.float64), p)
    assert whitening.transform.shape == (9, exact.transform.shape[1])
    assert np.abs(whitening.apply(x)).max() < 100


def test_the_largest_directions_can_be_kept() -> None:
    x, p = zipfian()
    moments = WeightedMoments(9)
    moments.add(x, p)
    np.testing.assert_array_equal(moments.whitening(3).transform, moments.whitening().transform[:, :3])
    for wrong in (0, 10):
        with pytest.raises(InvalidArgumentError, match=f"expected 1 to 9 dimensions, for so many vary, got {wrong}"):
            moments.whitening(wrong)


def test_signs_are_settled() -> None:
    """The largest part of each direction is positive: what is fitted again has the same signs."""
    transform = fit_whitening(*zipfian()).transform
    assert (transform[np.abs(transform).argmax(axis=0), np.arange(9)] > 0).all()


def test_nothing_to_whiten_by() -> None:
    x, p = zipfian(10)
    with pytest.raises(FailedPreconditionError, match="no vector with a positive weight"):
        fit_whitening(x, p * 0)
    with pytest.raises(FailedPreconditionError, match="all vectors are the same"):
        fit_whitening(np.repeat(x[:1], 10, axis=0), p)


@pytest.mark.parametrize(
    ("row", "weight", "complaint"),
    [
        (0.0, -1.0, "weight 2 is -1.0"),
        (0.0, np.inf, "weight 2 is inf"),
        (0.0, np.nan, "weight 2 is nan"),
        (np.nan, 1.0, "vector 2 is not finite"),
        (np.inf, 0.0, "vector 2 is not finite"),
    ],
)
def test_numbers_that_are_none_are_refused(row: float, weight: float, complaint: str) -> None:
    """One NaN would spread over everything; the complaint says where it is."""
    x, p = zipfian(5)
    x[2, 3], p[2] = row, weight
    with pytest.raises(InvalidArgumentError, match=complaint):
        fit_whitening(x, p)


def test_shapes_that_disagree_are_refused() -> None:
    x, p = zipfian(5)
    with pytest.raises(InvalidArgumentError, match=r"got \(5, 9\) and \(4,\)"):
        fit_whitening(x, p[:4])
    with pytest.raises(InvalidArgumentError, match=r"expected vectors \(v, d\), got \(9,\)"):
        fit_whitening(x[0], p)
    with pytest.raises(DimensionMismatchError, match=r"expected vectors \(n, 9\), got \(5, 8\)"):
        fit_whitening(x, p).apply(x[:, :8])


def test_it_is_stored(tmp_path: Path) -> None:
    """Bit for bit, in a file that others read, and nothing else is left in the folder."""
    whitening = fit_whitening(*zipfian())
    whitening.save(tmp_path / "whitening.safetensors")
    again = Whitening.open(tmp_path / "whitening.safetensors")
    np.testing.assert_array_equal(again.mean, whitening.mean)
    np.testing.assert_array_equal(again.transform, whitening.transform)
    assert set(load_file(tmp_path / "whitening.safetensors")) == {"mean", "transform"}
    assert [path.name for path in tmp_path.iterdir()] == ["whitening.safetensors"]


MEAN, TRANSFORM = np.zeros(4, np.float32), np.ones((4, 2), np.float32)
TOLD = {"kind": "lodex.whitening", "version": "1"}


@pytest.mark.parametrize(
    ("tensors", "told", "complaint"),
    [
        ({"mean": MEAN, "transform": TRANSFORM}, None, "expected lodex.whitening version 1"),
        ({"mean": MEAN, "transform": TRANSFORM}, {**TOLD, "version": "2"}, "'version': '2'"),
        ({"mean": MEAN, "transform": TRANSFORM}, {**TOLD, "kind": "lodex.int8"}, "'kind': 'lodex.int8'"),
        ({"mean": MEAN}, TOLD, r"expected the tensors \['mean', 'transform'\], found \['mean'\]"),
        ({"mean": MEAN, "transform": TRANSFORM, "x": MEAN}, TOLD, r"found \['mean', 'transform', 'x'\]"),
        ({"mean": MEAN, "transform": TRANSFORM.T.copy()}, TOLD, "do not fit together"),
        ({"mean": TRANSFORM, "transform": TRANSFORM}, TOLD, "do not fit together"),
        ({"mean": MEAN.astype(np.float64), "transform": TRANSFORM}, TOLD, "mean is float64"),
        ({"mean": MEAN, "transform": TRANSFORM * np.float32(np.nan)}, TOLD, "expected finite float32"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, tensors: dict[str, Array], told: dict[str, str] | None, complaint: str
) -> None:
    """Each complaint names the file."""
    save_file(tensors, tmp_path / "w.safetensors", told)
    with pytest.raises(DataLossError, match=complaint) as caught:
        Whitening.open(tmp_path / "w.safetensors")
    assert "w.safetensors" in str(caught.value)


@pytest.mark.parametrize("length", [0, 7, 60, -1])
def test_damaged_files_are_refused(tmp_path: Path, length: int) -> None:
    """Empty, and cut in the head and in the data."""
    path = tmp_path / "w.safetensors"
    Whitening(MEAN, TRANSFORM).save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataLossError, match="not a whole safetensors file"):
        Whitening.open(path)
