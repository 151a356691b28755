"""An ingest in several tasks: cut, shared, killed and run again, it gives what one that is whole gives."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import DataLossError, DuplicateDocumentError, FailedPreconditionError, InputError
from lodex.index.adoption import SegmentAdopter
from lodex.index.ingest import IngestSummary, ingest
from lodex.index.ingest_plan import plan_tasks
from lodex.index.sources.inputs import Inputs
from lodex.index.sources.jsonl import line_spans, read_jsonl, read_jsonl_span
from lodex.index.sources.reading import Reading, Record, SourceFile
from lodex.index.store import Store
from lodex.index.verify import verify_store
from lodex.types import Document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files: texts, rows with and without ids, a blank line."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text(f"text of {name} " * 20)
    rows = [json.dumps({"text": f"row {i} " * 5}) for i in range(50)]
    (folder / "d.jsonl").write_text("\n".join([*rows[:20], "", *rows[20:]]) + "\n")
    (folder / "e.jsonl").write_text("".join(json.dumps({"id": i, "text": "x" * 300}) + "\n" for i in range(10)))
    (folder / "f.md").write_text("# The end\n")
    return folder


def run(tmp_path: Path, name: str, inputs: Path, **options: Any) -> tuple[Store, IngestSummary]:
    store = Store.open_or_create(tmp_path / name)
    return store, ingest(store, [str(inputs)], **options)


def receipts(store: Store) -> list[str]:
    return [path.parent.name for path in (store.path / "artefacts").glob("ingest/*/receipt.json")]


@pytest.mark.parametrize("size", [150, 700, 5000])
def test_cut_anywhere_the_documents_are_those_of_the_whole(tmp_path: Path, folder: Path, size: int) -> None:
    """With the ids that lines give, in the order of the inputs, as one version and without a receipt left over."""
    whole, expected = run(tmp_path, "whole", folder)
    cut, summary = run(tmp_path, "cut", folder, task_input_bytes=size)
    assert list(cut) == list(whole)
    assert summary.tasks[0].done > expected.tasks[0].done == 1
    assert (summary.version, summary.documents, summary.files) == (2, 64, 6)
    assert receipts(cut) == receipts(whole) == []
    assert not verify_store(cut.path).damaged


@pytest.mark.slow
def test_workers_change_nothing_but_the_time(tmp_path: Path, folder: Path) -> None:
    """The same segments, byte for byte."""
    one, _ = run(tmp_path, "one", folder, task_input_bytes=500)
    two, summary = run(tmp_path, "two", folder, task_input_bytes=500, workers=2)
    assert [s.id for s in two.snapshot().segments] == [s.id for s in one.snapshot().segments]
    assert summary.tasks[0].done > 2


class Killed(BaseException):
    """Stands for a signal: no handler of errors sees it."""


@pytest.mark.parametrize("survivors", [0, 1, 3, 99])
def test_what_was_finished_is_not_done_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    """After any number of tasks, or just before the commit, a killed ingest goes on where it was."""
    expected, whole = run(tmp_path, "expected", folder, task_input_bytes=500)
    left = survivors

    def adopt(self: SegmentAdopter, *arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        original(self, *arguments)

    def commit(self: SegmentAdopter) -> None:
        raise Killed

    original = SegmentAdopter.adopt
    with monkeypatch.context() as patched:
        patched.setattr(SegmentAdopter, "adopt", adopt)
        patched.setattr(SegmentAdopter, "commit", commit)
        with pytest.raises(Killed):
            run(tmp_path, "killed", folder, task_input_bytes=500)
    store = Store.open(tmp_path / "killed")
    assert (store.version, len(store)) == (1, 0)
    finished = len(receipts(store))
    assert finished == min(survivors + 1, whole.tasks[0].done)
    store, again = run(tmp_path, "killed", folder, task_input_bytes=500)
    assert (again.tasks[0].skipped, again.tasks[0].done) == (finished, whole.tasks[0].done - finished)
    assert again == IngestSummary(**{**vars_of(whole), "seconds": again.seconds})
    assert [s.id for s in store.snapshot().segments] == [s.id for s in expected.snapshot().segments]
    assert receipts(store) == []


def vars_of(summary: IngestSummary) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in summary.__dataclass_fields__}


def leave_receipts(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Finish every task and die before the commit."""

    def commit(self: SegmentAdopter) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(SegmentAdopter, "commit", commit)
        with pytest.raises(Killed):
            run(tmp_path, "store", folder, task_input_bytes=500)
    return Store.open(tmp_path / "store")


def test_a_receipt_without_its_segments_counts_for_nothing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task is done again."""
    store = leave_receipts(tmp_path, folder, monkeypatch)
    gone = next((store.path / "segments").iterdir())
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    _, summary = run(tmp_path, "store", folder, task_input_bytes=500)
    assert summary.tasks[0].done == 1
    assert len(store) == 64


def test_a_file_that_changed_is_read_again(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task is known by the size and the time of its files."""
    store = leave_receipts(tmp_path, folder, monkeypatch)
    (folder / "f.md").write_text("# The new\n")
    _, summary = run(tmp_path, "store", folder, task_input_bytes=500)
    assert summary.tasks[0].done == 1
    assert store.get("f.md").text == "# The new\n"


