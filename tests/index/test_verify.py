"""Verification: any changed byte of a store is found and named."""

import random
from pathlib import Path

import pytest

from lodex.errors import DataLossError
from lodex.index.build import build_index
from lodex.index.commit_lock import LOCK
from lodex.index.passages import PassagesBuilder
from lodex.index.store import Store
from lodex.index.verify import verify_store
from lodex.types import Document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "store")
    store.add([Document(f"doc-{i}", "some words of text. " * 200) for i in range(5)], segment_bytes=5000)
    build_index(store, "180w", PassagesBuilder())
    return store


def test_a_sound_store_verifies(store: Store) -> None:
    """All folders are read and nothing is damaged."""
    report = verify_store(store.path)
    assert report.damaged == ()
    assert report.folders == 2 * len(store.snapshot().segments)
    assert report.bytes > 10_000


def test_every_flipped_bit_is_found(store: Store) -> None:
    """300 single flips over every file: each is reported by folder, or refused as a damaged manifest."""
    rng = random.Random(7)
    files = [path for path in store.path.rglob("*") if path.is_file() and path.name != LOCK]
    newest = max(path for path in files if path.parent.name == "manifests")
    files = [path for path in files if path.parent.name != "manifests" or path == newest]
    for turn in range(300):
        path = files[turn % len(files)]
        sound = path.read_bytes()
        damaged = bytearray(sound)
        damaged[rng.randrange(len(sound))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        if path == newest:
            with pytest.raises(DataLossError):
                verify_store(store.path)
        else:
            assert any(str(path.parent) in sentence for sentence in verify_store(store.path).damaged), path
        path.write_bytes(sound)
    assert verify_store(store.path).damaged == ()


def test_missing_truncated_and_swapped_files_are_found(store: Store) -> None:
    """A file that is gone, short, or another's is named."""
    tables = sorted(store.path.rglob("passages.arrow"))
    sound = [path.read_bytes() for path in tables[:2]]
    tables[0].write_bytes(sound[0][:-8])
    assert "bytes" in verify_store(store.path).damaged[0]
    tables[0].unlink()
    assert "missing" in verify_store(store.path).damaged[0]
    tables[0].write_bytes(sound[1])
    tables[1].write_bytes(sound[0])
    assert len(verify_store(store.path).damaged) == 2


def test_a_damaged_block_is_never_read_as_text(store: Store) -> None:
    """Without any verify run, a flipped bit in the text raises when its block is read."""
    path = next(store.path.rglob("text.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataLossError):
        for _ in Store.open(store.path):
            pass
