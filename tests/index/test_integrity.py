"""Damage and failing disks: what is damaged answers DATA_LOSS, nothing else does, and what failed is not repeated."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lodex.errors import DataLossError, FailedPreconditionError, NotFoundError, ResourceExhaustedError
from lodex.index import files as files_module
from lodex.index.build import Builder, build_index
from lodex.index.dense_build import DenseBuilder
from lodex.index.files import BLOCK_BYTES, SyncError
from lodex.index.history import tag
from lodex.index.knn_build import KnnBuilder
from lodex.index.manifest import manifest_path
from lodex.index.passages import PassagesBuilder
from lodex.index.quarantine import Quarantine
from lodex.index.receipt import Artefact, read_receipt
from lodex.index.repair import repair_store
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokens import TokensBuilder
from lodex.index.verify import verify_store
from lodex.types import Document
from tests.golden_store import ENCODER, SOURCE, answers, embed, make_keys, questions, tiny_tokenizer

BUILDERS: dict[str, Callable[[], Builder]] = {
    "document": lambda: PassagesBuilder("document"),
    "180w": lambda: PassagesBuilder("180w"),
    "tiny": lambda: TokensBuilder(tiny_tokenizer()),
    "suffix": lambda: SuffixBuilder("tiny"),
    "dense": lambda: DenseBuilder("180w", ENCODER, embed, ivf_from=4),
    "knn": lambda: KnnBuilder("tiny", SOURCE, make_keys, lists_from=100),
}


def documents(first: int, last: int) -> list[Document]:
    return [Document(f"doc-{i}", f"the lode index was mined {i} by the seam. " * 12) for i in range(first, last)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments with every index over them, and documents deleted from the first."""
    store = Store.create(tmp_path_factory.mktemp("built") / "store")
    store.add(documents(0, 6))
    store.add(documents(6, 12))
    for name, make in BUILDERS.items():
        build_index(store, name, make())
    store.delete(["doc-2", "doc-4"])
    return store.path


@pytest.fixture
def path(built: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(built, tmp_path / "store", symlinks=True))


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)


def files_of(path: Path, pattern: str) -> list[Path]:
    return sorted(file for file in path.rglob(pattern) if not file.is_symlink())


def repair(path: Path) -> dict[str, str]:
    repairs = repair_store(Store.open(path), lambda name: BUILDERS[name]())
    return {f"{each.kind}": each.outcome for each in repairs}


# ------------------------------------------------------------------------------------------ checksums


