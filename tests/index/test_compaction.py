"""Compaction: fewer files, the same answers, the very bytes of a fresh build, and nothing lost to other writers."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import CancelledError, DataLossError, FailedPreconditionError
from lodex.index import compaction, merging
from lodex.index.build import build_index
from lodex.index.compaction import CompactReport, Throttle, compact
from lodex.index.compaction_policy import FAN_IN, deleted_compaction, full_compaction, needs_compaction
from lodex.index.job_report import JobReport
from lodex.index.manifest import IndexEntry, Manifest, PartEntry, SegmentEntry, Tombstones
from lodex.index.passages import PassagesBuilder
from lodex.index.receipt import Artefact
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.verify import verify_store
from lodex.types import Document
from tests.index.test_deletion import (
    QUERIES,
    WORDS,
    assert_same,
    batches_of_texts,
    build_all,
    dense_answers,
    knn_answers,
    ngram_answers,
    spell,
    texts,
)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Store]:
    """Stores of one segment for each batch of documents, with every index."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    numbers = count()

    def made(batches: Iterable[Sequence[Document]], lists: bool = False) -> Store:
        store = Store.create(tmp_path / f"store-{next(numbers)}")
        for batch in batches:
            store.add(batch)
        build_all(store, lists)
        return store

    return made


def prose(n: int, seed: int = 7) -> list[Document]:
    rng = np.random.default_rng(seed)
    return [
        Document(f"doc-{i}", spell(rng.integers(1, 5, rng.integers(0, 9)).tolist()), title=f"t{i}", metadata={"n": i})
        for i in range(n)
    ]


def part(snapshot: Snapshot, name: str) -> Artefact:
    ((_, artefact),) = snapshot.parts(name)
    assert artefact is not None
    return artefact


def check_answers(make: Callable[..., Store], batches: list[list[str]], data: st.DataObject) -> None:
    """Delete, replace and compact in steps; after each, and in the end, all exact answers are as they must be."""
    live = {f"doc-{i}.{j}": text for i, batch in enumerate(batches) for j, text in enumerate(batch)}
    store = make([Document(f"doc-{i}.{j}", text) for j, text in enumerate(batch)] for i, batch in enumerate(batches))
    for step in range(2):
        gone = data.draw(st.lists(st.sampled_from(sorted(live)), unique=True, max_size=len(live) - 1))
        store.delete(gone)
        live = {doc_id: text for doc_id, text in live.items() if doc_id not in gone}
        changed = data.draw(st.dictionaries(st.sampled_from([*sorted(live), f"new-{step}"]), texts, max_size=2))
        store.add([Document(doc_id, text) for doc_id, text in changed.items()], replace=True)
        live |= changed
        build_all(store)
        before = store.snapshot()
        compact(store, full=data.draw(st.booleans()))
        assert_same(before, store.snapshot())
    compact(store, full=True)
    snapshot = store.snapshot()
    assert len(snapshot.segments) == 1
    assert not snapshot.manifest.deleted_documents
    assert_same(snapshot, make([[Document(doc_id, text) for doc_id, text in live.items()]]).snapshot())
    assert not verify_store(store.path).damaged


@given(batches_of_texts, st.data())
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_answers_are_the_same_before_and_after(make: Any, batches: list[list[str]], data: st.DataObject) -> None:
    """After deletions, replacements and compaction, all exact answers are those of a store built of what is left."""
    check_answers(make, batches, data)


