"""Sparse embedders from folders: against transformers' own logits, text by text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lodex.embed.sparse.sparse_encoder import SparseEncoder
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind
from tests.embed.conftest import MakeDecoder, write_json

TEXTS = ["the cat", "sat", "on the mat, on the", "x" * 60, "", "the cat"]


def sparse_folder(make_decoder: MakeDecoder, model_type: str = "llama", own: dict[str, Any] | None = None) -> Path:
    folder = make_decoder(model_type)
    write_json(folder / "lodex.json", {"pooling": "splade", "attention": "causal", **(own or {})})
    return folder


@pytest.mark.parametrize("model_type", ["llama", "gemma2"])
def test_weights_are_those_of_the_logits(make_decoder: MakeDecoder, model_type: str) -> None:
    """log(1 + relu(max)) of what transformers computes for the ids alone; Gemma 2 caps its logits."""
    folder = sparse_folder(make_decoder, model_type)
    found = SparseEncoder.open(folder).embed(TEXTS, TextKind.PASSAGE)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    encoder = SparseEncoder.open(folder)
    for i, row in enumerate(encoder._tokens.encode(TEXTS)):
        with torch.inference_mode():
            logits = model(torch.tensor([list(row.ids)])).logits[0]  # type: ignore[union-attr]
        expected = torch.log1p(torch.relu(logits)).amax(0).numpy()
        ids, weights = found.row(i)
        whole = np.zeros(found.vocab_size, np.float32)
        whole[ids] = weights
        np.testing.assert_allclose(whole, expected, atol=2e-5)
    assert found.truncated.tolist() == [False, False, False, True, False, False]
    assert found.tokens == found.token_counts.sum()
    assert found.fingerprint == encoder.info.fingerprint
    assert encoder.info.sparse


def test_top_k_and_batches(make_decoder: MakeDecoder) -> None:
    """The largest weights of the whole row, in the order of the texts; alone a text has the same bits."""
    encoder = SparseEncoder.open(sparse_folder(make_decoder))
    told: list[int] = []
    whole = encoder.embed(TEXTS, TextKind.PASSAGE)
    cut = encoder.embed(TEXTS, TextKind.PASSAGE, told.append, top_k=7)
    assert sum(told) == len(TEXTS)
    for i, text in enumerate(TEXTS):
        ids, weights = whole.row(i)
        best = np.sort(np.argsort(-weights, kind="stable")[:7])
        np.testing.assert_array_equal(cut.row(i)[0], ids[best])
        np.testing.assert_array_equal(cut.row(i)[1], weights[best])
        alone = encoder.embed([text], TextKind.PASSAGE, top_k=7)
        np.testing.assert_array_equal(alone.weights, cut.row(i)[1])
    np.testing.assert_array_equal(cut.row(0)[1], cut.row(5)[1])
    assert len(encoder.embed([], TextKind.QUERY)) == 0


def test_other_models_are_refused(make_decoder: MakeDecoder) -> None:
    """One that pools otherwise, and one without a head."""
    with pytest.raises(InvalidArgumentError, match="pools by mean; sparse vectors need"):
        SparseEncoder.open(sparse_folder(make_decoder, own={"pooling": "mean"}))
