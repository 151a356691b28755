"""Continuations: the same probabilities as scoring, one forward a token."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lodex.errors import InvalidArgumentError
from lodex.index.store import Store
from lodex.lm.generation import Generation
from lodex.lm.mixture import Mixture
from lodex.lm.model import LanguageModel
from lodex.lm.scoring import score_texts
from lodex.types import FinishReason, GeneratedTokens, Sampling
from tests.lm.test_scoring import build, mixture


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Store:
    """Ten documents in two segments."""
    return build(tmp_path_factory.mktemp("two") / "store", model_folder, 2)


def run(generation: Generation) -> list[GeneratedTokens]:
    pieces = []
    while generation.finished is None:
        pieces.append(generation.step())
    return pieces


@pytest.mark.parametrize("with_store", [False, True])
@pytest.mark.parametrize("prompt", ["", "abd", "cab. " * 7])
def test_streaming_equals_scoring(prompt: str, with_store: bool, model: LanguageModel, store: Store) -> None:
    """What is generated has the probabilities that scoring gives the same tokens, far beyond one window."""
    parts = mixture(store) if with_store else Mixture()
    ids = model.encode(prompt)
    generation = Generation(model, ids, Sampling(max_tokens=40, temperature=1.0, seed=3), parts)
    pieces = run(generation)
    made = [token for piece in pieces for token in piece.token_ids]
    said = [value for piece in pieces for value in piece.log_probabilities]
    (score,) = score_texts(model, [ids + made], parts, text_bytes=[1])
    np.testing.assert_allclose(said, score.log_probabilities[len(ids) :], rtol=0, atol=1e-4)
    assert len(said) == len(made)


@pytest.mark.parametrize("with_store", [False, True])
def test_the_distribution_sums_to_one(with_store: bool, model: LanguageModel, store: Store) -> None:
    """At every step the whole vocabulary has probability one."""
    generation = Generation(model, [3, 4], Sampling(), mixture(store) if with_store else None)
    assert np.exp(generation.next_log_probabilities()).sum() == pytest.approx(1, abs=1e-9)


def test_one_forward_a_token(model: LanguageModel) -> None:
    """A prompt of any length and each further token cost one pass, and `Finished` counts them."""
    before = model.decoder.forwards
    generation = Generation(model, [1, 2, 3, 4], Sampling(max_tokens=7, temperature=1.0, seed=1))
    made = sum(len(piece.token_ids) for piece in run(generation))
    assert generation.finished is not None
    assert model.decoder.forwards - before == generation.finished.forwards
    ended = generation.finished.reason is FinishReason.END
    assert (generation.finished.forwards, generation.finished.generated_tokens) == (made + ended, made)
    assert generation.finished.prompt_tokens == 4


def test_greedy_takes_the_most_probable(model: LanguageModel) -> None:
    """Temperature 0 follows the argmax of the plain logits."""
    import torch

    pieces = run(Generation(model, [1, 2], Sampling(max_tokens=8)))
    ids = [0, 1, 2]
    for piece in pieces:
        logits = model.decoder.logits(model.decoder.forward(torch.tensor([ids])).hidden[0, -1])
        expected = int(logits.argmax())
        assert piece.token_ids == (() if expected == 0 else (expected,))
        ids.append(expected)


def test_a_seed_decides(model: LanguageModel) -> None:
    """The same seed gives the same text, another one another."""
    texts = [
        "".join(p.text for p in run(Generation(model, [1], Sampling(max_tokens=30, temperature=2.0, seed=seed))))
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_stop_text_ends_it_and_is_not_part_of_it(model: LanguageModel) -> None:
    """The text ends right before the stop text."""
    for seed in range(20):
        sampling = Sampling(max_tokens=12, temperature=1.0, seed=seed)
        whole = "".join(piece.text for piece in run(Generation(model, [1], sampling)))
        if len(whole) > 6:
            break
    stop = whole[3:5]
    generation = Generation(model, [1], replace(sampling, stop=(stop,)))
    assert "".join(p.text for p in run(generation)) == whole[: whole.find(stop)]
    assert generation.finished is not None
    assert generation.finished.reason is FinishReason.STOP


def test_the_end_of_the_document_ends_it(model: LanguageModel, store: Store) -> None:
    """The token that ends documents is not part of the text."""
    for seed in range(50):
        generation = Generation(model, [1], Sampling(max_tokens=200, temperature=1.0, seed=seed), mixture(store))
        tokens = [token for piece in run(generation) for token in piece.token_ids]
        assert 0 not in tokens
        assert generation.finished is not None
        if generation.finished.reason is FinishReason.END:
            return
    pytest.fail("no document ended in fifty")


def test_a_prompt_outside_the_vocabulary_is_refused(model: LanguageModel) -> None:
    """The error names the id."""
    with pytest.raises(InvalidArgumentError, match="is 99"):
        Generation(model, [1, 99], Sampling())