@pytest.mark.slow
@given(batches_of_texts, st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_answers_are_the_same_before_and_after(make: Any, batches: list[list[str]], data: st.DataObject) -> None:
    """The same for many more stores."""
    check_answers(make, batches, data)


@pytest.mark.parametrize("lists", [False, True])
def test_what_is_merged_is_what_would_be_built(make: Callable[..., Store], lists: bool) -> None:
    """The merged segment, its tasks, and the bytes of all its parts are those of a store of the live documents."""
    documents = prose(90)
    gone = [document.doc_id for document in documents[::7]]
    store = make([documents[:40], documents[40:41], documents[41:]], lists)
    store.delete(gone)
    compact(store, full=True)
    fresh = make([[d for d in documents if d.doc_id not in gone]], lists)
    (merged,), (built,) = store.snapshot().segments, fresh.snapshot().segments
    assert merged.id == built.id
    for name in ("document", "letters", "suffix", "dense", "knn"):
        one, other = part(store.snapshot(), name), part(fresh.snapshot(), name)
        assert one.id == other.id
        assert (one.receipt.inputs, one.receipt.config) == (other.receipt.inputs, other.receipt.config)
        assert one.receipt.files == other.receipt.files
        if name != "dense":
            assert one.receipt == other.receipt


def test_what_the_embedder_counted_is_summed(make: Callable[..., Store]) -> None:
    """It is not known of each passage, so the receipt says of how many it was counted, also when merged again."""
    store = make([prose(4), [Document("x", "a")], [Document("y", "b")]])
    store.delete(["doc-1"])
    compact(store, full=True)
    assert part(store.snapshot(), "dense").receipt.details["counted_passages"] == 6
    assert part(store.snapshot(), "dense").receipt.details["tokens"] == 6
    store.delete(["doc-2"])
    compact(store, full=True)
    assert part(store.snapshot(), "dense").receipt.details["counted_passages"] == 6
    assert part(store.snapshot(), "dense").receipt.rows == 4


def test_fields_are_kept(tmp_path: Path) -> None:
    """Documents come out of a compaction in their order, with all that they had."""
    documents = [
        Document("ä", "Zürich \U0001f600", "s", "T", "u", "2020", {"k": [1, None, "é"]}),
        Document("empty", ""),
        Document("long", "word " * 20_000, metadata={"n": 1.5}),
    ]
    store = Store.create(tmp_path / "store")
    for document in documents:
        store.add([document])
    build_index(store, "180w", PassagesBuilder())
    compact(store, full=True)
    assert list(store) == documents


def test_an_index_that_covers_some_segments_covers_no_less_after(make: Callable[..., Store]) -> None:
    """Segments are merged among those that the same indexes cover."""
    documents = prose(12)
    store = make([documents[:3], documents[3:6]])
    store.add(documents[6:9])
    store.add(documents[9:])
    build_index(store, "256w", PassagesBuilder("256w"))
    compact(store, full=True)
    snapshot = store.snapshot()
    assert [segment.num_documents for segment in snapshot.segments] == [6, 6]
    assert {name: len(entry.parts) for name, entry in snapshot.manifest.indexes.items()} == {
        "document": 1, "letters": 1, "suffix": 1, "dense": 1, "knn": 1, "256w": 2
    }  # fmt: skip
    build_all(store)
    assert_same(store.snapshot(), make([documents]).snapshot())


def test_nothing_due_publishes_nothing(make: Callable[..., Store]) -> None:
    """A compacted store stays at its version, whichever compaction is asked for."""
    store = make([prose(3), [Document("x", "a")]])
    assert compact(store).groups == 0
    assert compact(store, full=True).merged == 2
    version = store.version
    assert replace(compact(store, full=True), seconds=0.0) == CompactReport(version, 1, 1)
    assert store.version == version


def test_the_report_says_what_was_done(make: Callable[..., Store]) -> None:
    """Segments before and after, what was copied and what was left out."""
    documents = prose(20)
    store = make([documents[:10], documents[10:]])
    store.delete([document.doc_id for document in documents[:5]])
    done = compact(store, full=True)
    sizes = [len(document.text) for document in documents]
    assert (done.version, done.segments_before, done.segments_after) == (store.version, 2, 1)
    assert (done.groups, done.merged, done.documents, done.given_up) == (1, 2, 15, 0)
    assert (done.text_bytes, done.reclaimed_bytes) == (sum(sizes[5:]), sum(sizes[:5]))
    assert store.snapshot().manifest.change == "compact"


# -------------------------------------------------------------------------------------- other writers


def interfered(monkeypatch: pytest.MonkeyPatch, store: Store, act: Callable[[Store], object], times: int = 1) -> None:
    """Another handle does `act` after each of the first `times` groups is merged, and before it is published."""
    left = [times]

    def merge_group(*args: Any) -> Any:
        merged = merging.merge_group(*args)
        if left[0]:
            left[0] -= 1
            act(Store.open(store.path))
        return merged

    monkeypatch.setattr(compaction, "merge_group", merge_group)


def test_deletions_that_come_meanwhile_are_carried_over(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents deleted or replaced while their segments are merged are deleted in the merged one."""
    documents = prose(30)
    store = make([documents[:10], documents[10:20], documents[20:]])
    store.delete(["doc-3", "doc-15"])

    def act(other: Store) -> None:
        other.delete(["doc-0", "doc-9", "doc-16", "doc-29"])
        other.add([Document("doc-20", "a b a")], replace=True)

    interfered(monkeypatch, store, act)
    done = compact(store, full=True)
    assert (done.given_up, done.merged) == (0, 3)
    snapshot = store.snapshot()
    assert [entry.live_documents for entry in snapshot.manifest.segments] == [23, 1]
    assert snapshot.manifest.indexes["suffix"].parts[snapshot.segments[0].id].minus is not None
    build_all(store)
    gone = {"doc-3", "doc-15", "doc-0", "doc-9", "doc-16", "doc-29", "doc-20"}
    left = [d for d in documents if d.doc_id not in gone] + [Document("doc-20", "a b a")]
    assert_same(store.snapshot(), make([left]).snapshot())
    assert not verify_store(store.path).damaged


def test_additions_that_come_meanwhile_stay(make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """The merged segment stands where the first of its sources stood."""
    store = make([prose(3), [Document("x", "a")]])
    interfered(monkeypatch, store, lambda other: other.add([Document("new", "c")]))
    compact(store, full=True)
    assert [document.doc_id for document in store] == ["doc-0", "doc-1", "doc-2", "x", "new"]


def test_a_segment_that_vanished_meanwhile_is_merged_again(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another compaction, or the deletion of all its documents, took away is no reason to stop."""
    documents = prose(9)
    store = make([documents[:3], documents[3:6], documents[6:]])
    interfered(monkeypatch, store, lambda other: other.delete(["doc-3", "doc-4", "doc-5"]))
    done = compact(store, full=True)
    assert (done.given_up, done.segments_after) == (0, 1)
    assert_same(store.snapshot(), make([documents[:3] + documents[6:]]).snapshot())


def test_a_group_that_is_always_changed_is_given_up(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported, and the store is as the others left it."""
    documents = prose(8)
    store = make([[document] for document in documents])
    gone = iter(documents)
    interfered(monkeypatch, store, lambda other: other.delete([next(gone).doc_id]), times=100)
    done = compact(store, full=True)
    assert (done.given_up, done.groups, done.version) == (1, 0, store.version)
    assert_same(store.snapshot(), make([documents[3:]]).snapshot())


def test_a_segment_written_anew_meanwhile_is_not_cut_short(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that was taken away and came back with all its documents is not taken for the one that was merged."""
    documents = prose(6)
    store = make([documents[:3], documents[3:]])
    store.delete(["doc-1"])

    def act(other: Store) -> None:
        other.delete(["doc-0", "doc-2"])
        other.add(documents[:3])
        build_all(other)

    interfered(monkeypatch, store, act)
    compact(store, full=True)
    assert_same(store.snapshot(), make([documents]).snapshot())


def test_an_index_built_meanwhile_covers_what_it_covered(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of the sources that are published while they are merged are merged too, in another round."""
    store = make([prose(3), [Document("x", "a")]])
    interfered(monkeypatch, store, lambda other: build_index(other, "256w", PassagesBuilder("256w")))
    compact(store, full=True)
    snapshot = store.snapshot()
    assert {name: len(entry.parts) for name, entry in snapshot.manifest.indexes.items()} == dict.fromkeys(
        ("document", "letters", "suffix", "dense", "knn", "256w"), 1
    )
    assert part(snapshot, "256w").receipt.rows == 4


def test_an_index_dropped_meanwhile_stays_dropped(make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its merged part is not published."""
    store = make([prose(3), [Document("x", "a")]])

    def drop(latest: Manifest) -> Manifest:
        return replace(latest, indexes={n: e for n, e in latest.indexes.items() if n != "knn"})

    interfered(monkeypatch, store, lambda other: other.commit(drop, "drop"))
    assert compact(store, full=True).given_up == 0
    assert "knn" not in store.snapshot().manifest.indexes


def test_damage_keeps_no_other_group_from_being_merged(make: Callable[..., Store]) -> None:
    """The damaged segments stay as they are and are told of, the others are published first."""
    documents = prose(20)
    store = make([documents[:5], documents[5:10]])
    store.add(documents[10:15])
    store.add(documents[15:])
    path = part_of(store.snapshot(), "letters").file("tokenized.0")
    path.write_bytes(bytes(len(path.read_bytes())))
    with pytest.raises(DataLossError, match=r"tokenized\.0"):
        compact(Store.open(store.path), full=True)
    assert [segment.num_documents for segment in store.snapshot().segments] == [5, 5, 10]


def part_of(snapshot: Snapshot, name: str) -> Artefact:
    artefact = snapshot.part(name, snapshot.segments[0])
    assert artefact is not None
    return artefact


# -------------------------------------------------------------------------------------- stopping and going on


def test_a_compaction_that_was_stopped_goes_on_where_it_was(make: Callable[..., Store]) -> None:
    """Stopped wherever it looks whether to, it leaves the store as it was; run again, finished tasks are skipped."""
    documents = prose(30)
    store = make([documents[:20], documents[20:]])
    store.delete(["doc-7"])
    version, answers = store.version, ngram_answers(store.snapshot(), QUERIES)
    stops = 0
    for allowed in range(0, 1000, 9):
        calls = count()

        def check(calls: Any = calls, allowed: int = allowed) -> None:
            if next(calls) == allowed:
                raise CancelledError("stopped")

        try:
            compact(store, full=True, check=check)
            break
        except CancelledError:
            stops += 1
            assert store.version == version
            assert ngram_answers(store.snapshot(), QUERIES) == answers
    assert stops > 3
    assert len(store.snapshot().segments) == 1
    assert_same(store.snapshot(), make([[d for d in documents if d.doc_id != "doc-7"]]).snapshot())


def test_finished_tasks_are_found(make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction killed before it published builds nothing a second time, and notes that are stale do no harm."""
    documents = prose(30)
    store = make([documents[:20], documents[20:]])

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(store, full=True)
    report = JobReport()
    compact(store, full=True, report=report)
    assert [(kind.kind, kind.done, kind.skipped) for kind in report.summary()] == [
        (kind, 0, 1) for kind in ("passages", "tokens", "suffix", "dense", "knn")
    ]
    assert_same(store.snapshot(), make([documents]).snapshot())


def test_a_throttle_sleeps_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a quarter of a core three times the time worked is slept, in short naps that can be ended."""
    worked = slept = 0.0
    monkeypatch.setattr("time.thread_time", lambda: worked)
    monkeypatch.setattr("time.monotonic", lambda: worked + slept)

    def sleep(seconds: float) -> None:
        nonlocal slept
        assert seconds <= 0.1
        slept += seconds

    monkeypatch.setattr("time.sleep", sleep)
    throttle = Throttle(0.25)
    throttle.pause()
    for _ in range(300):
        worked += 0.01
        throttle.pause()
    assert slept == pytest.approx(9.0, abs=0.1)


# -------------------------------------------------------------------------------------- what is due


def manifest_of(sizes: Iterable[int], covered: Callable[[int], bool] = lambda _: True) -> Manifest:
    segments = tuple(SegmentEntry(f"{i:032x}", max(1, size // 500), size, "r") for i, size in enumerate(sizes))
    parts = {s.id: PartEntry(s.id, "r") for i, s in enumerate(segments) if covered(i)}
    return Manifest("s", 1, 0, segments, {"passages": IndexEntry("passages", {}, parts)})


def compacted(manifest: Manifest) -> tuple[Manifest, int]:
    """What a compaction makes of a manifest, and how many bytes it rewrites."""
    rewritten = 0
    for group in needs_compaction(manifest):
        merged = SegmentEntry(
            f"{rewritten:016x}{group[0].id[16:]}",
            sum(entry.live_documents for entry in group),
            sum(entry.live_text_bytes for entry in group),
            "r",
        )
        rewritten += merged.text_bytes
        at = manifest.segments.index(group[0])
        others = [entry for entry in manifest.segments if entry not in group]
        manifest = replace(manifest, segments=(*others[:at], merged, *others[at:]), indexes={})
    return manifest, rewritten


def test_a_thousand_small_commits_leave_few_segments() -> None:
    """Compaction behind each commit bounds the segments by 40, and writes each byte a handful of times."""
    rng = np.random.default_rng(0)
    manifest = manifest_of([])
    rewritten = written = most = 0
    for version in range(1000):
        size = int(rng.integers(1, 11)) * int(rng.integers(200, 4000))
        entry = SegmentEntry(f"{version + (1 << 100):032x}", 5, size, "r")
        manifest = replace(manifest, segments=(*manifest.segments, entry))
        manifest, copied = compacted(manifest)
        rewritten, written, most = rewritten + copied, written + size, max(most, len(manifest.segments))
        assert not needs_compaction(manifest)
    assert most <= 40
    assert manifest.live_text_bytes == written
    assert rewritten < 6 * written


def test_segments_do_not_grow_beyond_those_of_ingest() -> None:
    """Two that would be too large together stay apart; a full compaction leaves neighbours that do not fit together."""
    mib = 1 << 20
    manifest = manifest_of([300 * mib] * 9 + [100 * mib] * 3)
    for groups in (needs_compaction(manifest), full_compaction(manifest)):
        assert all(sum(entry.text_bytes for entry in group) <= 512 * mib for group in groups)
    assert full_compaction(manifest_of([300 * mib, 300 * mib])) == []
    many = [SegmentEntry(f"{i:032x}", 100_000, 1000, "r") for i in range(FAN_IN)]
    assert [len(group) for group in needs_compaction(Manifest("s", 1, 0, tuple(many)))] == [2, 2, 2, 2]


def test_a_fifth_deleted_is_rewritten() -> None:
    """By documents or by bytes; less is not, and a full compaction rewrites any."""
    (whole,) = manifest_of([50_000]).segments
    for documents, text_bytes, is_due in ((19, 9_999, False), (20, 0, True), (1, 10_000, True)):
        entry = replace(whole, deleted=Tombstones("t", "r", documents, text_bytes))
        manifest = Manifest("s", 1, 0, (entry,))
        assert needs_compaction(manifest) == ([(entry,)] if is_due else [])
        assert full_compaction(manifest) == deleted_compaction(manifest) == [(entry,)]


def test_segments_of_other_coverage_stay_apart() -> None:
    """Eight small segments of which every other one is covered are not merged, sixteen are, in two groups."""
    assert needs_compaction(manifest_of([100] * FAN_IN, lambda i: i % 2 == 0)) == []
    groups = needs_compaction(manifest_of([100] * 2 * FAN_IN, lambda i: i % 2 == 0))
    assert [[int(entry.id, 16) % 2 for entry in group] for group in groups] == [[0] * FAN_IN, [1] * FAN_IN]


def test_what_is_due_is_told_from_a_large_manifest_at_once() -> None:
    """500 segments of 20,000 documents cost a few milliseconds."""
    import time

    manifest = manifest_of([10_000_000 + i for i in range(500)])
    started = time.process_time()
    needs_compaction(manifest)
    assert time.process_time() - started < 0.1


def test_a_kind_that_cannot_be_merged_is_named(make: Callable[..., Store]) -> None:
    """Nothing is published."""
    store = make([[Document("x", "a")], [Document("y", "b")]])

    def add_kind(latest: Manifest) -> Manifest:
        entry = latest.indexes["document"]
        return replace(latest, indexes={**latest.indexes, "other": replace(entry, kind="lexical")})

    shutil.copytree(store.path / "artefacts" / "passages", store.path / "artefacts" / "lexical")
    store.commit(add_kind, "mischief")
    version = store.version
    with pytest.raises(FailedPreconditionError, match="lexical"):
        compact(store, full=True)
    assert store.version == version


def test_lists_give_the_same_when_all_are_probed(make: Callable[..., Store]) -> None:
    """Vectors and keys that stood in the order of lists are put in that of the merged segment."""
    documents = prose(80)
    store = make([documents[:40], documents[40:]], lists=True)
    store.delete([document.doc_id for document in documents[::9]])
    dense = dense_answers(store.snapshot(), WORDS, nprobe=1000)
    knn = knn_answers(store.snapshot(), WORDS, nprobe=1000)
    compact(store, full=True)
    assert dense_answers(store.snapshot(), WORDS, nprobe=1000) == dense
    assert knn_answers(store.snapshot(), WORDS, nprobe=1000) == knn
