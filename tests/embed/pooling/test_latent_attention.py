"""Latent-attention pooling: against the paper's computation head by head, from weights of the published layout."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lodex.embed.pooling.latent_attention import LatentAttentionHead, LatentAttentionSizes
from lodex.embed.pooling.latent_pooling import LatentPooling
from lodex.embed.ragged import Ragged
from lodex.embed.runtime.packed_linear import pack_linear_layers
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import DimensionMismatchError

SIZES = LatentAttentionSizes(hidden=12, latents=7, latent_width=10, heads=3, head_width=5)
# The published names and shapes, with H, R, C, heads and D in the place of 4096, 512, 4096, 8 and 4096.
LAYOUT = {
    "latents": (7, 10),
    "cross_attend_blocks.0.norm.weight": (12,),
    "cross_attend_blocks.0.norm.bias": (12,),
    "cross_attend_blocks.0.norm_context.weight": (10,),
    "cross_attend_blocks.0.norm_context.bias": (10,),
    "cross_attend_blocks.0.fn.to_q.weight": (15, 12),
    "cross_attend_blocks.0.fn.to_kv.weight": (30, 10),
    "cross_attend_blocks.0.fn.to_out.weight": (12, 15),
    "cross_attend_blocks.1.norm.weight": (12,),
    "cross_attend_blocks.1.norm.bias": (12,),
    "cross_attend_blocks.1.fn.net.0.weight": (96, 12),
    "cross_attend_blocks.1.fn.net.0.bias": (96,),
    "cross_attend_blocks.1.fn.net.2.weight": (12, 48),
    "cross_attend_blocks.1.fn.net.2.bias": (12,),
}
Array = npt.NDArray[np.float64]


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of the published layout."""
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=random) * 0.7 for name, shape in LAYOUT.items()}


