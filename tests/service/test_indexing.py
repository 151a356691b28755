"""Building indexes and bringing them up to date."""

import shutil
from pathlib import Path

import pytest

import lodex
from lodex.errors import FailedPreconditionError, NotFoundError
from lodex.index.store import Store
from lodex.index.tokenizer import DEFAULT_TOKENIZER
from lodex.service.indexing import (
    IndexStatus,
    build_dense_index,
    build_passages,
    build_suffix_index,
    index_status,
    update_indexes,
)
from lodex.service.models import Models
from lodex.types import Document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two documents in one segment."""
    store = Store.create(tmp_path / "store")
    store.add([Document("a", "one fish two fish"), Document("b", "red fish")])
    return store


def names(store: Store) -> dict[str, str]:
    return {name: entry.kind for name, entry in store.snapshot().manifest.indexes.items()}


def test_a_suffix_index_brings_its_token_stream(store: Store) -> None:
    """Called after the tokenizer; a second index may share it."""
    build_suffix_index(store)
    assert names(store) == {DEFAULT_TOKENIZER: "tokens", "suffix": "suffix"}
    build_suffix_index(store, name="again")
    assert names(store) == {DEFAULT_TOKENIZER: "tokens", "suffix": "suffix", "again": "suffix"}


def test_building_what_is_there_publishes_nothing(store: Store, byte_tokenizer: Path) -> None:
    """The same command again is free."""
    version = build_suffix_index(store, str(byte_tokenizer)).version
    assert build_suffix_index(store, str(byte_tokenizer)).version == version
    assert build_passages(store).version == build_passages(store).version


def test_an_unknown_embedder_leaves_no_index(store: Store) -> None:
    """Passages that were cut for it stay, as any index may use them."""
    with pytest.raises(NotFoundError):
        build_dense_index(store, "no-such-model")
    assert "dense" not in names(store)


def test_the_status_says_what_lacks_parts(store: Store, byte_tokenizer: Path) -> None:
    """In the order in which they can be built: what others are built over comes first."""
    build_suffix_index(store, str(byte_tokenizer))
    build_passages(store)
    stream = store.snapshot().index("suffix").config["stream"]
    store.add([Document("c", "blue fish")])
    status = index_status(store.snapshot())
    assert status == [
        IndexStatus("180w", "passages", 1, 2),
        IndexStatus(stream, "tokens", 1, 2),
        IndexStatus("suffix", "suffix", 1, 2),
    ]
    assert update_indexes(store) == ("180w", stream, "suffix")
    assert all(entry.is_complete for entry in index_status(store.snapshot()))
    assert update_indexes(store) == ()


def test_updating_keeps_the_configuration(store: Store, byte_tokenizer: Path, tmp_path: Path) -> None:
    """A tokenizer from a file is taken from the stream itself, so the file may be gone."""
    copy = tmp_path / "tokenizer.json"
    shutil.copy(byte_tokenizer, copy)
    build_suffix_index(store, str(copy), "by-bytes")
    copy.unlink()
    store.add([Document("c", "blue fish")])
    update_indexes(store)
    with lodex.open(store.path) as db:
        answers = db.count("fish", literal=True)
    assert answers[0].count == 4
    assert answers.provenance.segments_ok == 2


def test_a_tokenizer_outlives_the_segment_that_kept_it(store: Store, byte_tokenizer: Path, tmp_path: Path) -> None:
    """Replacing every document leaves a stream without parts, whose tokenizer an older version still has."""
    copy = tmp_path / "tokenizer.json"
    shutil.copy(byte_tokenizer, copy)
    build_suffix_index(store, str(copy))
    copy.unlink()
    store.add([Document("a", "no fish"), Document("b", "none")], replace=True)
    assert index_status(store.snapshot())[0].segments_ok == 0
    update_indexes(store)
    with lodex.open(store.path) as db:
        assert db.count("fish")[0].count == 1


def test_a_tokenizer_is_never_guessed(tmp_path: Path, byte_tokenizer: Path) -> None:
    """A stream that never had a part is not built with what its name may stand for elsewhere."""
    empty = Store.create(tmp_path / "empty")
    build_suffix_index(empty, str(byte_tokenizer))
    empty.add([Document("a", "fish")])
    with pytest.raises(FailedPreconditionError, match="--tokenizer"):
        update_indexes(empty)
    build_suffix_index(empty, str(byte_tokenizer))
    assert all(status.is_complete for status in index_status(empty.snapshot()))


def test_an_embedder_that_is_loaded_is_not_loaded_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is built with that of the models which are handed in, and so is what it lacks later."""
    models = Models()
    models.load("minilm")
    monkeypatch.setattr("lodex.embed.registry.load_encoder", pytest.fail)
    build_dense_index(store, models=models)
    store.add([Document("c", "blue fish")])
    assert "dense" in update_indexes(store, models=models)


def test_updating_needs_the_very_embedder(store: Store, tmp_path: Path) -> None:
    """An embedder that is not known by name is asked for, not replaced by the default."""
    build_dense_index(store)
    models = Models()
    store.add([Document("c", "blue fish")])
    entry = store.snapshot().index("dense")
    other = dict(entry.config["encoder"]) | {"fingerprint": "sha256:other"}
    with pytest.raises(FailedPreconditionError, match="sha256:other"):
        models.load_same(lodex.types.EncoderInfo(**other))
    with pytest.raises(FailedPreconditionError, match=r"models\.mine"):
        models.load_same(lodex.types.EncoderInfo(**(other | {"name": "mine"})))
    assert update_indexes(store, models=models) == ("180w", "dense")
