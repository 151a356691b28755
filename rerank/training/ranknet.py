"""The weighted RankNet loss of FIRST."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def weighted_ranknet(scores: Tensor, ranks: Tensor) -> Tensor:
    """Mean over lists of the mean over their pairs of log(1 + exp(s_j - s_i)) / (r_i + r_j), for r_i < r_j.

    scores (N, P) float32; ranks (N, P) int64 from 1, the best, equal for those not told apart, which then form no
    pair, and 0 where there is no passage. The mean is over all n (n - 1) / 2 pairs of a list, with those that do not
    count, and not divided by the weights. Lists of one passage cost nothing. Returns a scalar.

    Gangi Reddy et al. 2024, FIRST (arXiv:2406.15657), equations 2 and 3; r are its gold ranks.
    """
    first, second = ranks[:, :, None], ranks[:, None, :]  # (N, P, 1), (N, 1, P)
    counts = (first > 0) & (second > 0) & (first < second)
    weights = counts.to(scores.dtype) / (first + second).clamp(min=1)
    losses = softplus(scores[:, None, :] - scores[:, :, None]) * weights  # (N, P, P): i before j
    n = (ranks > 0).sum(dim=1)
    pairs = (n * (n - 1) / 2).clamp(min=1)
    return (losses.sum(dim=(1, 2)) / pairs).mean()
