"""Searching bits: against brute force, FAISS and the whole vectors."""

import numpy as np
import pytest

from lodex.embed.vectors.quantization import fit_int8, from_bits, to_bits
from lodex.embed.vectors.rescoring import hamming_top, rescore, search_bits
from lodex.errors import DimensionMismatchError, InvalidArgumentError


def unit(n: int, d: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("d", [5, 8, 20])
def test_the_nearest_by_differing_bits(d: int) -> None:
    """Counted bit by bit, ties by ascending row: few bits make many ties."""
    queries, documents = unit(6, d, 0), unit(90, d, 1)
    rows, distances = hamming_top(to_bits(queries), to_bits(documents), 10)
    for q, query in enumerate(queries):
        differing = [sum((a > 0) != (b > 0) for a, b in zip(query, row, strict=True)) for row in documents]
        expected = sorted(range(90), key=lambda i: (differing[i], i))[:10]
        assert rows[q].tolist() == expected
        assert distances[q].tolist() == [differing[i] for i in expected]


def test_distances_are_those_of_faiss() -> None:
    faiss = pytest.importorskip("faiss")
    queries, documents = to_bits(unit(7, 64, 0)), to_bits(unit(300, 64, 1))
    index = faiss.IndexBinaryFlat(64)
    index.add(documents)
    np.testing.assert_array_equal(hamming_top(queries, documents, 12)[1], index.search(queries, 12)[0])


def test_rescoring_orders_candidates_by_score() -> None:
    """Equal scores by ascending row, whatever the order of the candidates."""
    documents = np.array([[1, 0], [2, 0], [1, 0], [0, 1], [2, 0]], np.float32)
    rows, scores = rescore(np.array([[1, 0]], np.float32), np.array([[4, 3, 2, 1, 0]]), documents, 4)
    assert rows.tolist() == [[1, 4, 0, 2]]
    assert scores.tolist() == [[2, 2, 1, 1]]


def test_enough_candidates_give_the_whole_answer() -> None:
    """With all documents as candidates the scores are those of what the codes, or the signs, stand for."""
    queries, documents = unit(5, 32, 0), unit(80, 32, 1)
    ranges = fit_int8(documents)
    codes = ranges.encode(documents)
    bits = to_bits(documents)
    for stands_for, options in ((ranges.decode(codes), {"codes": codes, "ranges": ranges}), (from_bits(bits, 32), {})):
        rows, scores = search_bits(queries, bits, 10, multiplier=8, **options)
        exact = queries @ stands_for.T
        expected = np.argsort(-exact, axis=1, kind="stable")[:, :10]
        np.testing.assert_allclose(scores, np.take_along_axis(exact, expected, 1), atol=1e-5)
        if options:  # signs alone tie too often for an order of rounded sums
            np.testing.assert_array_equal(rows, expected)


def test_rescoring_repairs_what_bits_lose() -> None:
    """Of the 10 best of 2,000, bits alone find fewer than bits with int8, which find nearly all."""
    queries, documents = unit(50, 128, 0), unit(2000, 128, 1)
    documents[: 50 * 10] += 0.6 * np.repeat(queries, 10, axis=0)
    ranges = fit_int8(documents)
    whole = np.argsort(-(queries @ documents.T), axis=1)[:, :10]
    bits = to_bits(documents)
    alone, _ = hamming_top(to_bits(queries), bits, 10)
    again, _ = search_bits(queries, bits, 10, codes=ranges.encode(documents), ranges=ranges)

    def recall(found: np.ndarray) -> float:
        return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), whole.tolist(), strict=True)]))

    assert recall(alone) < recall(again)
    assert recall(again) > 0.95


def test_fewer_documents_than_asked_for() -> None:
    """As many columns as there are documents, none too."""
    rows, scores = search_bits(unit(2, 9, 0), to_bits(unit(3, 9, 1)), 5)
    assert rows.shape == scores.shape == (2, 3)
    rows, scores = search_bits(unit(2, 9, 0), to_bits(unit(0, 9, 1)), 5)
    assert rows.shape == scores.shape == (2, 0)


def test_arguments_that_disagree_are_refused() -> None:
    bits = to_bits(unit(3, 9, 0))
    with pytest.raises(DimensionMismatchError, match="differ in their bytes"):
        hamming_top(bits, bits[:, :1], 1)
    with pytest.raises(InvalidArgumentError, match="k of at least 1, got 0"):
        hamming_top(bits, bits, 0)
    with pytest.raises(InvalidArgumentError, match="codes come with the ranges"):
        search_bits(unit(3, 9, 0), bits, 1, codes=np.zeros((3, 9), np.int8))