def test_a_large_file_is_damaged_in_a_block_that_is_named(tmp_path: Path) -> None:
    """The bytes of the MiB that holds the flip are told; the other blocks are not."""
    store = Store.create(tmp_path / "store")
    store.add([Document("a", os.urandom(2 * BLOCK_BYTES).hex())])
    (text,) = files_of(store.path, "text.arrow")
    receipt = read_receipt(text.parent)
    assert len(receipt.files["text.arrow"].blocks) == 16 * -(-text.stat().st_size // BLOCK_BYTES)
    flip(text, (BLOCK_BYTES + 5) / text.stat().st_size)
    (sentence,) = verify_store(store.path).damaged
    assert f"bytes {BLOCK_BYTES} to {2 * BLOCK_BYTES}" in sentence
    assert sentence.count(" to ") == 1


def test_small_files_have_no_block_checksums(path: Path) -> None:
    """One block is the whole file, whose checksum is there."""
    assert all(
        not record.blocks
        for file in files_of(path, "receipt.json")
        for record in read_receipt(file.parent).files.values()
    )


def test_verification_reads_a_linked_file_once(path: Path) -> None:
    """A suffix folder's links to its stream add no bytes, and damage is told of every folder that has the file."""
    report = verify_store(path)
    assert report.bytes == sum(file.stat().st_size for file in path.rglob("*.*") if _is_data(file))
    flip(files_of(path, "tokenized.0")[0])
    damaged = verify_store(path).damaged
    assert sorted(Path(sentence.split()[0]).parent.parent.name for sentence in damaged) == ["suffix", "tokens"]


def _is_data(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and file.name != "receipt.json" and file.parent.name != "manifests"


def test_damage_to_an_older_manifest_is_found(path: Path) -> None:
    """Every manifest there is gets checked, not the newest alone."""
    flip(manifest_path(path, 2))
    (sentence,) = verify_store(path).damaged
    assert manifest_path(path, 2).name in sentence


def test_damage_to_a_tag_is_found(path: Path) -> None:
    """A tag names a version that gc keeps; one that does not verify is named."""
    tag(path, "kept", 2)
    assert verify_store(path).damaged == ()
    flip(path / "tags" / "kept.json")
    (sentence,) = verify_store(path).damaged
    assert "kept" in sentence


def test_a_bad_newest_manifest_is_never_answered_around(path: Path) -> None:
    """Opening raises, and so does a store that was open; an older version opens when it is asked for by number."""
    store = Store.open(path)
    newest = store.version
    manifest_path(path, newest + 1).write_bytes(manifest_path(path, newest).read_bytes()[:-20])
    for read in (
        lambda: Store.open(path),
        store.snapshot,
        lambda: store.get("doc-0"),
        lambda: store.add(documents(50, 51)),
    ):
        with pytest.raises(DataLossError, match=f"{newest + 1:020d}"):
            read()
    assert Store.open(path, version=newest).get("doc-0").doc_id == "doc-0"


# ------------------------------------------------------------------------------------------ reading


def test_verify_on_read_answers_the_same(path: Path) -> None:
    """Every question has one answer in both modes."""
    assert answers(Store.open(path, verify="on-read")) == answers(Store.open(path))


def test_verify_on_read_checks_large_files_before_their_first_byte(tmp_path: Path) -> None:
    """A flip in the padding of a large file is met by no reader in the light mode, and by this one before any other."""
    store = Store.create(tmp_path / "store")
    store.add([Document("a", os.urandom(BLOCK_BYTES).hex())])
    (text,) = files_of(store.path, "text.arrow")
    flip(text, 6 / text.stat().st_size)
    assert Store.open(store.path).get("a").doc_id == "a"
    with pytest.raises(DataLossError, match="checksum"):
        Store.open(store.path, verify="on-read").get("a")


def test_a_link_to_another_place_is_refused(path: Path) -> None:
    """A suffix folder reads the stream that its receipt names, even where the bytes would be the same."""
    link = next(file for file in path.rglob("tokenized.0") if file.is_symlink())
    target = link.resolve()
    link.unlink()
    link.symlink_to(target)
    artefact = Artefact(link.parent, read_receipt(link.parent))
    with pytest.raises(DataLossError, match="links to"):
        artefact.file("tokenized.0")
    assert any("links to" in sentence for sentence in verify_store(path).damaged)


# ------------------------------------------------------------------------------------------ quarantine


def test_a_damaged_index_part_is_refused_by_every_process_and_others_answer(path: Path) -> None:
    """After one read met the damage it stays refused by name, though the bytes are back; text answers on."""
    (file,) = files_of(path, "lists.faiss")[:1]
    sound = file.read_bytes()
    flip(file)
    for name, ask in questions():
        if name.startswith("dense/"):
            with pytest.raises(DataLossError, match=r"lists\.faiss"):
                ask(Store.open(path).snapshot())
    file.write_bytes(sound)
    with pytest.raises(DataLossError, match=r"quarantined: lists\.faiss"):
        dict(questions())["dense/exact"](Store.open(path).snapshot())
    assert dict(questions())["suffix/count"](Store.open(path).snapshot())
    assert Store.open(path).get("doc-0").doc_id == "doc-0"


def test_a_store_that_is_open_sees_the_quarantine_of_another(path: Path) -> None:
    """Even where it has mapped the file already."""
    store, ask = Store.open(path), dict(questions())["knn/exact"]
    ask(store.snapshot())
    (file,) = files_of(path, "entries.u64")[:1]
    artefact = read_receipt(file.parent)
    Quarantine(path).add("knn", artefact.id, "entries.u64", "is damaged")
    with pytest.raises(DataLossError, match=r"entries\.u64"):
        ask(store.snapshot())
    Quarantine(path).lift("knn", artefact.id)
    ask(store.snapshot())


def test_a_damaged_segment_leaves_the_others_readable(path: Path) -> None:
    """Documents of another segment are found; of one that is nowhere else nobody can say that it is not there."""
    snapshot = Store.open(path).snapshot()
    segment = snapshot.segments[0]
    flip(segment.artefact.path / "text.arrow")
    for _ in range(2):
        with pytest.raises(DataLossError, match=r"text\.arrow"):
            Store.open(path).get("doc-0")
    store = Store.open(path)
    assert store.get("doc-7").doc_id == "doc-7"
    assert "doc-7" in store
    with pytest.raises(DataLossError):
        store.get("nowhere")


def test_a_segment_without_receipt_leaves_the_others_readable(path: Path) -> None:
    """The version opens, counts its documents, and fails where the segment is read."""
    segment = Store.open(path).snapshot().segments[0]
    (segment.artefact.path / "receipt.json").unlink()
    store = Store.open(path)
    assert len(store) == 10
    assert store.get("doc-7").doc_id == "doc-7"
    with pytest.raises(DataLossError, match="missing"):
        store.get("doc-0")


def test_a_missing_file_is_not_quarantined(path: Path) -> None:
    """It may come back, as from a mount that failed; what is wrong in its bytes may not."""
    (file,) = files_of(path, "vectors.f32")[:1]
    file.rename(file.with_name("away"))
    with pytest.raises(DataLossError, match="missing"):
        dict(questions())["dense/exact"](Store.open(path).snapshot())
    assert not Quarantine(path).names()


# ------------------------------------------------------------------------------------------ repair


@pytest.mark.parametrize(
    "pattern",
    [
        "passages.arrow",
        "tokenized.0",
        "tokenizer.json",
        "table.0",
        "vectors.f32",
        "lists.faiss",
        "keys.f16",
        "tokens.bin",
    ],
)
def test_a_damaged_index_part_is_built_again(path: Path, built: Path, pattern: str) -> None:
    """The answers, and the bytes of the folder, are those of a store that was never damaged."""
    (file,) = files_of(path, pattern)[:1]
    flip(file)
    verify_store(path, quarantine=True)
    assert Quarantine(path).names()
    assert set(repair(path).values()) <= {"rebuilt", "sound"}
    assert not Quarantine(path).names()
    assert verify_store(path).damaged == ()
    assert answers(Store.open(path)) == answers(Store.open(built))
    assert file.read_bytes() == (built / file.relative_to(path)).read_bytes()


@pytest.mark.parametrize("gone", ["receipt.json", "table.0"])
def test_what_is_missing_is_built_again(path: Path, built: Path, gone: str) -> None:
    """A part without receipt or file is found without any read that met it."""
    next(file for file in path.rglob("table.0")).with_name(gone).unlink()
    assert repair(path) == {"suffix": "rebuilt"}
    assert answers(Store.open(path)) == answers(Store.open(built))


def test_what_came_back_is_released(path: Path) -> None:
    """A quarantined folder whose bytes were restored is sound, and built by nobody."""
    (file,) = files_of(path, "keys.f16")[:1]
    Quarantine(path).add("knn", file.parent.name, file.name, "was damaged")
    assert repair(path) == {"knn": "sound"}
    assert not Quarantine(path).names()


@pytest.mark.parametrize("name", ["lookup.arrow", "receipt.json"])
def test_what_a_segment_can_do_without_is_made_again(path: Path, built: Path, name: str) -> None:
    """Text and documents are proven by the segment's id."""
    flip(Store.open(path).snapshot().segments[0].artefact.path / name)
    verify_store(path, quarantine=True)
    assert repair(path) == {"segment": "rebuilt"}
    assert verify_store(path).damaged == ()
    assert answers(Store.open(path)) == answers(Store.open(built))


def test_a_damaged_text_is_lost_and_its_documents_are_named(tmp_path: Path) -> None:
    """Only those whose own blocks are damaged; the segment stays quarantined."""
    store = Store.create(tmp_path / "store")
    store.add([Document(f"doc-{i}", os.urandom(20_000).hex()) for i in range(8)])
    (text,) = files_of(store.path, "text.arrow")
    flip(text, 0.45)
    verify_store(store.path, quarantine=True)
    (repaired,) = repair_store(Store.open(store.path), lambda name: BUILDERS[name]())
    assert repaired.outcome == "lost"
    assert 1 <= len(repaired.doc_ids) <= 2
    assert set(repaired.doc_ids) <= {"doc-3", "doc-4"}
    assert Quarantine(store.path).names() == {f"segment-{repaired.id}"}


def test_tombstones_are_in_no_other_place(path: Path) -> None:
    """They are lost with a reason, and their segment is not answered from as if nothing were deleted."""
    flip(files_of(path, "rows.u32")[0])
    verify_store(path, quarantine=True)
    assert repair(path) == {"tombstones": "lost"}
    with pytest.raises(DataLossError, match=r"rows\.u32"):
        Store.open(path).get("doc-0")
    assert Store.open(path).get("doc-7").doc_id == "doc-7"


def test_damage_is_not_carried_on_under_new_checksums(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a build reads is proven first, however large."""
    monkeypatch.setattr("lodex.index.receipt.BLOCK_BYTES", -1)
    flip(files_of(path, "tokenized.0")[0])
    with pytest.raises(DataLossError, match=r"tokenized\.0"):
        build_index(Store.open(path), "more", KnnBuilder("tiny", SOURCE, make_keys))


# ------------------------------------------------------------------------------------------ failing disks


def failing_sync(monkeypatch: pytest.MonkeyPatch, number: int, at: int) -> list[int]:
    """Make the sync with that number (from 0), and no other, fail; returns a list that holds how many there were."""
    real, count = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        count[0] += 1
        if count[0] == at + 1:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(files_module.os, "fsync", fsync)
    return count


@pytest.mark.parametrize("at", range(8))
def test_a_failed_sync_stops_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Whichever sync of an ingest fails: nothing is acknowledged, and nothing written before the store is reopened."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 2))
    failing_sync(monkeypatch, errno.EIO, at)
    with pytest.raises(SyncError):
        store.add(documents(2, 4))
    monkeypatch.undo()
    with pytest.raises(FailedPreconditionError, match="sync failed"):
        store.add(documents(4, 6))
    assert store.get("doc-0").doc_id == "doc-0"
    reopened = Store.open(store.path)
    reopened.add(documents(4, 6))
    assert verify_store(store.path).damaged == ()
    assert len(reopened) in (4, 6)


def test_a_failed_sync_of_a_build_stops_the_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an index is built."""
    store = Store.open(path)
    store.add(documents(20, 22))
    failing_sync(monkeypatch, errno.EIO, 0)
    with pytest.raises(SyncError):
        build_index(store, "180w", PassagesBuilder("180w"))
    monkeypatch.undo()
    with pytest.raises(FailedPreconditionError, match="sync failed"):
        build_index(store, "180w", PassagesBuilder("180w"))


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Limits the size of files: writes beyond fail as on a full disk, with the number EFBIG."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1, 100, 500, 2000, 20_000, 90_000])
def test_a_full_disk_is_resource_exhausted_and_ingest_resumes(
    tmp_path: Path, small_disk: Callable[[int], None], size: int
) -> None:
    """Wherever the space ends the store stays as it was, and the same documents go in once there is space."""
    store = Store.create(tmp_path / "store")
    store.add(documents(0, 2))
    wanted = [Document(f"more-{i}", os.urandom(50_000).hex()) for i in range(2)]
    small_disk(size)
    with pytest.raises(ResourceExhaustedError):
        store.add(wanted)
    assert len(store) == 2
    assert store.get("doc-0").doc_id == "doc-0"
    small_disk(-1)
    store.add(wanted)
    assert len(Store.open(store.path)) == 4
    assert verify_store(store.path).damaged == ()


def test_a_writer_that_met_a_full_disk_publishes_nothing(tmp_path: Path, small_disk: Callable[[int], None]) -> None:
    """Its files have a hole: further documents are refused, and so is a commit."""
    store = Store.create(tmp_path / "store")
    with store.writer() as writer:
        small_disk(1000)
        with pytest.raises(ResourceExhaustedError):
            writer.add(Document("a", os.urandom(5 << 20).hex()))
        small_disk(-1)
        with pytest.raises(FailedPreconditionError, match="failed before"):
            writer.add(Document("b", "text"))
        with pytest.raises(FailedPreconditionError, match="failed before"):
            writer.commit()
    assert len(store) == 0


@pytest.mark.parametrize("name", list(BUILDERS))
def test_a_full_disk_while_building_is_resource_exhausted(
    path: Path, small_disk: Callable[[int], None], name: str
) -> None:
    """For every kind of index, with lists and without; the build goes on when there is space."""
    store = Store.open(path)
    store.add(documents(20, 26))
    missing = list(BUILDERS)[: list(BUILDERS).index(name)]
    for before in missing:
        build_index(store, before, BUILDERS[before]())
    small_disk(20)
    with pytest.raises(ResourceExhaustedError):
        build_index(store, name, BUILDERS[name]())
    small_disk(-1)
    build_index(store, name, BUILDERS[name]())
    assert verify_store(path).damaged == ()


def test_an_unreadable_device_is_data_loss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO while a file is read names it, and quarantines nothing: the next read may succeed."""
    (file,) = files_of(path, "lists.faiss")[:1]
    real = Path.open

    def failing(self: Path, *args: object, **kwargs: object) -> object:
        if self == file:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", failing)
    with pytest.raises(DataLossError, match=r"lists\.faiss"):
        dict(questions())["dense/exact"](Store.open(path).snapshot())
    monkeypatch.undo()
    assert not Quarantine(path).names()
    assert dict(questions())["dense/exact"](Store.open(path).snapshot())


def test_a_version_that_is_not_there_is_not_found(path: Path) -> None:
    """Verification of it is no damage."""
    with pytest.raises(NotFoundError):
        verify_store(path, version=99)
