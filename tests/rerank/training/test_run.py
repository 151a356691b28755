import json

import numpy as np
import pytest
import torch

from lodex.embed.training.export import write_model
from lodex.embed.training.llama import LlamaShape, TrainingLlama
from lodex.embed.training.trainer import Budget
from lodex.errors import FailedPreconditionError
from lodex.index.build import build_index
from lodex.index.dense_build import DenseBuilder
from lodex.index.passages import PassagesBuilder
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.rerank.registry import load_reranker
from lodex.rerank.training.lists import ListShape
from lodex.rerank.training.run import RerankTraining, train_reranker
from lodex.rerank.training.task import reciprocal_gain, three_states
from lodex.types import Document, Embeddings, EncoderInfo, Silent
from tests.rerank.conftest import write_tokenizer

SETTINGS = RerankTraining(easy=32, mixed=32, held_out=20, held_out_share=0.4, shape=ListShape(200, 4), evaluate_every=2)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Compiling takes longer than these trainings."""
    monkeypatch.setattr("lodex.rerank.training.task.compiled", lambda function: function)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """A store of 240 small documents with vectors drawn at random."""
    store = Store.create(tmp_path_factory.mktemp("training") / "store")
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghij"))
    store.add(
        Document(f"d{i}", ". ".join(" ".join("".join(rng.choice(letters, 3)) for _ in range(6)) for _ in range(3)))
        for i in range(240)
    )
    build_index(store, "180w", PassagesBuilder())
    info = EncoderInfo("random", "sha256:0", 8, 256, True)

    def embed(texts, advance):
        return Embeddings(rng.normal(size=(len(texts), 8)).astype(np.float32), np.zeros(len(texts), np.bool_))

    build_index(store, "dense", DenseBuilder("180w", info, embed))
    return store.snapshot()


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    """A small random language model over single characters."""
    folder = tmp_path_factory.mktemp("training") / "init"
    write_tokenizer(folder)
    tokenizer = Tokenizer.load(folder)
    shape = LlamaShape(tokenizer.vocab_size, hidden=16, layers=2, heads=2, intermediate=24, context=256)
    torch.manual_seed(0)
    weights = TrainingLlama(shape).state_dict()
    write_model(folder, shape, weights, tokenizer.to_json(), "<|endoftext|>", tokenizer.eos_id)
    return folder


def test_what_is_trained_is_a_reranker(snapshot, init, tmp_path):
    """The folder opens as a reranker of its template and window, and its card tells what was measured."""
    lines: list[str] = []
    out = tmp_path / "tiny"
    log = train_reranker(snapshot, init, out, Budget(steps=4), SETTINGS, Silent(), lines.append)
    assert log.steps == 4
    reranker = load_reranker(out)
    assert (reranker.settings.window, reranker.settings.stride, reranker.max_tokens) == (4, 2, 200)
    ranking = reranker.rerank("abc", ["abc def", "ghi", "jab abc", "a", "b", "c"])
    assert (ranking.windows, ranking.forwards) == (2, 2)
    assert f"{log.evaluations[-1][1]:.4f}" in (out / "README.md").read_text()
    assert json.loads((out / "training.json").read_text())["evaluations"] == [list(e) for e in log.evaluations]


def test_a_training_goes_on_as_if_it_had_not_stopped(snapshot, init, tmp_path):
    """Two runs to four steps leave the weights of one run."""
    for name, budgets in (("once", [4]), ("twice", [2, 4])):
        for steps in budgets:
            train_reranker(snapshot, init, tmp_path / name, Budget(steps=steps), SETTINGS, Silent(), lambda line: None)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("once", "twice")]
    assert weights[0] == weights[1]


def test_lists_made_with_other_settings_are_refused(snapshot, init, tmp_path):
    """A folder keeps the lists of one training."""
    train_reranker(snapshot, init, tmp_path / "out", Budget(steps=1), SETTINGS, Silent(), lambda line: None)
    other = RerankTraining(easy=16, mixed=32, held_out=20, held_out_share=0.4, shape=ListShape(200, 4))
    with pytest.raises(FailedPreconditionError, match="other settings"):
        train_reranker(snapshot, init, tmp_path / "out", Budget(steps=2), other, Silent(), lambda line: None)


def test_the_last_of_three_states_is_the_models_own():
    """Stopping below the last layer changes nothing of what comes after it."""
    torch.manual_seed(1)
    model = TrainingLlama(LlamaShape(40, hidden=16, layers=3, heads=2, intermediate=24, context=32))
    ids = torch.randint(40, (2, 20))
    _, below, states = three_states(model, ids)
    torch.testing.assert_close(states, model(ids))
    model.layers = model.layers[:-1]
    torch.testing.assert_close(below, model(ids))


def test_gain_is_that_of_the_place_of_the_relevant_passage():
    """nDCG@10 with one relevant passage; ties count against it, and beyond 10 there is none."""
    scores = np.array([[0.1, 0.9, 0.5], [0.5, 0.5, 0.1]])
    ranks = np.array([[3, 2, 1], [1, 2, 2]])
    np.testing.assert_allclose(reciprocal_gain(scores, ranks), [1 / np.log2(3), 1 / np.log2(3)])
    long = np.arange(12.0)[None]
    assert reciprocal_gain(long, np.array([[1, *[2] * 11]])) == [0.0]
