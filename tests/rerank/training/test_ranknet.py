import math

import pytest
import torch

from lodex.rerank.training.ranknet import weighted_ranknet


def pairwise(scores, ranks):
    """The loss as its formula is written, pair by pair."""
    lists = []
    for s, r in zip(scores.tolist(), ranks.tolist(), strict=True):
        present = [i for i, rank in enumerate(r) if rank > 0]
        total = 0.0
        for i in present:
            for j in present:
                if r[i] < r[j]:
                    total += math.log1p(math.exp(s[j] - s[i])) / (r[i] + r[j])
        n = len(present)
        lists.append(total / max(1, n * (n - 1) // 2))
    return sum(lists) / len(lists)


def test_the_loss_is_that_of_the_plain_loop():
    """Closed form and loop agree on lists with ties, absent passages and single ones."""
    generator = torch.Generator().manual_seed(1)
    for P in (1, 2, 8, 20):
        scores = 3 * torch.randn(50, P, generator=generator, dtype=torch.float64)
        ranks = torch.randint(0, P + 1, (50, P), generator=generator)
        assert float(weighted_ranknet(scores, ranks)) == pytest.approx(pairwise(scores, ranks), abs=1e-12)


def test_the_weights_of_a_list_of_twenty_sum_as_published():
    """At equal scores the loss is log 2 times the sum of weights, 11.26 for 20 passages, over 190 pairs."""
    loss = weighted_ranknet(torch.zeros(1, 20), torch.arange(1, 21)[None])
    assert float(loss) * 190 / math.log(2) == pytest.approx(11.26, abs=5e-3)


def test_the_gradient_moves_the_best_up():
    """Descending the loss raises the best passage and lowers the worst; what is absent stays."""
    scores = torch.zeros(1, 4, requires_grad=True)
    weighted_ranknet(scores, torch.tensor([[2, 1, 3, 0]])).backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] < 0 < scores.grad[0, 2]
    assert scores.grad[0, 3] == 0
