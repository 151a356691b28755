"""Searching bits and scoring what they find again: a plain reference for indexes of quantised vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.embed.vectors.quantization import Int8Ranges, from_bits, to_bits
from lodex.errors import DimensionMismatchError, InvalidArgumentError

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


def hamming_top(
    queries: npt.NDArray[np.uint8], documents: npt.NDArray[np.uint8], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The k documents that differ from each query in the fewest bits: rows and distances, (nq, k) int64 each.

    Both are rows of bytes as `to_bits` makes them. Nearest first, equal distances by ascending row; fewer columns
    where there are fewer documents.
    """
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise DimensionMismatchError(f"queries {queries.shape} and documents {documents.shape} differ in their bytes")
    if k < 1:
        raise InvalidArgumentError(f"expected k of at least 1, got {k}", "k")
    rows = np.empty((len(queries), min(k, len(documents))), np.int64)
    distances = np.empty_like(rows)
    for i, query in enumerate(queries):
        differing = np.bitwise_count(documents ^ query).sum(axis=1, dtype=np.int64)
        rows[i] = np.argsort(differing, kind="stable")[: rows.shape[1]]
        distances[i] = differing[rows[i]]
    return rows, distances


def rescore(
    queries: npt.NDArray[np.floating[Any]],
    candidates: npt.NDArray[np.int64],
    documents: npt.NDArray[np.float32],
    k: int,
) -> Found:
    """The best k of each query's candidates by inner product: rows and scores, (nq, k).

    Shapes: queries (nq, d); candidates (nq, c), rows of `documents` (n, d), none of them twice. Highest score first,
    equal scores by ascending row.
    """
    rows = np.empty((len(queries), min(k, candidates.shape[1])), np.int64)
    scores = np.empty(rows.shape, np.float32)
    for i, (query, found) in enumerate(zip(queries, candidates, strict=True)):
        ascending = np.sort(found)
        products = documents[ascending] @ query.astype(np.float32)
        best = np.argsort(-products, kind="stable")[: rows.shape[1]]
        rows[i], scores[i] = ascending[best], products[best]
    return rows, scores


def search_bits(
    queries: npt.NDArray[np.float32],
    bits: npt.NDArray[np.uint8],
    k: int,
    *,
    codes: npt.NDArray[np.int8] | None = None,
    ranges: Int8Ranges | None = None,
    multiplier: int = 4,
) -> Found:
    """The best k documents for each query: k * multiplier by their bits, those again by the whole query.

    Shapes: queries (nq, d), bits (n, ceil(d / 8)), `codes` (n, d) int8 of `ranges`. Candidates are scored by the inner
    product of the query with what the codes stand for; without codes with the signs, 1 and -1.
    Yamada et al. 2021 (arXiv:2106.00882), section 3, rescore so from bits alone.
    """
    if (codes is None) != (ranges is None):
        raise InvalidArgumentError("codes come with the ranges that made them")
    candidates, _ = hamming_top(to_bits(queries), bits, k * multiplier)
    needed, places = np.unique(candidates, return_inverse=True)
    if codes is None or ranges is None:
        documents = from_bits(bits[needed], queries.shape[1])
    else:
        documents = ranges.decode(codes[needed])
    rows, scores = rescore(queries, places.reshape(candidates.shape), documents, k)
    return needed[rows], scores
