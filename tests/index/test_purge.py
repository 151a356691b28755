"""Purging, shown by searching every byte of every file of the store."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lodex.errors import ConflictError, NotFoundError
from lodex.index import compaction, merging
from lodex.index import purge as purge_module
from lodex.index.build import build_index
from lodex.index.compaction import compact
from lodex.index.dense_build import DenseBuilder
from lodex.index.gc import collect_garbage
from lodex.index.history import tag, tags, versions
from lodex.index.knn_build import KnnBuilder
from lodex.index.ngrams import NgramIndex
from lodex.index.passages import PassagesBuilder
from lodex.index.purge import purge
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.index.verify import verify_store
from lodex.types import Document
from tests.index.test_deletion import ENCODER, SOURCE, embed, make_keys

SECRET = "Mrs Ängström of 17 Quince Lane owes the miller forty-one crowns and a goose"
SECRET_ID = "letters/quince-41"
ZSTD = b"\x28\xb5\x2f\xfd"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """These stores need not survive."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


def build_all(store: Store, tokenizer: Tokenizer) -> Snapshot:
    build_index(store, "180w", PassagesBuilder())
    build_index(store, "tokens", TokensBuilder(tokenizer))
    build_index(store, "suffix", SuffixBuilder("tokens"))
    build_index(store, "dense", DenseBuilder("180w", ENCODER, embed))
    return build_index(store, "knn", KnnBuilder("tokens", SOURCE, make_keys))


def filler(n: int) -> Iterator[Document]:
    rng = np.random.default_rng(n)
    words = np.array(
        ["the", "mill", "a", "river", "of", "stone", "and", "grain", "was", "sold", "by", "night", "in", "autumn"]
    )
    for i in range(n):
        yield Document(f"doc-{n}-{i}", " ".join(rng.choice(words, 60)), title=f"title {i}")


@pytest.fixture
def store(tmp_path: Path, tokenizer: Tokenizer) -> Store:
    """Three segments; the secret is in the middle of the second."""
    store = Store.create(tmp_path / "store")
    store.add(filler(5))
    store.add([*filler(3), Document(SECRET_ID, f"Dear sir. {SECRET}. Yours.", url="http://quince.example"), *filler(4)])
    store.add(filler(6))
    build_all(store, tokenizer)
    return store


def decompressed(data: bytes) -> Iterator[bytes]:
    """What stands in the zstd frames of a file, wherever one begins; the sizes are those of text blocks."""
    begin = data.find(ZSTD)
    while begin >= 0:
        reader = pa.CompressedInputStream(pa.BufferReader(data[begin:]), "zstd")
        text = b""
        try:
            while more := reader.read(512):
                text += more
        except OSError:
            pass  # what follows the frame is none
        yield text
        begin = data.find(ZSTD, begin + 1)


def traces(
    root: Path, tokenizer: Tokenizer, texts: tuple[str, ...] = (SECRET, SECRET_ID, "quince.example")
) -> set[str]:
    """The files, and how each holds a trace: as bytes of text, packed text, or tokens of either width."""
    ids = tokenizer.encode(SECRET)
    # The first and last tokens depend on what stands beside; any six in the middle are the secret's alone.
    middle = ids[4:-4]
    wanted: dict[str, list[bytes]] = {
        "text": [part.encode() for text in texts for part in (text, text[10:40]) if len(part) > 12],
        "u16": [middle[i : i + 6].astype("<u2").tobytes() for i in range(0, len(middle) - 6, 3)],
        "u32": [middle[i : i + 6].astype("<u4").tobytes() for i in range(0, len(middle) - 6, 3)],
    }
    found = set()
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        data = path.read_bytes()
        for how, needles in wanted.items():
            if any(needle in data for needle in needles):
                found.add(f"{path.relative_to(root).parts[0]}/{path.name} {how}")
        for text in decompressed(data):
            if any(needle in text for needle in wanted["text"]):
                found.add(f"{path.relative_to(root).parts[0]}/{path.name} packed")
    return found