@pytest.fixture
def clashing(tmp_path: Path) -> Path:
    """Two files of a task each, which share the ids 3 and 4."""
    folder = tmp_path / "clash"
    folder.mkdir()
    for name, ids in (("a", range(5)), ("b", range(3, 8))):
        rows = [{"id": i, "text": f"{i} of {name}"} for i in ids]
        (folder / f"{name}.jsonl").write_text("\n" + "".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_ids_of_other_tasks_are_faults_with_their_place(tmp_path: Path, clashing: Path) -> None:
    """The later one is the fault; nothing is published."""
    with pytest.raises(DuplicateDocumentError) as caught:
        run(tmp_path, "store", clashing, task_input_bytes=1)
    path = clashing / "b.jsonl"
    assert str(caught.value) == f"{path}:2: doc_id '3' is already in this input; to replace it: --replace, or upsert"
    assert Store.open(tmp_path / "store").version == 1


def test_ids_of_other_tasks_are_skipped_and_counted(tmp_path: Path, clashing: Path) -> None:
    """As if one task had read everything."""
    whole, expected = run(tmp_path, "whole", clashing, on_error="skip")
    cut, summary = run(tmp_path, "cut", clashing, on_error="skip", task_input_bytes=1)
    assert list(cut) == list(whole)
    assert [document.text for document in cut][-4:] == ["4 of a", "5 of b", "6 of b", "7 of b"]
    assert summary == IngestSummary(**{**vars_of(expected), "seconds": summary.seconds})
    assert summary.skipped[0].count == 2


def test_ids_of_other_tasks_are_replaced(tmp_path: Path, clashing: Path) -> None:
    """The last one stays, within the inputs and in the store."""
    store, summary = run(tmp_path, "store", clashing, replace=True, task_input_bytes=1)
    assert (summary.documents, summary.replaced) == (10, 2)
    assert {d.doc_id: d.text[-1] for d in store} == {str(i): "a" if i < 3 else "b" for i in range(8)}
    (clashing / "b.jsonl").unlink()
    store, summary = run(tmp_path, "store", clashing, replace=True, task_input_bytes=1)
    assert (summary.documents, summary.replaced) == (5, 5)
    assert {d.doc_id: d.text[-1] for d in store} == {str(i): "a" if i < 5 else "b" for i in range(8)}


def test_a_fault_in_the_middle_of_a_large_file_has_its_line(tmp_path: Path) -> None:
    """Parts of a file know where they begin."""
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"id": i, "text": "word " * 20}) for i in range(100)]
    rows[70] = "{"
    path.write_text("\n".join(rows))
    with pytest.raises(InputError) as caught:
        run(tmp_path, "store", path, task_input_bytes=400)
    assert (caught.value.source, caught.value.line) == (str(path), 71)


def test_a_named_source_is_never_found_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may read differently tomorrow; what is known of it is forgotten at once."""
    monkeypatch.setattr(
        "lodex.index.sources.inputs.NAMED_SOURCES", {"one": lambda: iter([document_of("x"), document_of("")])}
    )
    store = Store.create(tmp_path / "store")
    with pytest.raises(InputError):
        ingest(store, ["one"])
    assert ingest(store, ["one"], on_error="skip").documents == 1
    assert receipts(store) == []


def document_of(text: str) -> Any:

    return Document("d" + text, text)


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["", " ", '{"text": "a"}', '{"text": "' + "b" * 50 + '"}', "{"]), min_size=1),
    size=st.integers(1, 120),
    ends=st.booleans(),
)
def test_the_spans_of_a_file_read_as_the_whole(tmp_path_factory: Any, lines: list[str], size: int, ends: bool) -> None:
    """The same records and faults with the same lines; an empty file alone is told by the whole only."""
    path = tmp_path_factory.mktemp("spans") / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n" * ends)
    file = SourceFile(path, "rows.jsonl")
    reading = Reading(max_document_bytes=40)

    def plain(items: Any) -> list[Any]:
        try:
            return [(i.document, i.line) if isinstance(i, Record) else str(i) for i in items]
        except InputError as error:
            return [str(error)] if "empty" not in str(error) else []

    spans = list(line_spans(path, path.stat().st_size, size))
    assert [span.begin for span in spans[1:]] == [span.end for span in spans[:-1]]
    parts = [item for span in spans for item in plain(read_jsonl_span(file, span, reading))]
    assert parts == plain(read_jsonl(file, reading))


def test_the_sizes_of_parts_add_up(folder: Path) -> None:
    """So the progress ends at the size of the inputs."""
    sources = Inputs([str(folder)])
    planned = [source.size_bytes for group in plan_tasks(sources, 300) for source in group]  # type: ignore[union-attr]
    assert sum(planned) == sources.total_bytes  # type: ignore[arg-type]
    assert len(planned) > 6


def test_a_sync_that_fails_in_a_task_stops_the_store(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in any other write: what the disk has is not known any more."""
    store = Store.create(tmp_path / "store")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fsync)
        with pytest.raises(DataLossError):
            ingest(store, [str(folder)])
    with pytest.raises(FailedPreconditionError, match="sync failed"):
        ingest(store, [str(folder)])
    assert ingest(Store.open(store.path), [str(folder)]).documents == 64
