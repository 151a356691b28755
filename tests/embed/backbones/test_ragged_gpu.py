"""Masks of ragged attention for a GPU, by FlexAttention's own formula on a CPU, against the calls for each length."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

from lodex.embed.backbones.ragged_attention import Runs, ragged_attention
from lodex.embed.backbones.ragged_gpu import _flex, attend_at_once

LENGTHS = (5, 1, 40, 40, 3, 140)


def drawn(heads: int, groups: int, width: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(heads)
    shapes = ((heads, width), (groups, width), (groups, width))
    return tuple(torch.randn(1, h, sum(LENGTHS), d, generator=random) for h, d in shapes)  # type: ignore[return-value]


# Torch warns that FlexAttention holds all scores where it is not compiled, which is what makes it a formula.
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2)])
def test_masks_are_those_of_the_calls_for_each_length(
    heads: int, groups: int, causal: bool, window: int | None, softcap: float | None
) -> None:
    """Texts do not meet, windows and caps hold; a window of w reaches w - 1 tokens back, or w both ways."""
    query, key, value = drawn(heads, groups)
    runs = Runs.of(LENGTHS)
    told = {"is_causal": causal, "sliding_window": window, "softcap": softcap, "scaling": 0.3}
    expected, _ = ragged_attention(nn.Module(), query, key, value, None, runs=runs, **told)
    reach = None if window is None else (window - 1, 0) if causal else (window, window)
    found = _flex(flex_attention, query, key, value, LENGTHS, 0.3, reach, causal=causal, softcap=softcap)
    torch.testing.assert_close(found, expected[0], rtol=0, atol=2e-6)


def test_a_cpu_is_left_to_the_calls_for_each_length() -> None:
    assert attend_at_once(*drawn(4, 2), LENGTHS, 0.3, None, causal=True, softcap=None) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="flash attention over lengths needs a GPU")
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("causal", [True, False])
def test_on_a_gpu(causal: bool, window: int | None, softcap: float | None) -> None:
    """Flash attention, and flex where there is a cap, in bfloat16 against float32 on the CPU."""
    tensors = [x.bfloat16() for x in drawn(4, 2, 64)]
    told = {"is_causal": causal, "sliding_window": window, "softcap": softcap, "scaling": 0.3}
    runs = Runs.of(LENGTHS)
    expected, _ = ragged_attention(nn.Module(), *(x.float() for x in tensors), None, runs=runs, **told)
    found, _ = ragged_attention(nn.Module(), *(x.cuda() for x in tensors), None, runs=runs, **told)
    torch.testing.assert_close(found.cpu().float(), expected, rtol=0, atol=3e-2)