def test_a_deleted_document_leaves_no_trace(store: Store, tokenizer: Tokenizer) -> None:
    """Its text, tokens and id stand in several files before, deleted too, and in none after; the rest is as it was."""
    store.delete([SECRET_ID])
    assert {
        "segments/text.arrow packed",
        "segments/documents.arrow text",
        "artefacts/tokenized.0 u16",
        "artefacts/tokens.bin u16",
    } <= traces(store.path, tokenizer)
    kept, newest = list(store), store.version
    report = purge(store)
    assert traces(store.path, tokenizer) == set()
    assert list(store) == kept
    assert store.snapshot().manifest.change == "purge"
    assert (report.version, report.documents) == (newest + 1, 1)
    assert report.versions == tuple(range(3, newest + 1))
    assert [info.version for info in versions(store.path)] == [newest + 1, 2, 1]
    assert NgramIndex(store.snapshot()).count([[tokenizer.encode(" Quince Lane")]])[0].count == 0
    for info in versions(store.path):
        assert not verify_store(store.path, info.version).damaged
    assert not list(store.path.rglob(".tmp-*"))


@pytest.mark.parametrize("how", ["replaced", "compacted", "every document deleted", "fields changed"])
def test_however_a_document_went_it_is_gone(store: Store, tokenizer: Tokenizer, how: str) -> None:
    """Replaced by another text, left out by a compaction, taken away with its segment, or given other fields."""
    if how == "replaced":
        store.add([Document(SECRET_ID.replace("quince", "other"), "x"), Document(SECRET_ID, "no more")], replace=True)
    elif how == "compacted":
        store.delete([SECRET_ID])
        compact(store, full=True)
    elif how == "every document deleted":
        store.delete([document.doc_id for document in store])
    else:
        store.add([Document(SECRET_ID, f"Dear sir. {SECRET}. Yours.")], replace=True)
    build_all(store, tokenizer)
    kept = sorted(document.doc_id for document in store)
    purge(store)
    searched = {
        "replaced": (SECRET, "quince.example"),
        "fields changed": ("quince.example",),
    }.get(how, (SECRET, SECRET_ID, "quince.example"))
    left = traces(store.path, tokenizer, searched)
    assert {trace for trace in left if how != "fields changed" or trace.endswith("text")} == set()
    assert sorted(document.doc_id for document in store) == kept
    assert not verify_store(store.path).damaged


def test_tags_of_what_goes_are_reported(store: Store) -> None:
    """Those of versions that never had the document stay."""
    tag(store.path, "early", 2)
    tag(store.path, "late", 5)
    store.delete([SECRET_ID])
    assert purge(store).tags == ("late",)
    assert tags(store.path) == {"early": 2}
    assert "doc-5-0" in store.snapshot(2)


def test_a_store_without_deleted_documents_is_left_alone(store: Store) -> None:
    """No version is published, and none removed: documents that were added or moved since are live."""
    compact(store, full=True)
    before = [info.version for info in versions(store.path)]
    report = purge(store)
    assert (report.documents, report.versions, report.folders, report.bytes) == (0, (), 0, 0)
    assert [info.version for info in versions(store.path)] == before


