"""From nearest neighbours to distributions over tokens, without a buffer of the vocabulary's size a query.

Khandelwal et al. 2020, Generalization through Memorization (arXiv:1911.00172), section 2: the softmax of the negative
squared distances, summed over neighbours of one token.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lodex.index.knn import Neighbors

Floats = npt.NDArray[np.float64]


def neighbor_weights(neighbors: Neighbors, temperature: float) -> Floats:
    """The share of each neighbour, (n, k) float64: rows sum to one, or are all zero where nothing was found."""
    # Of the distances only their differences count: the nearest is moved to zero, so nothing underflows for all.
    distances = neighbors.distances.astype(np.float64)
    found = neighbors.token_ids >= 0
    nearest = np.where(found, distances, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    shifted = np.where(found, distances - np.where(np.isfinite(nearest), nearest, 0.0), np.inf)
    weights = np.exp(-shifted / temperature)
    totals = weights.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    return shares


def target_log_probabilities(neighbors: Neighbors, temperature: float, targets: npt.NDArray[np.int64]) -> Floats:
    """The logarithm of what the neighbours give to one token a query, (n,): -inf for none of it."""
    weights = neighbor_weights(neighbors, temperature)
    with np.errstate(divide="ignore"):
        log_probabilities: Floats = np.log(np.where(neighbors.token_ids == targets[:, None], weights, 0.0).sum(axis=1))
    return np.minimum(log_probabilities, 0.0)


def token_distribution(neighbors: Neighbors, temperature: float, row: int = 0) -> tuple[npt.NDArray[np.int64], Floats]:
    """The tokens that the neighbours of one query give, ascending, and the probability of each; none is left out."""
    weights = neighbor_weights(neighbors, temperature)[row]
    found = neighbors.token_ids[row] >= 0
    tokens, places = np.unique(neighbors.token_ids[row][found], return_inverse=True)
    return tokens.astype(np.int64), np.bincount(places, weights[found], minlength=len(tokens)).astype(np.float64)
