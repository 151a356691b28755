"""Activations that do not depend on where an element stands."""

import pytest
import torch
from torch import nn

from lodex.embed.runtime.whole_vectors import WholeVectors


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 31), (1, 3, 43), (2, 4, 8), (0, 7)])
def test_elements_have_the_bits_they_have_among_others(shape: tuple[int, ...]) -> None:
    """An element at the end of a tensor is rounded as the same one inside a large tensor."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    among = torch.cat([x.flatten(), torch.zeros(1024 - x.numel())])
    found = WholeVectors(nn.SiLU())(x)
    assert found.shape == x.shape
    assert torch.equal(found.flatten(), nn.SiLU()(among)[: x.numel()])