def published(state: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> LatentAttentionHead:
    head = LatentAttentionHead(SIZES)
    head.load_state_dict(state)
    return head.to(dtype).requires_grad_(False)


def plain_states(state: dict[str, torch.Tensor], x: Array, heads: int) -> Array:
    """One token (H,) through the head in float64: a loop over heads, keys and values computed as they are written."""
    w = {name.removeprefix("cross_attend_blocks."): value.double().numpy() for name, value in state.items()}

    def norm(v: Array, name: str) -> Array:
        centred = v - v.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    query = w["0.fn.to_q.weight"] @ norm(x, "0.norm")
    both = norm(w["latents"], "0.norm_context") @ w["0.fn.to_kv.weight"].T  # (R, 2 * heads * D)
    keys, values = np.split(both, 2, axis=1)
    size = len(query) // heads
    answers = []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        scores = keys[:, part] @ query[part] / np.sqrt(size)
        shares = np.exp(scores - scores.max())
        answers.append(shares / shares.sum() @ values[:, part])
    x = x + w["0.fn.to_out.weight"] @ np.concatenate(answers)
    inner = w["1.fn.net.0.weight"] @ norm(x, "1.norm") + w["1.fn.net.0.bias"]
    first, gate = np.split(inner, 2)
    gated = first * gate * 0.5 * (1 + np.array([math.erf(value / math.sqrt(2)) for value in gate]))
    return x + w["1.fn.net.2.weight"] @ gated + w["1.fn.net.2.bias"]


def plain_pool(state: dict[str, torch.Tensor], hidden: Array, mask: Array, heads: int = 3) -> Array:
    """(T, H) and (T,) to (H,)."""
    rows = [plain_states(state, x, heads) for x, m in zip(hidden, mask, strict=True) if m]
    return np.mean(rows, axis=0)


def test_the_layout_is_the_published_one() -> None:
    """Names and shapes of the tensors, of which none is missing and none further."""
    assert {name: tuple(value.shape) for name, value in LatentAttentionHead(SIZES).state_dict().items()} == LAYOUT


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", ["plain", "folded"])
def test_the_head_is_the_paper_s(seed: int, form: str) -> None:
    """Both forms give the loops in float64, token by token."""
    state = weights(seed)
    hidden = torch.randn(9, 12, generator=torch.Generator().manual_seed(seed + 9)) * 2
    head = published(state) if form == "plain" else published(state).folded()
    expected = [plain_states(state, x, 3) for x in hidden.double().numpy()]
    np.testing.assert_allclose(head(hidden).numpy(), expected, atol=2e-5)


def test_a_single_token_and_a_batch_of_rows_are_read_alike() -> None:
    """The head works on the last dimension, whatever stands before it."""
    head = published(weights()).folded()
    hidden = torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(head(hidden)[1, 2], head(hidden[1, 2]), atol=5e-5, rtol=0)
    assert head(hidden[:0]).shape == (0, 3, 12)


def test_folding_is_done_in_float32() -> None:
    """Of bfloat16 weights the folded head is that of the same weights in float32, not of rounded products."""
    state = {name: weight.bfloat16() for name, weight in weights().items()}
    head = published(state, torch.bfloat16).folded()
    assert {weight.dtype for weight in head.state_dict().values()} == {torch.float32}
    hidden = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    exact = {name: weight.float() for name, weight in state.items()}
    expected = [plain_states(exact, x, 3) for x in hidden.double().numpy()]
    np.testing.assert_allclose(head(hidden).numpy(), expected, atol=2e-5)


def test_folding_leaves_the_published_head_as_it_is() -> None:
    """The plain form can be asked again, and trained, after its folding; packing the folded one does not touch it."""
    state = weights()
    head = published(state)
    hidden = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    before = head(hidden)
    pack_linear_layers(head.folded())
    torch.testing.assert_close(head(hidden), before, atol=0, rtol=0)
    assert head.state_dict().keys() == state.keys()


def test_the_head_can_be_trained() -> None:
    """A gradient reaches every tensor of the published form."""
    head = LatentAttentionHead(SIZES)
    head(torch.randn(4, 12)).square().sum().backward()
    assert all(float(weight.grad.abs().max()) > 0 for weight in head.parameters() if weight.grad is not None)
    assert all(weight.grad is not None for weight in head.parameters())


def batch_of(*pools: tuple[int, int, int]) -> Ragged:
    """Texts of (tokens, first pooled, end of the pool)."""
    return Ragged.of([TokenRow([7] * tokens, begin, end) for tokens, begin, end in pools])


def test_pooling_is_the_mean_over_the_pool_of_each_text() -> None:
    """Instructions at the front, ends behind and single tokens are left out; float32, not normalised."""
    state = weights()
    batch = batch_of((6, 0, 6), (6, 2, 5), (1, 0, 1), (3, 2, 3))
    hidden = torch.randn(16, 12, generator=torch.Generator().manual_seed(4)) * 2
    pooling = LatentPooling(published(state).folded())
    pooled = pooling(hidden, batch)
    rows = torch.split(hidden, list(batch.lengths))
    masks = torch.split(batch.pooled, list(batch.lengths))
    expected = [plain_pool(state, x.double().numpy(), m.numpy()) for x, m in zip(rows, masks, strict=True)]
    assert (pooled.dtype, pooling.dimension, pooling.reads_layers) == (torch.float32, 12, False)
    np.testing.assert_allclose(pooled.numpy(), expected, atol=2e-5)


def test_tokens_out_of_the_pool_do_not_matter() -> None:
    """What their states are changes nothing, as long as they are finite."""
    pooling = LatentPooling(published(weights()).folded())
    batch = batch_of((4, 1, 3), (2, 0, 2))
    hidden = torch.randn(6, 12, generator=torch.Generator().manual_seed(1))
    other = hidden.clone()
    other[[0, 3]] += 100
    torch.testing.assert_close(pooling(hidden, batch), pooling(other, batch), atol=0, rtol=0)


@pytest.mark.parametrize("shape", [(4, 11), (3, 12), (1, 4, 12)])
def test_states_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Another width, another number of tokens, and padded batches are told."""
    pooling = LatentPooling(published(weights()).folded())
    with pytest.raises(DimensionMismatchError, match=r"expected states \(4, 12\)"):
        pooling(torch.zeros(shape), batch_of((4, 0, 4)))
