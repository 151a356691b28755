"""Building several indexes as one job."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lodex.errors import AlreadyExistsError, FailedPreconditionError
from lodex.index import build as build_module
from lodex.index.aliases import set_alias
from lodex.index.build import Builder, build_index, build_indexes
from lodex.index.job_report import JobReport
from lodex.index.jobs import TaskResult
from lodex.index.passages import PassagesBuilder
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.index.worker_pool import WorkerPool
from lodex.types import Document, Progress, Silent


def store_of(path: Path, segments: int = 3) -> Store:
    store = Store.create(path)
    for i in range(segments):
        store.add([Document(f"{i}-{j}", f"fish {i} and fish {j} " * 20) for j in range(5)])
    return store


def builders() -> dict[str, Builder]:
    return {"180w": PassagesBuilder(), "t": TokensBuilder(Tokenizer.load()), "s": SuffixBuilder("t")}


def files_of(store: Store) -> dict[str, bytes]:
    """Every file of every artefact."""
    root = store.path / "artefacts"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class Tally(Silent):
    """Sums up what is told."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int | None, str]] = []
        self.done = 0
        self.counts: list[tuple[int, int | None]] = []

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Begin."""
        self.phases.append((label, total, unit))

    def advance(self, amount: int) -> None:
        """Go on."""
        self.done += amount

    def tasks(self, done: int, total: int | None) -> None:
        """Count."""
        self.counts.append((done, total))


def test_all_indexes_are_one_version(tmp_path: Path) -> None:
    """With all their segments; the history says that it was a build."""
    store = store_of(tmp_path / "store")
    version = store.version
    report, progress = JobReport(), Tally()
    snapshot = build_indexes(store, builders(), progress, report=report)
    assert snapshot.version == store.version == version + 1
    assert snapshot.manifest.change == "build"
    assert {name: len(entry.parts) for name, entry in snapshot.manifest.indexes.items()} == {"180w": 3, "t": 3, "s": 3}
    assert [(kind.kind, kind.done, kind.skipped) for kind in report.summary()] == [
        ("passages", 3, 0),
        ("tokens", 3, 0),
        ("suffix", 3, 0),
    ]
    text_bytes = sum(segment.text_bytes for segment in snapshot.segments)
    assert progress.phases == [(kind, text_bytes, "bytes") for kind in ("passages", "tokens", "suffix")]
    assert progress.done == 3 * text_bytes
    assert progress.counts == 3 * [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.slow
def test_workers_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts and all."""
    one, two = store_of(tmp_path / "one"), store_of(tmp_path / "two")
    build_indexes(one, builders())
    monkeypatch.setattr(build_module, "_WORKERS_FROM_BYTES", 0)
    progress = Tally()
    with WorkerPool(2) as pool:
        build_indexes(two, builders(), progress, pool=pool)
    assert files_of(one) == files_of(two)
    assert progress.done == 3 * sum(segment.text_bytes for segment in two.snapshot().segments)


class Faulty:
    """Passages, but for the second segment, which fails."""

    kind = "passages"
    depends_on: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._real = PassagesBuilder()
        self.config: Mapping[str, Any] = self._real.config
        self.built = 0

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Fail at the second."""
        self.built += 1
        if self.built == 2:
            raise RuntimeError("out of luck")
        return self._real.build(segment, inputs, out, progress)


def test_what_an_interrupted_build_finished_is_found(tmp_path: Path) -> None:
    """By its receipt, though no version names it."""
    store = store_of(tmp_path / "store")
    version = store.version
    with pytest.raises(RuntimeError):
        build_indexes(store, {"180w": Faulty()})
    assert store.version == version
    report = JobReport()
    build_indexes(store, builders(), report=report)
    assert [(kind.done, kind.skipped) for kind in report.summary()] == [(2, 1), (3, 0), (3, 0)]
    assert store.version == version + 1


def test_a_long_build_shows_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version every so often, each with more."""
    store = store_of(tmp_path / "store")
    version = store.version
    monkeypatch.setattr(build_module, "_PUBLISH_AFTER_S", 0.0)
    build_indexes(store, {"180w": PassagesBuilder()})
    counts = [len(store.snapshot(v).manifest.indexes["180w"].parts) for v in range(version + 1, store.version + 1)]
    assert counts == [1, 2, 3]


def test_a_build_that_lacks_nothing_publishes_nothing(tmp_path: Path) -> None:
    """An empty store keeps the configuration all the same."""
    store = Store.create(tmp_path / "store")
    assert build_indexes(store, builders()).version == 2
    assert build_indexes(store, builders()).version == 2


def test_a_dependency_must_be_there_or_be_built(tmp_path: Path) -> None:
    """In that order; nothing is built otherwise."""
    store = store_of(tmp_path / "store", 1)
    with pytest.raises(FailedPreconditionError, match="'s' needs 't'"):
        build_indexes(store, {"180w": PassagesBuilder(), "s": SuffixBuilder("t")})
    assert not list((store.path / "artefacts").rglob("receipt.json"))


def test_segments_of_others_are_left_for_the_next_round(tmp_path: Path) -> None:
    """What another writer publishes during a build is not named by it, and loses nothing to it."""
    store = store_of(tmp_path / "store", 1)

    class Slow(Faulty):
        def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
            """Add a document meanwhile."""
            if not self.built:
                Store.open(store.path).add([Document(f"new {time.monotonic_ns()}", "one more fish")])
            self.built = 5
            return self._real.build(segment, inputs, out, progress)

    snapshot = build_indexes(store, {"180w": Slow()})
    assert (len(snapshot.segments), len(snapshot.manifest.indexes["180w"].parts)) == (2, 1)
    assert len(build_indexes(store, builders()).manifest.indexes["180w"].parts) == 2


def test_an_alias_is_no_name_for_a_new_index(tmp_path: Path) -> None:
    """A name would otherwise mean one thing to readers and another to builds."""
    store = Store.create(tmp_path / "store")
    store.add([Document("x", "a")])
    build_index(store, "document", PassagesBuilder("document"))
    set_alias(store, "cut", "document")
    with pytest.raises(AlreadyExistsError, match="alias of index 'document'"):
        build_index(store, "cut", PassagesBuilder("document"))
