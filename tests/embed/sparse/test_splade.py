"""SPLADE from an LM head: against the formula over all logits at once."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from lodex.embed.backbones.lm_head import LmHead
from lodex.embed.ragged import Ragged
from lodex.embed.sparse.csr import SparseRows
from lodex.embed.sparse.splade import SpladePooling
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InternalError, InvalidArgumentError

V, H = 300, 16


def batch_of(lengths: list[int], skip: int = 0) -> Ragged:
    """Texts whose first `skip` tokens are not pooled."""
    return Ragged.of([TokenRow([0] * n, min(skip, n - 1), n) for n in lengths])


def drawn(tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """States, and a head whose weights are whole numbers: so many terms have exactly equal logits."""
    random = torch.Generator().manual_seed(seed)
    states = torch.randint(-2, 3, (tokens, H), generator=random).float()
    weight = torch.randint(-1, 2, (V, H), generator=random).float()
    return states, weight, torch.randint(-3, 2, (V,), generator=random).float()


def dense(
    states: Tensor, batch: Ragged, weight: Tensor, bias: Tensor | None, softcap: float | None
) -> npt.NDArray[np.float64]:
    """All logits in float64, masked, log(1 + relu), maximum: (B, V)."""
    logits = states.double() @ weight.double().T
    if bias is not None:
        logits = logits + bias.double()
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    weights = torch.log1p(torch.relu(logits)) * batch.pooled[:, None]
    return torch.stack([text.amax(0) for text in weights.split(list(batch.lengths))]).numpy()


def best(row: npt.NDArray[np.float64], top_k: int | None) -> list[int]:
    """Ids with a weight, by weight and then by id, cut to `top_k`, ascending: weights equal in float32 are equal."""
    order = sorted(np.flatnonzero(row).tolist(), key=lambda v: (-np.float32(row[v]), v))
    return sorted(order[:top_k])


def assert_rows(rows: SparseRows, expected: npt.NDArray[np.float64], top_k: int | None) -> None:
    assert len(rows) == len(expected)
    assert (rows.indptr.dtype, rows.ids.dtype, rows.weights.dtype) == (np.int64, np.uint32, np.float32)
    for i, row in enumerate(expected):
        place = slice(rows.indptr[i], rows.indptr[i + 1])
        ids = rows.ids[place].tolist()
        assert ids == best(row, top_k)
        np.testing.assert_allclose(rows.weights[place], row[ids], rtol=0, atol=2e-6)


@pytest.mark.parametrize("chunk", [1, 7, 64, 299, 300, 4096])
@pytest.mark.parametrize("top_k", [1, 5, 64, 300, 1000, None])
@pytest.mark.parametrize("softcap", [None, 4.0])
def test_terms_are_those_of_all_logits(chunk: int, top_k: int | None, softcap: float | None) -> None:
    """Whatever the pieces of the vocabulary: with ties at the cut, smaller ids stay."""
    batch = batch_of([3, 1, 9, 2], skip=1)
    states, weight, bias = drawn(15)
    rows = SpladePooling(LmHead(weight, bias, softcap), chunk=chunk)(states, batch, top_k)
    assert_rows(rows, dense(states, batch, weight, bias, softcap), top_k)


def test_it_is_what_sentence_transformers_does() -> None:
    """Its own pooling of the logits, padded, without a cut."""
    peer = pytest.importorskip("sentence_transformers.sparse_encoder.modules")
    lengths = [4, 1, 7]
    batch = batch_of(lengths)
    random = torch.Generator().manual_seed(3)
    states, weight = torch.randn(12, H, generator=random), torch.randn(V, H, generator=random)
    padded = torch.nn.utils.rnn.pad_sequence(list((states @ weight.T).split(lengths)), batch_first=True)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    pooling = peer.SpladePooling("max").eval()
    expected = pooling({"token_embeddings": padded, "attention_mask": mask})["sentence_embedding"]
    assert_rows(SpladePooling(LmHead(weight))(states, batch), expected.double().numpy(), None)


def test_a_text_has_one_row_whatever_stands_beside_it() -> None:
    """Bit for bit."""
    random = torch.Generator().manual_seed(3)
    lengths = [5, 33, 1, 64, 17]
    states, weight = torch.randn(sum(lengths), H, generator=random), torch.randn(V, H, generator=random)
    pooling = SpladePooling(LmHead(weight), chunk=64)
    together = pooling(states, batch_of(lengths), 20)
    for i, text in enumerate(states.split(lengths)):
        alone = pooling(text, batch_of([lengths[i]]), 20)
        place = slice(together.indptr[i], together.indptr[i + 1])
        np.testing.assert_array_equal(together.ids[place], alone.ids)
        np.testing.assert_array_equal(together.weights[place], alone.weights)


def test_a_text_may_have_no_term() -> None:
    """Where no logit is above 0 the row is empty, and the others stand where they should."""
    states, weight, _ = drawn(4)
    states[1:3] = 0
    batch = batch_of([1, 2, 1])
    for top_k in (3, None):
        rows = SpladePooling(LmHead(weight))(states, batch, top_k)
        assert rows.indptr[1] == rows.indptr[2]
        assert_rows(rows, dense(states, batch, weight, None, None), top_k)


def test_a_weight_of_zero_is_no_term() -> None:
    """`top_k` beyond the positive weights adds none of the others."""
    states, weight, _ = drawn(1)
    rows = SpladePooling(LmHead(weight))(states, batch_of([1]), V)
    assert (rows.weights > 0).all()
    assert len(rows.ids) < V


def test_logits_are_never_held() -> None:
    """Of 2,000 tokens and 20,000 terms (160 MB of logits, 0.5 MB of weights) no tensor over 10 MB is made."""
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **kwargs or {})
            outputs = result if isinstance(result, tuple | list) else [result]
            sizes.extend(t.numel() * t.itemsize for t in outputs if isinstance(t, Tensor) and t._base is None)
            return result

    random = torch.Generator().manual_seed(0)
    states, weight = torch.randn(2000, 8, generator=random), torch.randn(20_000, 8, generator=random)
    pooling, batch = SpladePooling(LmHead(weight)), batch_of([400] * 5)
    with Watch():
        pooling(states, batch, 100)
    assert max(sizes) < 10e6
    assert len(sizes) > 10


def test_broken_states_are_told() -> None:
    """NaN would look like a term without weight."""
    states, weight, _ = drawn(4)
    for value in (np.nan, np.inf):
        states[2, 3] = value
        for top_k in (5, None):
            with pytest.raises(InternalError, match="not finite"):
                SpladePooling(LmHead(weight))(states, batch_of([2, 2]), top_k)


def test_arguments_that_disagree_are_refused() -> None:
    states, weight, _ = drawn(4)
    with pytest.raises(InvalidArgumentError, match="at least 1 term, got 0") as caught:
        SpladePooling(LmHead(weight))(states, batch_of([4]), 0)
    assert caught.value.field == "sparse_top_k"
    with pytest.raises(InvalidArgumentError, match=r"expected states \(n, 16\)"):
        SpladePooling(LmHead(weight))(states[:, :8], batch_of([4]))
