"""Multi-layer trainable pooling: against loops in float64, folded and plain."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lodex.embed.pooling.multi_layer import MultiLayerHead, MultiLayerPooling, MultiLayerSizes
from lodex.embed.ragged import Ragged
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import DimensionMismatchError

SIZES = MultiLayerSizes(layers=4, hidden=10, queries=3, heads=2, head_width=6, tokens="mean")
Array = npt.NDArray[np.float64]


def head(seed: int = 0) -> MultiLayerHead:
    torch.manual_seed(seed)
    made = MultiLayerHead(SIZES).requires_grad_(False)
    for weight in made.parameters():
        weight.copy_(torch.randn_like(weight) * 0.4)
    return made


def loops(w: dict[str, Array], layers: Array) -> Array:
    """(L + 1, H) to (H,): a query and a head at a time."""

    def norm(v: Array, name: str) -> Array:
        centred = v - v.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    Z = norm(layers + w["layer_weights"], "norm")
    keys, values = Z @ w["to_k.weight"].T, Z @ w["to_v.weight"].T
    outs = []
    for query in w["queries"]:
        answers = []
        for h in range(2):
            own = slice(h * 6, (h + 1) * 6)
            scores = np.array([query[own] @ key[own] / math.sqrt(6) for key in keys])
            shares = np.exp(scores - scores.max())
            answers.append(shares / shares.sum() @ values[:, own])
        x = w["to_out.weight"] @ np.concatenate(answers)
        inner = w["mlp.fn.net.0.weight"] @ norm(x, "mlp.norm") + w["mlp.fn.net.0.bias"]
        first, gate = np.split(inner, 2)
        gated = first * gate * 0.5 * (1 + np.array([math.erf(value / math.sqrt(2)) for value in gate]))
        outs.append(x + w["mlp.fn.net.2.weight"] @ gated + w["mlp.fn.net.2.bias"])
    return np.mean(outs, axis=0)


@pytest.mark.parametrize("form", ["plain", "folded"])
def test_the_head_is_its_loops(form: str) -> None:
    """Both forms, in a batch."""
    made = head()
    layers = torch.randn(3, 4, 10, generator=torch.Generator().manual_seed(2))
    w = {name: weight.double().numpy() for name, weight in made.state_dict().items()}
    result = made(layers) if form == "plain" else made.folded()(layers)
    np.testing.assert_allclose(result.numpy(), [loops(w, x) for x in layers.double().numpy()], atol=2e-5)


@pytest.mark.parametrize("tokens", ["mean", "last"])
def test_pooling_reads_one_vector_of_each_layer(tokens: str) -> None:
    """The mean of the pool or its last token, layer by layer from an iterator; bits do not depend on the batch."""
    made = head()
    made.sizes = MultiLayerSizes(4, 10, 3, 2, 6, tokens)
    pooling = MultiLayerPooling(made.folded())
    rows = [TokenRow([1] * 5, 2, 4), TokenRow([1] * 3, 0, 3)]
    states = torch.randn(4, 8, 10, generator=torch.Generator().manual_seed(3))
    pooled = pooling(iter(states), Ragged.of(rows))
    picked = [states[:, 2:4], states[:, 5:8]]
    layers = torch.stack([x.mean(1) if tokens == "mean" else x[:, -1] for x in picked])
    torch.testing.assert_close(pooled, made(layers), atol=2e-5, rtol=0)
    assert (pooling.reads_layers, pooling.dimension) == (True, 10)
    alone = pooling(iter(states[:, 5:]), Ragged.of(rows[1:]))
    assert torch.equal(alone[0], pooled[1])


@pytest.mark.parametrize("shape", [(3, 5, 10), (4, 5, 9)])
def test_another_backbone_is_refused(shape: tuple[int, ...]) -> None:
    """Fewer layers and other widths are told."""
    pooling = MultiLayerPooling(head().folded())
    with pytest.raises(DimensionMismatchError, match="expected 4 layers of 10"):
        pooling(iter(torch.zeros(shape)), Ragged.of([TokenRow([1] * 5, 0, 5)]))