def test_leftovers_that_were_never_published_go_too(
    store: Store, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction and an index build that were killed had copied the document; nobody had published them."""

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(store, full=True)
        with pytest.raises(KeyboardInterrupt):
            build_index(store, "again", KnnBuilder("tokens", SOURCE, make_keys, lists_from=10))
    store.delete([SECRET_ID])
    purge(store)
    assert traces(store.path, tokenizer) == set()
    assert not list(store.path.glob("artefacts/merge/*"))
    living = {segment.id for segment in store.snapshot().segments}
    assert {path.name for path in store.path.glob("segments/*")} == living


def test_work_of_others_is_not_taken_for_leftovers(store: Store) -> None:
    """A writer that has closed a segment and not published it yet publishes it after the purge."""
    other = Store.open(store.path)
    with other.writer(segment_bytes=1) as writer:
        writer.add(Document("new-1", "a text of some length"))
        store.delete([SECRET_ID])
        purge(store)
        writer.add(Document("new-2", "another"))
        writer.commit()
    assert "new-1" in store
    assert not verify_store(store.path).damaged


def test_a_handle_that_is_open_goes_on(store: Store, tokenizer: Tokenizer) -> None:
    """It reads the newest version, and of those that are gone says that they are."""
    other = Store.open(store.path)
    old = other.version
    pinned = other.snapshot()
    count = NgramIndex(pinned).count([[tokenizer.encode(" the mill")]])
    store.delete([SECRET_ID])
    purge(store)
    assert NgramIndex(pinned).count([[tokenizer.encode(" the mill")]]) == count
    assert SECRET_ID not in other
    with pytest.raises(NotFoundError, match=f"version {old}"):
        other.snapshot(old)
    assert NgramIndex(other.snapshot()).count([[tokenizer.encode(" Quince")]])[0].count == 0


@pytest.mark.parametrize("place", ["remove_versions", "remove_folders", "untag"])
def test_a_purge_that_was_killed_is_carried_out_by_the_next(
    store: Store, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Also where the versions that told of the document were gone already, and its files not yet."""
    tag(store.path, "late", 5)
    store.delete([SECRET_ID])
    real: Callable[..., Any] = getattr(purge_module, place)

    def killed(*arguments: Any) -> None:
        if place == "remove_versions":
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(purge_module, place, killed)
        with pytest.raises(KeyboardInterrupt):
            purge(store)
    assert traces(store.path, tokenizer)
    for info in versions(store.path):
        assert not verify_store(store.path, info.version).damaged
    purge(Store.open(store.path))
    assert traces(store.path, tokenizer) == set()
    assert tags(store.path) == {}


def test_what_a_killed_collection_left_goes(
    store: Store, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of versions that nobody can name any more go once they are as old as the grace."""
    store.delete([SECRET_ID])
    compact(store, full=True)
    with monkeypatch.context() as patched:
        patched.setattr("lodex.index.gc.remove_folders", lambda *_: None)
        collect_garbage(store.path, keep=1, grace_s=0)
    assert traces(store.path, tokenizer)
    for path in (*store.path.glob("segments/*"), *store.path.glob("artefacts/*/*")):
        os.utime(path, (1.0, 1.0))
    purge(store)
    assert traces(store.path, tokenizer) == set()


def test_deletions_that_never_end_are_a_conflict(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A purge that cannot keep up says so, and removes nothing."""
    others = iter([document.doc_id for document in store if document.doc_id.startswith("doc-6")])

    def merge_group(*args: Any) -> Any:
        merged = merging.merge_group(*args)
        Store.open(store.path).delete([next(others)])
        return merged

    monkeypatch.setattr(compaction, "merge_group", merge_group)
    store.delete([SECRET_ID])
    with pytest.raises(ConflictError):
        purge(store)
    assert SECRET_ID in store.snapshot(3)


def test_a_purge_cut_short_spares_what_was_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan of an interrupted purge names a folder by its content, which a later ingest may have made live again."""
    store = Store.create(tmp_path / "again")
    for name in ("a", "b"):
        store.add([Document(name, f"text of {name}")])
    store.delete(["a"])
    carry_out = purge_module._carry_out
    with monkeypatch.context() as patch:
        patch.setattr(purge_module, "_carry_out", lambda root: _die_with_a_plan(root, carry_out))
        with pytest.raises(KeyboardInterrupt):
            purge(store)
    store.add([Document("a", "text of a")])
    purge(store)
    assert [document.text for document in store] == ["text of b", "text of a"]
    assert not verify_store(store.path).damaged


def _die_with_a_plan(root: Path, carry_out: Callable[[Path], None]) -> None:
    if (root / "purge.json").exists():
        raise KeyboardInterrupt
    carry_out(root)


def test_what_others_publish_meanwhile_is_not_purged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that comes while a purge looks at the older ones stays, with the documents that it alone has."""
    store = Store.create(tmp_path / "raced")
    store.add([Document("a", "alpha text"), Document("b", "beta text")])
    store.delete(["b"])
    planned = purge_module._planned

    def late(*args: Any) -> Any:
        Store.open(store.path).add([Document("c", "gamma text")])
        return planned(*args)

    monkeypatch.setattr(purge_module, "_planned", late)
    purge(store)
    assert sorted(document.doc_id for document in Store.open(store.path)) == ["a", "c"]
    assert not verify_store(store.path).damaged


def test_a_damaged_older_manifest_does_not_keep_text(store: Store, tokenizer: Tokenizer) -> None:
    """What it held cannot be told, so it goes, and every segment of no version that holds what is deleted."""
    store.delete([SECRET_ID])
    for version in range(2, store.version):
        path = store.path / "manifests" / f"{version:020d}.json"
        path.write_bytes(path.read_bytes().replace(b"segments", b"sagments"))
    purge(store)
    assert traces(store.path, tokenizer) == set()
    assert not verify_store(store.path).damaged
    assert [info.version for info in versions(store.path)] == [store.version, 1]
