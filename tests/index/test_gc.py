"""Garbage: what is kept, what goes, and that nobody who reads or writes is hurt."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lodex.errors import ConflictError, DataLossError, InvalidArgumentError, NotFoundError
from lodex.index import gc as gc_module
from lodex.index import removed_versions
from lodex.index.build import build_index
from lodex.index.commit_lock import commit_lock
from lodex.index.compaction import compact
from lodex.index.files import Staging
from lodex.index.folders import folders_of
from lodex.index.gc import collect_garbage
from lodex.index.history import tag, untag, versions
from lodex.index.jobs import Task, TaskResult, run_task
from lodex.index.manifest import read_manifest
from lodex.index.passages import PassagesBuilder
from lodex.index.segment import SegmentWriter
from lodex.index.store import Store
from lodex.index.verify import verify_store
from lodex.types import Document
from tests.index.test_deletion import QUERIES, build_all, ngram_answers


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """These stores need not survive."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Fourteen versions: documents, all indexes, a deletion, a compaction."""
    store = Store.create(tmp_path / "store")
    for i in range(4):
        store.add([Document(f"doc-{i}.{j}", "a b c d " * j) for j in range(3)])
    build_all(store)
    store.delete(["doc-1.1"])
    compact(store, full=True)
    store.add([Document("last", "a a")])
    build_all(store)
    return store


def numbers(store: Store) -> list[int]:
    return [info.version for info in versions(store.path)]


def folders(store: Store) -> set[Path]:
    return {*store.path.glob("segments/*"), *store.path.glob("artefacts/*/*")}


def test_the_newest_versions_and_what_they_have_are_left(store: Store) -> None:
    """All others go, with the folders that only they have; what is left verifies and answers as before."""
    newest, answers = store.version, ngram_answers(store.snapshot(), QUERIES)
    report = collect_garbage(store.path, keep=1, grace_s=0)
    assert (report.version, report.kept, report.removed) == (newest, 1, tuple(range(1, newest)))
    assert numbers(store) == [newest]
    assert folders(store) == set(folders_of(store.path, store.snapshot().manifest))
    assert report.folders > 10
    assert report.bytes > 1000
    assert not verify_store(store.path).damaged
    assert ngram_answers(Store.open(store.path).snapshot(), QUERIES) == answers
    again = collect_garbage(store.path, keep=1, grace_s=0)
    assert (again.removed, again.folders, again.bytes) == ((), 0, 0)


def test_a_dry_run_removes_nothing_and_says_the_same(store: Store) -> None:
    """Its report is that of the run which follows."""
    before, history = folders(store), numbers(store)
    planned = collect_garbage(store.path, keep=2, grace_s=0, dry_run=True)
    assert (folders(store), numbers(store)) == (before, history)
    assert collect_garbage(store.path, keep=2, grace_s=0) == planned


def test_tagged_versions_are_kept_whole(store: Store) -> None:
    """With every folder they need, until the tag is removed."""
    tagged = next(v.version for v in versions(store.path) if v.change == "delete")
    tag(store.path, "kept", tagged)
    collect_garbage(store.path, keep=1, grace_s=0)
    assert numbers(store) == [store.version, tagged]
    assert not verify_store(store.path, tagged).damaged
    assert ngram_answers(store.snapshot(tagged), QUERIES)[0][2] > 0
    untag(store.path, "kept")
    assert collect_garbage(store.path, keep=1, grace_s=0).removed == (tagged,)


