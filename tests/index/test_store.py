"""The store: what is added is read back, versions are pinned, writers do not lose each other's work."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import (
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    DuplicateDocumentError,
    InputError,
    NotFoundError,
)
from lodex.index.manifest import manifest_path, newest_version
from lodex.index.store import Store
from lodex.types import Document


def nested(depth: int) -> dict[str, Any]:
    """Lists in an object, one in the other."""
    inner: Any = 1
    for _ in range(depth - 1):
        inner = [inner]
    return {"x": inner}


def documents(first: int, last: int, text: str = "text of document") -> list[Document]:
    return [Document(f"doc-{i}", f"{text} {i}", title=f"Title {i}", metadata={"n": i}) for i in range(first, last)]


def test_documents_come_back_as_they_were_added(tmp_path: Path) -> None:
    """Every field, any Unicode text and nested metadata survive."""
    added = [
        Document("a", "", "source", "title", "https://example.org/a", "2020-01-01", {"x": [1, {"y": None}]}),
        Document("b b", "naïve\x00 text \U0001f600\r\n", metadata={"é": 1.5}),
        Document("c", "x" * 100_000),
    ]
    store = Store.create(tmp_path / "store")
    store.add(added)
    assert list(store) == added
    assert [store.get(document.doc_id) for document in added] == added


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40_000), max_size=8),
    segment_bytes=st.sampled_from([1, 20_000, 1 << 20]),
)
def test_any_text_is_read_back_from_any_segments(tmp_path_factory, texts, segment_bytes):
    """Documents over block borders and over several segments are the bytes that were written."""
    store = Store.create(tmp_path_factory.mktemp("store"))
    store.add((Document(str(i), text) for i, text in enumerate(texts)), segment_bytes=segment_bytes)
    assert {document.doc_id: document.text for document in store} == {str(i): text for i, text in enumerate(texts)}


def test_a_snapshot_does_not_see_later_versions(tmp_path: Path) -> None:
    """A reader keeps its version while another writes; the store itself follows."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 3))
    snapshot = store.snapshot()
    Store.open(tmp_path / "store").add(documents(3, 5))
    assert len(snapshot) == 3
    assert len(store) == 5
    assert len(Store.open(tmp_path / "store", version=snapshot.version)) == 3


def test_a_known_doc_id_is_refused_and_nothing_is_published(tmp_path: Path) -> None:
    """A duplicate of the store or of the same input stops the write, and the version stays."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 3))
    for batch in (documents(2, 6), [*documents(6, 8), *documents(6, 7)]):
        with pytest.raises(DuplicateDocumentError, match="doc-"):
            store.add(batch)
    assert store.version == 2
    assert len(store) == 3


@pytest.mark.parametrize("segment_bytes", [1, 1 << 20])
def test_replace_takes_the_place_of_the_earlier_document(tmp_path: Path, segment_bytes: int) -> None:
    """The last text of a doc_id stays, wherever the earlier ones were, and the earlier version still has its own."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 4))
    before = store.snapshot()
    result = store.add(
        [*documents(2, 6, "second"), *documents(5, 6, "third")], replace=True, segment_bytes=segment_bytes
    )
    assert result.replaced == 3
    assert {d.doc_id: d.text.split()[0] for d in store} == {
        "doc-0": "text", "doc-1": "text", "doc-2": "second", "doc-3": "second", "doc-4": "second", "doc-5": "third",
    }  # fmt: skip
    assert before.get("doc-2").text == "text of document 2"


