"""Latent-attention pooling: against the paper's computation head by head, from weights of the published layout."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lodex.embed.pooling.latent_attention import LatentAttentionHead, LatentAttentionSizes, latent_attention_pool
from lodex.errors import InvalidArgumentError

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


def folded(state: dict[str, torch.Tensor]) -> LatentAttentionHead:
    head = LatentAttentionHead(SIZES)
    head.load_state_dict(state)
    head.fold()
    return head.requires_grad_(False)


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
def test_the_folded_head_is_the_head_as_written(seed: int) -> None:
    """Padding, an instruction at the front and single tokens are masked; the result is float32 and not normalised."""
    state = weights(seed)
    hidden = torch.randn(3, 6, 12, generator=torch.Generator().manual_seed(seed + 9)) * 2
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 1, 0]])
    pooled = latent_attention_pool(hidden, mask, folded(state))
    expected = [plain_pool(state, row, keep) for row, keep in zip(hidden.double().numpy(), mask.numpy(), strict=True)]
    assert pooled.dtype == torch.float32
    np.testing.assert_allclose(pooled.numpy(), expected, atol=1e-4)


def test_masked_tokens_do_not_matter() -> None:
    """What stands outside the mask changes nothing."""
    head = folded(weights())
    hidden = torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(1))
    other = hidden.clone()
    other[0, 0] += 100
    mask = torch.tensor([[0, 1, 1, 1]])
    torch.testing.assert_close(latent_attention_pool(hidden, mask, head), latent_attention_pool(other, mask, head))


@pytest.mark.parametrize(
    ("shape", "mask", "complaint"),
    [
        ((2, 3, 12), torch.tensor([[1, 0, 0], [0, 0, 0]]), "row 1 has no token"),
        ((2, 3, 11), torch.ones(2, 3), r"expected hidden states \(B, T, 12\)"),
        ((2, 3, 12), torch.ones(2, 4), r"got \(2, 3, 12\) and \(2, 4\)"),
        ((3, 12), torch.ones(3), "expected hidden states"),
    ],
)
def test_what_cannot_be_pooled_is_refused(shape: tuple[int, ...], mask: torch.Tensor, complaint: str) -> None:
    """A row without tokens would be 0 / 0; shapes that disagree are told."""
    with pytest.raises(InvalidArgumentError, match=complaint):
        latent_attention_pool(torch.zeros(shape), mask, folded(weights()))
