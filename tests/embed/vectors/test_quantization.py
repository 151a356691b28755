"""Bytes and bits of vectors: the same as those of sentence-transformers, and near the vectors they stand for."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lodex.embed.vectors.quantization import Int8Ranges, fit_int8, from_bits, to_bits
from lodex.errors import DataLossError, DimensionMismatchError, FailedPreconditionError, InvalidArgumentError

Array = npt.NDArray[np.float32]


def vectors(n: int, d: int = 13, seed: int = 0) -> Array:
    """Dimensions of very different ranges, one of which does not vary."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.logspace(0, -3, d) + rng.normal(size=d)
    x[:, 5] = 0.25
    return x.astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_codes_are_those_of_sentence_transformers(seed: int) -> None:
    """Byte for byte, for vectors within the ranges and outside, and for ranges given there as minimum and maximum."""
    peer = pytest.importorskip("sentence_transformers.util.quantization")
    calibration, x = np.split(vectors(500, seed=seed), [300])
    x = x * np.float32(1.05)
    ranges = fit_int8(calibration)
    expected = peer.quantize_embeddings(x, "int8", calibration_embeddings=calibration)
    np.testing.assert_array_equal(ranges.encode(x), expected)
    both = np.stack([calibration.min(axis=0), calibration.max(axis=0)])
    np.testing.assert_array_equal(ranges.encode(x), peer.quantize_embeddings(x, "int8", ranges=both))
    assert len(np.unique(ranges.encode(x))) > 200


@pytest.mark.parametrize("d", [1, 7, 8, 13, 64])
def test_bits_are_those_of_sentence_transformers(d: int) -> None:
    """Zero and minus zero have no bit; the first dimension is the highest; what fills the last byte is 0."""
    peer = pytest.importorskip("sentence_transformers.util.quantization")
    x = np.random.default_rng(d).normal(size=(40, d)).astype(np.float32)
    x[0], x[1] = 0.0, -0.0
    np.testing.assert_array_equal(to_bits(x), peer.quantize_embeddings(x, "ubinary"))


def test_bits_stand_where_the_protocol_says() -> None:
    """Each row begins a byte, the first dimension highest."""
    x = np.array([[1, -1, 1, 0, -1, -1, -1, 2, 3], [-1] * 8 + [-2]], np.float32)
    assert to_bits(x).tolist() == [[0b10100001, 0b10000000], [0, 0]]
    np.testing.assert_array_equal(from_bits(to_bits(x), 9), np.where(x > 0, 1, -1))
    assert from_bits(to_bits(x), 9).dtype == np.float32
    assert to_bits(x[:0]).shape == (0, 2)


def test_a_code_stands_for_the_centre_of_its_bucket() -> None:
    """Off by half a step at most, either way alike; a dimension that never varied is exact."""
    x = vectors(2000)
    ranges = fit_int8(x)
    off = ranges.decode(ranges.encode(x)) - x
    half = ranges.step / 2
    assert (np.abs(off) <= half * 1.001 + 1e-7).all()
    varying = np.arange(13) != 5
    assert (np.abs(off.mean(axis=0))[varying] < half[varying] / 10).all()
    np.testing.assert_array_equal(off[:, 5], 0)


def test_what_lies_outside_goes_to_the_ends() -> None:
    """Also of a dimension that did not vary, whose buckets are as wide as 1."""
    ranges = fit_int8(np.array([[0, 1], [255, 1]], np.float32))
    codes = ranges.encode(np.array([[-9, 1], [999, 1], [255, 9], [0, -9]], np.float32))
    assert codes.tolist() == [[-128, -128], [127, -128], [127, -120], [-128, -128]]
    assert ranges.encode(np.empty((0, 2), np.float32)).shape == (0, 2)


def test_scores_survive() -> None:
    """Inner products of unit vectors by int8 are within 0.01 of the whole ones, and the best of 500 stay the best."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 64))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    ranges = fit_int8(x)
    scores, whole = x[:20] @ ranges.decode(ranges.encode(x)).T, x[:20] @ x.T
    np.testing.assert_allclose(scores, whole, atol=0.01)
    np.testing.assert_array_equal(scores.argmax(axis=1), np.arange(20))


def test_ranges_need_a_calibration() -> None:
    """None, one vector and broken ones are no calibration."""
    with pytest.raises(FailedPreconditionError, match="at least 2, got 0"):
        fit_int8(np.empty((0, 4), np.float32))
    with pytest.raises(FailedPreconditionError, match="at least 2, got 1"):
        fit_int8(vectors(1))
    broken = vectors(5)
    broken[3, 2] = np.nan
    with pytest.raises(InvalidArgumentError, match="calibration vector 3 is not finite"):
        fit_int8(broken)
    with pytest.raises(InvalidArgumentError, match=r"expected calibration vectors \(n, d\), got \(13,\)"):
        fit_int8(vectors(5)[0])


def test_what_has_no_code_is_refused() -> None:
    """NaN, infinity and vectors of another size."""
    ranges = fit_int8(vectors(5))
    for value in (np.nan, np.inf):
        broken = vectors(5)
        broken[3, 2] = value
        with pytest.raises(InvalidArgumentError, match="vector 3 is not finite"):
            ranges.encode(broken)
    with pytest.raises(InvalidArgumentError, match="vector 1 has NaN"):
        to_bits(np.array([[1.0], [np.nan]], np.float32))
    with pytest.raises(DimensionMismatchError, match=r"\(n, 13\) of these ranges, got \(5, 12\)"):
        ranges.encode(vectors(5, 12))
    with pytest.raises(DimensionMismatchError, match=r"got \(5, 12\)"):
        ranges.decode(np.zeros((5, 12), np.int8))
    with pytest.raises(DimensionMismatchError, match="rows of 2 bytes for 9 bits"):
        from_bits(np.zeros((3, 1), np.uint8), 9)
    with pytest.raises(InvalidArgumentError, match=r"expected vectors \(n, d\)"):
        to_bits(np.zeros(8, np.float32))


def test_they_are_stored(tmp_path: Path) -> None:
    """Bit for bit; a file of steps below zero is refused."""
    ranges = fit_int8(vectors(50))
    ranges.save(tmp_path / "int8.safetensors")
    again = Int8Ranges.open(tmp_path / "int8.safetensors")
    np.testing.assert_array_equal(again.minimum, ranges.minimum)
    np.testing.assert_array_equal(again.step, ranges.step)
    Int8Ranges(ranges.minimum, -ranges.step).save(tmp_path / "wrong.safetensors")
    with pytest.raises(DataLossError, match="are no ranges"):
        Int8Ranges.open(tmp_path / "wrong.safetensors")