def test_replacing_by_the_same_content_keeps_it(tmp_path: Path) -> None:
    """A new segment with the address of an old one takes its place; nothing is lost, by one writer or by two."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 3))
    assert store.add(documents(0, 3), replace=True).replaced == 3
    assert list(store) == documents(0, 3)
    with store.writer(replace=True) as first, store.writer(replace=True) as second:
        for writer in (first, second):
            writer.add(Document("shared", "text"))
        first.commit()
        second.commit()
    assert list(store) == [*documents(0, 3), Document("shared", "text")]


def test_replacing_within_one_input_keeps_the_last(tmp_path: Path) -> None:
    """Documents that come again, each in a segment of its own, stand once, where they came last."""
    store = Store.create(tmp_path / "store")
    repeated = [Document("a", "x"), Document("b", "y"), Document("a", "x"), Document("b", "z"), Document("b", "z")]
    assert store.add(repeated, replace=True, segment_bytes=1).replaced == 3
    assert list(store) == [Document("a", "x"), Document("b", "z")]


def test_replacing_a_whole_segment_leaves_no_empty_one(tmp_path: Path) -> None:
    """A segment with nothing left goes."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 2))
    store.add(documents(0, 2, "new"), replace=True)
    assert len(store.snapshot().segments) == 1
    assert store.get("doc-1").text == "new 1"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("", "x"), "doc_id"),
        (Document("a\nb", "x"), "doc_id"),
        (Document("d" * 1025, "x"), "1024"),
        (Document("a", "\ud800"), "text is not valid Unicode"),
        (Document("a", "x", title="\ud800"), "title is not valid Unicode"),
        (Document("a", "x", metadata={"x": float("nan")}), "metadata is not JSON"),
        (Document("a", "x", metadata={"x": object()}), "metadata is not JSON"),
        (Document("a", "x", metadata=nested(101)), "nested more than 100 deep"),
        (Document("a", "x", title=3), "title must be a string"),
        (Document("a", b"x"), "text must be a string"),
        (Document(3, "x"), "doc_id must be a string"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_field(tmp_path: Path, document: Document, message: str) -> None:
    """The message names the field; the writer goes on with the next document."""
    store = Store.create(tmp_path / "store")
    with store.writer() as writer:
        with pytest.raises(InputError, match=message):
            writer.add(document)
        writer.add(Document("fine", "text"))
        writer.commit()
    assert [d.doc_id for d in store] == ["fine"]


def test_a_writer_that_gives_up_leaves_nothing(tmp_path: Path) -> None:
    """Without commit there is no version and no temporary file."""
    store = Store.create(tmp_path / "store")
    with store.writer() as writer:
        writer.add(Document("a", "text"))
    assert store.version == 1
    assert list((tmp_path / "store" / "segments").iterdir()) == []


def test_racing_writers_lose_nothing(tmp_path: Path) -> None:
    """Four writers, ten versions each: a linear history with every document once."""
    root = tmp_path / "store"
    Store.create(root)

    def write(writer: int) -> None:
        store = Store.open(root)
        for turn in range(10):
            store.add([Document(f"{writer}-{turn}", "text")])

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(d.doc_id for d in Store.open(root)) == sorted(f"{w}-{t}" for w in range(4) for t in range(10))
    assert newest_version(root) == 41


def test_racing_writers_of_one_doc_id_let_one_win(tmp_path: Path) -> None:
    """A doc_id that another writer published meanwhile is a duplicate at commit, not two documents."""
    store = Store.create(tmp_path / "store")
    with store.writer() as slow:
        slow.add(Document("same", "slow"))
        store.add([Document("same", "quick"), Document("other", "text")])
        with pytest.raises(DuplicateDocumentError, match="another writer"):
            slow.commit()
    with store.writer(replace=True) as slow:
        slow.add(Document("third", "slow"))
        store.add([Document("third", "quick")])
        slow.commit()
    assert {d.doc_id: d.text for d in store} == {"same": "quick", "other": "text", "third": "slow"}


def test_a_damaged_newest_manifest_is_data_loss(tmp_path: Path) -> None:
    """An older version is never opened in its stead, unless by number."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 1))
    path = manifest_path(store.path, 2)
    data = bytearray(path.read_bytes())
    for position in (len(data) // 3, len(data) // 2):
        data[position] ^= 1
        path.write_bytes(data)
        with pytest.raises(DataLossError, match="00000000000000000002"):
            Store.open(store.path)
    assert len(Store.open(store.path, version=1)) == 0


def test_a_store_is_neither_invented_nor_overwritten(tmp_path: Path) -> None:
    """Opening nothing and creating over something are errors that name the path."""
    with pytest.raises(NotFoundError, match="nothing"):
        Store.open(tmp_path / "nothing")
    Store.create(tmp_path / "store")
    with pytest.raises(AlreadyExistsError):
        Store.create(tmp_path / "store")
    (tmp_path / "file").write_text("x")
    with pytest.raises(AlreadyExistsError):
        Store.create(tmp_path / "file")
    with pytest.raises(NotFoundError, match="version 7"):
        Store.open(tmp_path / "store", version=7)


def test_a_killed_writer_leaves_the_last_version(tmp_path: Path) -> None:
    """SIGKILL in the middle of an ingest: the store opens as it was, and the next writer sweeps up and completes."""
    root = tmp_path / "store"
    Store.create(root).add(documents(0, 2))
    program = (
        "import os, sys\nfrom lodex.index.store import Store\nfrom lodex.types import Document\n"
        "with Store.open(sys.argv[1]).writer(segment_bytes=1000) as writer:\n"
        "    for i in range(100):\n        writer.add(Document(f'new-{i}', 'word ' * 100))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(root)], check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    assert sorted(d.doc_id for d in Store.open(root)) == ["doc-0", "doc-1"]
    Store.open(root).add([Document(f"new-{i}", "word " * 100) for i in range(100)], segment_bytes=1000)
    assert len(Store.open(root)) == 102
    assert not list((root / "segments").glob(".tmp-*"))


@pytest.mark.parametrize("versions", [1, 2, 3])
def test_a_store_in_the_place_of_another_is_not_it(tmp_path: Path, versions: int) -> None:
    """With fewer, as many or more versions: what was opened before neither reads nor writes it."""
    path = tmp_path / "store"
    first = Store.create(path)
    first.add([Document("a", "of the first")])
    pinned = Store.open(path, first.version)
    shutil.rmtree(path)
    for read in (lambda: first.get("a"), lambda: len(first)):
        with pytest.raises(NotFoundError, match="dropped"):
            read()
    with pytest.raises(NotFoundError, match="dropped"):
        first.commit(lambda latest: replace(latest, aliases={"x": "y"}), "alias")
    second = Store.create(path)
    for i in range(versions - 1):
        second.add([Document(f"b{i}", "of the second")])
    for store in (first, pinned) if versions == 2 else (first,):
        for _ in range(2):
            with pytest.raises(NotFoundError, match="dropped"):
                store.get("a")
    with pytest.raises(ConflictError, match="dropped and made again"):
        first.commit(lambda latest: replace(latest, aliases={"x": "y"}), "alias")
    with pytest.raises((ConflictError, NotFoundError), match="dropped"):
        first.add([Document("c", "of the first")])
    assert Store.open(path).version == versions