def test_what_was_the_newest_lately_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version is kept until its successor has been there for the grace, however old it is itself."""
    history = list(versions(store.path))
    assert collect_garbage(store.path, keep=1, grace_s=3600).removed == ()
    third, second = history[2], history[1]
    now_ns = second.time_ns + 100_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    grace_s = (now_ns - third.time_ns) / 1e9 - 1e-6
    removed = collect_garbage(store.path, keep=1, grace_s=grace_s, dry_run=True).removed
    # The successor of the fourth is the third, which is just as old as the grace; that of the third is younger.
    assert removed == tuple(sorted(info.version for info in history[3:]))


def test_folders_that_are_young_are_kept(store: Store) -> None:
    """What a job wrote and has not published yet stays, and so does what it found finished by an earlier run."""
    writer = SegmentWriter(store.path)
    writer.append(b"text", ("x", "", "", "", "", "{}"))
    unpublished = writer.publish().path
    task = Task("notes", ())
    finished = run_task(store.path, task, lambda _: TaskResult(0)).path
    for path in folders(store):
        os.utime(path, (1.0, 1.0))
    for path in (unpublished, finished):
        assert path.exists()
    writer = SegmentWriter(store.path)
    writer.append(b"text", ("x", "", "", "", "", "{}"))
    assert writer.publish().path == unpublished
    run_task(store.path, task, lambda _: TaskResult(0))
    collect_garbage(store.path, keep=1, grace_s=3600)
    assert unpublished.exists()
    assert finished.exists()
    for path in (unpublished, finished):
        os.utime(path, (1.0, 1.0))
    assert collect_garbage(store.path, keep=1, grace_s=3600).folders == 2
    assert not unpublished.exists()
    assert not finished.exists()


def test_what_is_being_written_stays_and_what_was_abandoned_goes(store: Store) -> None:
    """Told apart by the lock that a living writer holds."""
    dead = store.path / "segments" / ".tmp-dead"
    dead.mkdir()
    (dead / "text.arrow").write_bytes(b"half")
    with Staging(store.path / "artefacts" / "tokens") as staging:
        assert collect_garbage(store.path).abandoned == 1
        assert staging.path.exists()
    assert not dead.exists()


def test_readers_of_removed_versions_are_told(store: Store) -> None:
    """A handle that is open answers NotFoundError for them; a snapshot that has its files open goes on."""
    old = next(v.version for v in versions(store.path) if v.change == "delete")
    pinned = store.snapshot(old)
    answers = ngram_answers(pinned, QUERIES)
    collect_garbage(store.path, keep=1, grace_s=0)
    assert ngram_answers(pinned, QUERIES) == answers
    for open in (store.snapshot, lambda version: Store.open(store.path, version)):
        with pytest.raises(NotFoundError, match=f"version {old}"):
            open(old)


def test_a_writer_that_was_slow_does_not_get_a_removed_number(store: Store) -> None:
    """It builds on the newest version instead, so what it acknowledged is there."""
    other = Store.open(store.path)
    raced = False

    def change(latest: Any) -> Any:
        nonlocal raced
        if not raced:
            raced = True
            other.add([Document("b", "x")])
            other.add([Document("c", "y")])
            collect_garbage(store.path, keep=1, grace_s=0)
        return replace(latest)

    version = store.commit(change, "touch").version
    assert version == store.version == other.version
    assert "c" in store


@pytest.mark.parametrize("step", ["links", "folders"])
def test_a_collection_that_was_killed_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Wherever it stops, every version that is there is whole, and the next one leaves what an uninterrupted would."""
    expected = collect_garbage(store.path, keep=2, grace_s=0, dry_run=True)
    left = {path for v in numbers(store)[:2] for path in folders_of(store.path, read_manifest(store.path, v))}
    calls = 0

    def stopping(real: Any, limit: int) -> Any:
        def act(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > limit:
                raise KeyboardInterrupt
            return real(*args)

        return act

    for limit in range(40):
        calls = 0
        with monkeypatch.context() as patched:
            if step == "links":
                patched.setattr(removed_versions.os, "link", stopping(os.link, limit))
            else:
                patched.setattr(gc_module, "remove_folder", stopping(gc_module.remove_folder, limit % 3))
            try:
                collect_garbage(store.path, keep=2, grace_s=0)
                break
            except KeyboardInterrupt:
                for version in numbers(store):
                    assert not verify_store(store.path, version).damaged
    assert len(numbers(store)) == expected.kept
    assert folders(store) == left
    assert not list(store.path.glob("**/.tmp-*"))


def test_nonsense_is_refused(store: Store, tmp_path: Path) -> None:
    """The newest version cannot be asked away, and a folder that is no store has no garbage."""
    for arguments in ({"keep": 0}, {"grace_s": -1.0}):
        with pytest.raises(InvalidArgumentError):
            collect_garbage(store.path, **arguments)
    with pytest.raises(NotFoundError):
        collect_garbage(tmp_path)


def test_an_index_can_be_updated_after_older_versions_went(store: Store) -> None:
    """Building needs nothing of the versions that were removed."""
    collect_garbage(store.path, keep=1, grace_s=0)
    store.add([Document("more", "b b b")])
    build_index(store, "document", PassagesBuilder("document"))
    assert len(store.snapshot().manifest.indexes["document"].parts) == 3


def test_a_folder_that_went_before_it_was_published_is_missed(store: Store) -> None:
    """A writer whose segment was found there, and collected meanwhile, publishes nothing and says so."""
    with store.writer() as writer:
        writer.add(Document("late", "a b"))
        writer._close_segment()
        version, (segment,) = store.version, writer._closed
        shutil.rmtree(store.path / "segments" / segment.id)
        with pytest.raises(ConflictError, match="run it again"):
            writer.commit()
    assert store.version == version


def test_collecting_waits_for_who_is_publishing(store: Store) -> None:
    """Folders go only while no writer is between looking for its own and publishing them."""
    with ThreadPoolExecutor(1) as pool:
        with commit_lock(store.path):
            collecting = pool.submit(collect_garbage, store.path, keep=1, grace_s=0)
            time.sleep(0.2)
            assert not collecting.done()
        assert collecting.result(timeout=20).kept == 1


def test_a_tag_that_comes_while_garbage_is_chosen_keeps_its_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged as tagged is not removed by a collection that had begun."""
    chosen = gc_module._kept

    def late(*args: Any) -> Any:
        kept = chosen(*args)
        tag(store.path, "late", 3)
        return kept

    monkeypatch.setattr(gc_module, "_kept", late)
    collect_garbage(store.path, keep=1, grace_s=0)
    assert sorted(numbers(store)) == [3, store.version]
    assert not verify_store(store.path, 3).damaged


def test_marks_survive_a_sweep_that_comes_before_their_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that sweeps between the file and its lock costs a second try, not an error."""
    lock = removed_versions.fcntl.flock
    swept: list[bool] = []

    def late(file: Any, how: int) -> None:
        if not swept and hasattr(file, "name") and ".tmp-" in str(file.name):
            swept.append(True)
            Path(file.name).unlink()
        lock(file, how)

    monkeypatch.setattr(removed_versions.fcntl, "flock", late)
    collect_garbage(store.path, keep=1, grace_s=0)
    assert swept
    assert numbers(store) == [store.version]


def test_a_damaged_old_manifest_goes_with_the_others_of_its_age(store: Store) -> None:
    """It is listed as damaged, and stops a collection only that would keep it."""
    path = store.path / "manifests" / f"{2:020d}.json"
    path.write_bytes(path.read_bytes()[:-20])
    assert next(info for info in versions(store.path) if info.version == 2).change == "damaged"
    with pytest.raises(DataLossError):
        collect_garbage(store.path, keep=1000)
    assert 2 in collect_garbage(store.path, keep=1, grace_s=0).removed
    assert numbers(store) == [store.version]
