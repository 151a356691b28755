"""Attention of bfloat16 texts by the kernel of tiles: inside a model, and against torch's."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from lodex.embed.backbones.ragged_attention import Runs, ragged_attention
from lodex.embed.backbones.tile_attention import attend_in_tiles, fits_tiles
from lodex.kernels._text_attention import can_attend

pytestmark = pytest.mark.skipif(not can_attend(), reason="this processor has no tiles of bfloat16")
LENGTHS = (40, 17, 17, 1)


def draw(heads: int, width: int, tokens: int = sum(LENGTHS) + 5) -> torch.Tensor:
    """(1, h, N, d) as it comes from a linear layer."""
    return torch.randn(1, tokens, heads, width).bfloat16().transpose(1, 2)


@pytest.mark.parametrize(("heads", "key_heads", "width"), [(12, 12, 32), (4, 2, 64), (8, 1, 128)])
@torch.inference_mode()
def test_it_is_torchs_attention_of_each_text(heads: int, key_heads: int, width: int) -> None:
    """Up to the rounding of bfloat16; rows behind the texts are zero, and keys may lie in another order in memory."""
    torch.manual_seed(0)
    query, key, value = draw(heads, width), draw(key_heads, width).contiguous(), draw(key_heads, width)
    out = attend_in_tiles(query, key, value, LENGTHS, 0.2)
    begin = 0
    for length in LENGTHS:
        q, k, v = (x[:, :, begin : begin + length].float() for x in (query, key, value))
        expected = scaled_dot_product_attention(q, k, v, scale=0.2, enable_gqa=True)[0].transpose(0, 1)
        torch.testing.assert_close(out[begin : begin + length].float(), expected, atol=2e-2, rtol=2e-2)
        begin += length
    assert not out[begin:].any()


@torch.inference_mode()
def test_only_whole_texts_in_bfloat16_are_for_the_kernel() -> None:
    """Causal attention, windows and caps are torch's; so are other dtypes and widths."""
    assert fits_tiles(draw(2, 32))
    assert not fits_tiles(draw(2, 32).float())
    assert not fits_tiles(draw(2, 48))
    torch.manual_seed(0)
    module = torch.nn.Module()
    query, key, value = (draw(2, 32) for _ in range(3))
    runs = Runs.of(LENGTHS)
    whole, _ = ragged_attention(module, query, key, value, None, runs=runs, is_causal=False)
    torch.testing.assert_close(whole[0], attend_in_tiles(query, key, value, LENGTHS, 32**-0.5), atol=0, rtol=0)
    for narrow in ({"is_causal": True}, {"is_causal": False, "sliding_window": 3}):
        other, _ = ragged_attention(module, query, key, value, None, runs=runs, **narrow)
        assert not torch.equal(whole, other)
