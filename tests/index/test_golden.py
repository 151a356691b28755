"""Golden stores: what earlier releases wrote opens in this one, gives the same answers, and can be written on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lodex.errors import DataLossError
from lodex.index.build import build_index
from lodex.index.files import checksum_bytes
from lodex.index.manifest import FORMAT_VERSION, manifest_path
from lodex.index.passages import PassagesBuilder
from lodex.index.receipt import canonical_json, read_receipt
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokens import TokensBuilder
from lodex.index.verify import verify_store
from lodex.types import Document
from tests.golden_store import answers, tiny_tokenizer

FOLDERS = sorted((Path(__file__).parents[1] / "golden").iterdir())


@pytest.fixture(params=FOLDERS, ids=lambda folder: f"format {folder.name}")
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what the release with that format wrote."""
    return Path(shutil.copytree(request.param, tmp_path / "golden", symlinks=True))


def same(one: Any, other: Any) -> bool:
    """Equal, and numbers that are not whole nearly: the last digits of a product differ between processors."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == pytest.approx(other, abs=2e-4)) if isinstance(one, float) else bool(one == other)


@pytest.mark.parametrize("verify", ["light", "on-read"])
def test_a_store_of_every_format_gives_its_answers(folder: Path, verify: str) -> None:
    """Documents, passages, n-grams, vectors and keys, all read as on the day they were written."""
    expected = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    found = json.loads(json.dumps(answers(Store.open(folder / "store", verify=verify))))
    assert sorted(found) == sorted(expected)
    assert not [name for name in expected if not same(expected[name], found[name])]


def test_a_store_of_every_format_verifies(folder: Path) -> None:
    """With the receipts of its day."""
    assert verify_store(folder / "store").damaged == ()


def test_a_store_of_every_format_can_be_written_on(folder: Path) -> None:
    """It takes documents, deletions and index parts, and is sound afterwards; the older versions stay readable."""
    store = Store.open(folder / "store")
    before, count = store.version, len(store)
    store.add([Document("new", "the lode index was mined by the new")])
    store.delete(["doc-1"])
    for name, builder in (
        ("180w", PassagesBuilder("180w")),
        ("tiny", TokensBuilder(store_tokenizer(store))),
        ("suffix", SuffixBuilder("tiny")),
    ):
        build_index(store, name, builder)
    assert len(store) == count
    assert store.get("new").text.endswith("the new")
    assert "doc-1" in Store.open(store.path, version=before)
    assert verify_store(store.path).damaged == ()


def store_tokenizer(store: Store) -> Any:
    """The tokenizer of the stream: what is trained today may differ."""
    from lodex.index.tokens import TokenStream

    part = next(part for _, part in store.snapshot().parts("tiny") if part is not None)
    return TokenStream(part).tokenizer


def test_this_release_has_a_golden_store() -> None:
    """Whoever changes the format writes one: `scripts/write_golden.py tests/golden/<format version>`."""
    formats = {json.loads(next(folder.rglob("manifests/*.json")).read_text())["format_version"] for folder in FOLDERS}
    assert formats == set(range(1, FORMAT_VERSION + 1))
    assert tiny_tokenizer().vocab_size <= 320


@pytest.mark.parametrize("minimum", [FORMAT_VERSION + 1, 99])
def test_what_needs_a_newer_reader_is_refused_by_name(folder: Path, minimum: int) -> None:
    """A manifest or receipt of a later format says so, instead of being misread."""
    store = folder / "store"
    path = max((store / "manifests").iterdir())
    value = json.loads(path.read_bytes()) | {"minimum_reader": minimum}
    del value["checksum"]
    path.write_bytes(canonical_json(value | {"checksum": checksum_bytes(canonical_json(value))}))
    with pytest.raises(DataLossError, match=f"{path.name} needs a reader of format {minimum}"):
        Store.open(store)
    receipt = next(store.rglob("receipt.json"))
    receipt.write_bytes(canonical_json(json.loads(receipt.read_bytes()) | {"minimum_reader": minimum}))
    with pytest.raises(DataLossError, match=f"needs a reader of format {minimum}"):
        read_receipt(receipt.parent)
    assert manifest_path(store, 1).exists()
