"""The shards of a dense index: what a killed build keeps, and that nobody can tell afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lodex.index.build import build_index
from lodex.index.dense_build import DenseBuilder, read_encoder
from lodex.index.gc import collect_garbage
from lodex.index.passages import PassagesBuilder
from lodex.index.store import Store
from lodex.types import Document, Embeddings, EncoderInfo, Silent

INFO = EncoderInfo(name="counted", fingerprint="sha256:1", dimension=4, max_tokens=9, normalized=False)
PASSAGES = 50
ROWS = 8


class Interrupted(BaseException):
    """What ends a build in the middle of it, as a signal does."""


class Embedder:
    """Counts what it embeds, and breaks off at a given text."""

    def __init__(self, until: int | None = None) -> None:
        self.texts: list[str] = []
        self._until = until

    def __call__(self, texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
        """A vector of a text's number, and its length in tokens."""
        for text in texts:
            if len(self.texts) == self._until:
                raise Interrupted
            self.texts.append(text)
            advance(1)
        numbers = np.array([float(text.split()[1]) for text in texts], np.float32)
        lengths = np.array([len(text) for text in texts])
        return Embeddings(np.outer(numbers, [1, 2, 3, 4]).astype(np.float32), lengths > 6, int(lengths.sum()))


class Meter(Silent):
    """Sums up what is told."""

    def __init__(self) -> None:
        self.rows = self.read = 0

    def advance(self, amount: int) -> None:
        """More passages."""
        self.rows += amount

    def tokens(self, amount: int) -> None:
        """More tokens."""
        self.read += amount


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of 8 passages."""
    monkeypatch.setattr("lodex.index.dense_build.SHARD_ROWS", ROWS)


def store_at(path: Path) -> Store:
    store = Store.create(path)
    store.add(Document(f"d{i}", f"text {i}") for i in range(PASSAGES))
    build_index(store, "document", PassagesBuilder("document"))
    return store


def build(store: Store, embed: Embedder, **options: object) -> Path:
    """The folder of the only part."""
    snapshot = build_index(store, "dense", DenseBuilder("document", INFO, embed, **options))
    (part,) = (part for _, part in snapshot.parts("dense") if part is not None)
    return part.path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def shards(store: Store) -> list[Path]:
    return sorted((store.path / "artefacts/embed").glob("[0-9a-f]*"))


def test_shards_leave_the_bytes_that_one_piece_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipt and all, under the same id; and the shards are gone."""
    store = store_at(tmp_path / "shards")
    in_shards = build(store, Embedder())
    assert shards(store) == []
    monkeypatch.setattr("lodex.index.dense_build.SHARD_ROWS", 1000)
    whole = build(store_at(tmp_path / "whole"), Embedder())
    assert in_shards.name == whole.name
    assert files(in_shards) == files(whole)


@pytest.mark.parametrize("until", [0, 1, 8, 23, 24, 49])
def test_an_interrupted_build_loses_no_more_than_a_shard(tmp_path: Path, until: int) -> None:
    """What was embedded before is not embedded again but for the shard at work, and nothing differs."""
    whole = build(store_at(tmp_path / "whole"), Embedder())
    store = store_at(tmp_path / "cut")
    with pytest.raises(Interrupted):
        build(store, Embedder(until))
    assert len(shards(store)) == until // ROWS
    again = Embedder()
    cut = build(store, again)
    assert len(again.texts) == PASSAGES - until // ROWS * ROWS
    assert files(cut) == files(whole)
    assert shards(store) == []


def test_a_damaged_shard_is_embedded_again(tmp_path: Path) -> None:
    """It is never joined, and never a reason to stop."""
    whole = build(store_at(tmp_path / "whole"), Embedder())
    store = store_at(tmp_path / "cut")
    with pytest.raises(Interrupted):
        build(store, Embedder(30))
    file = shards(store)[1] / "vectors.f32"
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    again = Embedder()
    assert files(build(store, again)) == files(whole)
    assert len(again.texts) == PASSAGES - 3 * ROWS + ROWS


def test_progress_counts_every_passage_once_and_only_tokens_that_were_read(tmp_path: Path) -> None:
    """Passages of found shards are told as done; their tokens were not read now."""
    store = store_at(tmp_path / "store")
    with pytest.raises(Interrupted):
        build(store, Embedder(20))
    meter, again = Meter(), Embedder()
    build_index(store, "dense", DenseBuilder("document", INFO, again), meter)
    assert (meter.rows, meter.read) == (PASSAGES, sum(map(len, again.texts)))


def test_shards_of_another_embedder_are_not_taken(tmp_path: Path) -> None:
    """Each has its own."""
    store = store_at(tmp_path / "store")
    with pytest.raises(Interrupted):
        build(store, Embedder(20))
    other = Embedder()
    build_index(store, "other", DenseBuilder("document", replace(INFO, fingerprint="sha256:2"), other))
    assert len(other.texts) == PASSAGES


def test_the_configuration_holds_the_identity_of_the_embedder_alone() -> None:
    """What is known of it beside may change without making another index of one that is there."""
    plain = DenseBuilder("180w", INFO, Embedder()).config
    assert plain["encoder"] == {
        "name": "counted",
        "fingerprint": "sha256:1",
        "dimension": 4,
        "max_tokens": 9,
        "normalized": False,
    }
    more = replace(INFO, matryoshka=(4, 2), instructed=True)
    assert DenseBuilder("180w", more, Embedder()).config == plain
    assert read_encoder(plain) == INFO


def test_left_over_shards_are_garbage_once_they_are_old(tmp_path: Path) -> None:
    """A build that nobody repeats leaves nothing for ever, and what is young stays."""
    store = store_at(tmp_path / "store")
    with pytest.raises(Interrupted):
        build(store, Embedder(30))
    collect_garbage(store.path)
    assert len(shards(store)) == 3
    collect_garbage(store.path, grace_s=0)
    assert shards(store) == []
