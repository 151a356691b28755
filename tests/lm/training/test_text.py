"""The text of a store as training windows."""

import numpy as np
import pytest

from lodex.errors import FailedPreconditionError
from lodex.index.build import build_index
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.lm.training.text import Windows, is_dev, read_training_text
from lodex.types import Document

TEXTS = {f"doc-{i}": f"document number {i} says {'word ' * i}" for i in range(60)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Sixty documents in two segments, with a token stream."""
    store = Store.create(tmp_path_factory.mktemp("text") / "store")
    documents = [Document(doc_id, text, source="here") for doc_id, text in TEXTS.items()]
    store.add(documents[:25])
    store.add(documents[25:])
    build_index(store, "lodex-bpe-16k-v1", TokensBuilder(Tokenizer.load()))
    return store


def test_every_document_is_trained_on_or_kept_apart(store: Store) -> None:
    """The two parts are the store, each document between the tokens that end documents."""
    text = read_training_text(store.snapshot(), "lodex-bpe-16k-v1", 0.2)
    eos = text.tokenizer.eos_id
    assert text.train[0] == text.train[-1] == eos
    pieces = np.split(text.train, np.flatnonzero(text.train == eos))
    trained = {text.tokenizer.decode(piece[1:].astype(int)) for piece in pieces if len(piece) > 1}
    kept = {text.tokenizer.decode(ids[1:-1]) for ids in text.dev}
    assert trained == {t for doc_id, t in TEXTS.items() if not is_dev(doc_id, 0.2)}
    assert kept == {t for doc_id, t in TEXTS.items() if is_dev(doc_id, 0.2)}
    assert len(kept) >= 4
    assert sum(text.dev_bytes) == sum(len(t) for t in kept)
    assert text.train_documents == len(trained)
    assert set(text.dev_sources) == {"here"}


def test_a_stream_that_lacks_a_segment_is_refused(store: Store) -> None:
    """A model of half a store would be a surprise."""
    version = store.version
    store.add([Document("late", "text")])
    with pytest.raises(FailedPreconditionError, match="does not cover every segment"):
        read_training_text(store.snapshot(), "lodex-bpe-16k-v1", 0.2)
    assert read_training_text(Store.open(store.path, version).snapshot(), "lodex-bpe-16k-v1", 0.0).dev == ()


def test_an_epoch_reads_every_token_once() -> None:
    """Windows do not overlap as targets, and leave out less than two of them."""
    windows = Windows(np.arange(1000, dtype=np.uint32), 32, seed=1)
    targets = windows.read(windows.epoch(0))[:, 1:].ravel()
    assert len(set(targets.tolist())) == len(targets) >= 1000 - 2 * 32
    assert (np.diff(windows.read(windows.epoch(0)), axis=1) == 1).all()


def test_epochs_differ_and_a_seed_repeats_them() -> None:
    """Each epoch has an order and a beginning of its own, which the seed decides."""
    ids = np.arange(5000, dtype=np.uint32)
    first, second = (Windows(ids, 16, seed=1).epoch(n) for n in (0, 1))
    assert not np.array_equal(np.sort(first)[:10], np.sort(second)[:10])
    np.testing.assert_array_equal(first, Windows(ids, 16, seed=1).epoch(0))
    assert not np.array_equal(first, Windows(ids, 16, seed=2).epoch(0))


def test_a_text_shorter_than_a_window_is_refused() -> None:
    """The error says how many tokens there are."""
    with pytest.raises(FailedPreconditionError, match="20 tokens"):
        Windows(np.arange(20, dtype=np.uint32), 16, seed=1)
