"""How well cosines agree with what people think of the similarity of sentences."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lodex.errors import InputError, InvalidArgumentError, NotFoundError
from lodex.types import TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two sentences and how alike people found them, on any scale."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True)
class SimilarityScores:
    """Spearman's rank correlation of cosine and judgement over `pairs`."""

    spearman: float
    pairs: int


def read_pairs(path: Path) -> list[JudgedPair]:
    """Rows `first,second,score` of a CSV file without a header, as the STS Benchmark has them."""
    pairs = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.reader(file), 1):
                pairs.append(_pair(row, path, line))
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error}", str(path)) from error
    return pairs


def _pair(row: list[str], path: Path, line: int) -> JudgedPair:
    try:
        first, second, score = row
        return JudgedPair(first, second, float(score))
    except ValueError as error:
        raise InputError(f"expected two sentences and a number, got {row}", str(path), line) from error


def evaluate_similarity(encoder: TextEncoder, pairs: Sequence[JudgedPair]) -> SimilarityScores:
    """Embed both sides alike, as passages, and compare."""
    first, second = (
        encoder.embed(texts, TextKind.PASSAGE).vectors
        for texts in ([pair.first for pair in pairs], [pair.second for pair in pairs])
    )
    cosines = (first * second).sum(axis=1, dtype=np.float64)  # vectors have length 1
    return SimilarityScores(spearman(cosines, np.array([pair.score for pair in pairs])), len(pairs))


def spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """The correlation of the ranks of two samples (n,), equal values having the mean of their ranks.

    InvalidArgumentError for fewer than two values, and where all values of one sample are equal.
    """
    if len(x) < 2 or len(x) != len(y):
        raise InvalidArgumentError(f"expected two samples of one length, at least 2, got {len(x)} and {len(y)}")
    a, b = (ranks - ranks.mean() for ranks in (_ranks(x), _ranks(y)))
    spread = float(np.sqrt((a @ a) * (b @ b)))
    if spread == 0:
        raise InvalidArgumentError("all values of one sample are equal: they have no correlation")
    return float(a @ b) / spread


def _ranks(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 1, equal values having the mean of theirs."""
    _, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: npt.NDArray[np.float64] = last - (counts - 1) / 2
    return means[which]
