"""Chunked cross-entropy against torch's own."""

import pytest
import torch
from torch.nn.functional import cross_entropy as reference

from lodex.embed.training.loss import cross_entropy, token_losses


@pytest.mark.parametrize("tokens", [1, 511, 512, 1300])
def test_loss_and_gradients_equal_those_of_the_plain_formula(tokens: int) -> None:
    """Value and gradients agree over chunk boundaries, with targets that do not count among them."""
    torch.manual_seed(tokens)
    states = torch.randn(tokens, 16, dtype=torch.float64).float().requires_grad_()
    head = torch.randn(50, 16).requires_grad_()
    targets = torch.randint(50, (tokens,))
    targets[torch.rand(tokens) < 0.3] = -100
    targets[0] = 7
    expected = reference(states @ head.T, targets, ignore_index=-100)
    wanted = torch.autograd.grad(2 * expected, [states, head])
    loss = cross_entropy(states, head, targets)
    given = torch.autograd.grad(2 * loss, [states, head])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(given, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_no_target_at_all_costs_nothing() -> None:
    """A batch without targets has loss zero, not nan."""
    states, head = torch.randn(5, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True)
    loss = cross_entropy(states, head, torch.full((5,), -100))
    loss.backward()
    assert loss == 0
    assert states.grad is not None
    assert not states.grad.any()


def test_token_losses_are_those_of_each_token() -> None:
    """The losses of single tokens agree with torch's own."""
    torch.manual_seed(3)
    states, head, targets = torch.randn(1100, 8), torch.randn(30, 8), torch.randint(30, (1100,))
    expected = reference(states @ head.T, targets, reduction="none")
    torch.testing.assert_close(token_losses(states, head, targets), expected, rtol=1e-5, atol=1e-5)
