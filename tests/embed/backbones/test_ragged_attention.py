"""Attention within each text of a ragged batch, against the formula in float64."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lodex.embed.backbones import ragged_attention as module
from lodex.embed.backbones.ragged_attention import Runs, ragged_attention

HEADS, SHARED, WIDTH = 4, 2, 8


class Layer(nn.Module):
    """A layer of a family that is causal by itself, or not."""

    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal


def project(tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (1, h, N, d) as models hand them over: transposed views of (1, N, h, d)."""
    random = torch.Generator().manual_seed(seed)
    shapes = [(1, tokens, heads, WIDTH) for heads in (HEADS, SHARED, SHARED)]
    q, k, v = (torch.randn(shape, generator=random).transpose(1, 2) for shape in shapes)
    return q, k, v


def plain(q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...], sees: Any, softcap: float | None) -> Tensor:
    """Token by token: of those of its own text that `sees(query, key)` allows, (N, h, d) float64."""
    out = torch.zeros(q.shape[2], HEADS, WIDTH, dtype=torch.float64)
    begin = 0
    for length in lengths:
        for i in range(length):
            keys = [begin + j for j in range(length) if sees(i, j)]
            for head in range(HEADS):
                shared = head * SHARED // HEADS
                scores = k[0, shared, keys].double() @ q[0, head, begin + i].double() * WIDTH**-0.5
                if softcap is not None:
                    scores = softcap * torch.tanh(scores / softcap)
                out[begin + i, head] = scores.softmax(0) @ v[0, shared, keys].double()
        begin += length
    return out


RULES: dict[str, tuple[bool, bool | None, Any]] = {
    # module.is_causal, the argument, who sees whom with a window w (None: none)
    "causal": (True, None, lambda w: lambda i, j: j <= i and (w is None or i - j < w)),
    "stated causal": (False, True, lambda w: lambda i, j: j <= i and (w is None or i - j < w)),
    "made bidirectional": (True, False, lambda w: lambda i, j: w is None or abs(i - j) <= w),
    "bidirectional of its own": (False, None, lambda w: lambda i, j: w is None or abs(i - j) < w),
}


@pytest.mark.parametrize("block", [3, 256])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize("rule", RULES)
def test_every_text_attends_to_itself_by_the_rule(
    rule: str, window: int | None, softcap: float | None, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows and caps as transformers' masks have them, whether queries go in one block or in several."""
    monkeypatch.setattr(module, "_QUERY_BLOCK", block)
    own, stated, sees = RULES[rule]
    lengths = (4, 4, 1, 9, 2)
    q, k, v = project(sum(lengths))
    got, _ = ragged_attention(
        Layer(own), q, k, v, None, runs=Runs.of(lengths), is_causal=stated, sliding_window=window, softcap=softcap
    )
    assert got.shape == (1, sum(lengths), HEADS, WIDTH)
    torch.testing.assert_close(got[0].double(), plain(q, k, v, lengths, sees(window), softcap), atol=2e-6, rtol=2e-6)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 5), st.data())
@settings(max_examples=50, deadline=None)
def test_a_text_has_the_same_bits_beside_any_others(lengths: list[int], more: int, data: st.DataObject) -> None:
    """Neither neighbours nor rows that are of no text change a text's rows."""
    which = data.draw(st.integers(0, len(lengths) - 1))
    softcap = data.draw(st.sampled_from([None, 2.0]))
    begin = sum(lengths[:which])
    end = begin + lengths[which]
    q, k, v = project(sum(lengths) + more)
    beside, _ = ragged_attention(Layer(True), q, k, v, None, runs=Runs.of(tuple(lengths)), softcap=softcap)
    own = [x[:, :, begin:end].transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    alone, _ = ragged_attention(Layer(True), *own, None, runs=Runs.of((lengths[which],)), softcap=softcap)
    assert torch.equal(beside[:, begin:end], alone)
    assert (beside[:, sum(lengths) :] == 0).all()


def test_runs_are_texts_of_one_length_side_by_side() -> None:
    """Equal lengths that stand apart are runs of their own: nothing is sorted here."""
    assert Runs.of((3, 3, 5, 3)).runs == ((0, 2, 3), (6, 1, 5), (11, 1, 3))


def test_a_scaling_is_honoured() -> None:
    """Gemma scales by query_pre_attn_scalar, not by the width."""
    q, k, v = project(6)
    scaled, _ = ragged_attention(Layer(False), q, k, v, None, runs=Runs.of((6,)), scaling=0.7)
    expected = plain(q * 0.7 * WIDTH**0.5, k, v, (6,), lambda i, j: True, None)
    torch.testing.assert_close(scaled[0].double(), expected, atol=2e-6, rtol=2e-6)


def test_a_mask_of_the_batch_is_a_bug() -> None:
    """A mask would be one of padding, of which there is none."""
    q, k, v = project(4)
    with pytest.raises(AssertionError, match="takes no mask"):
        ragged_attention(Layer(True), q, k, v, torch.ones(1, 1, 4, 4), runs=Runs.of((4,)))
