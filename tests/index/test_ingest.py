"""From inputs to a version of a store."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lodex.errors import DuplicateDocumentError, InputError, InvalidArgumentError
from lodex.index.ingest import IngestSummary, Skipped, ingest
from lodex.index.sources.fields import Fields
from lodex.index.store import Store
from lodex.types import Document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def write_rows(path: Path, *rows: Any) -> str:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return str(path)


class Recorder:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int | None, str]] = []
        self.amounts: list[int] = []
        self.finished = 0

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Begin."""
        self.phases.append((label, total, unit))

    def advance(self, amount: int) -> None:
        """Go on."""
        self.amounts.append(amount)

    def finish(self) -> None:
        """End."""
        self.finished += 1


def test_every_format_becomes_one_version(tmp_path: Path, store: Store) -> None:
    """A folder of all formats is one new version, in the order of names."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("plain\n")
    (folder / "b.md").write_text("# Title\n\ntext")
    (folder / "c.html").write_text("<title>Page</title><p>seen")
    write_rows(folder / "d.jsonl", {"_id": 1, "title": "T", "text": "row", "n": 5})
    (folder / "e.jsonl.gz").write_bytes(gzip.compress(b'{"id": "g", "text": "packed", "date": "2024-01-02"}'))
    (folder / "f.jsonl.zst").write_bytes(pa.compress(b'{"text": "dense"}', codec="zstd", asbytes=True))
    pq.write_table(pa.table({"docid": ["p"], "contents": ["cell"], "url": ["http://x"]}), folder / "g.parquet")
    (folder / "h.pdf").write_text("%PDF")
    progress = Recorder()
    summary = ingest(store, [str(folder)], progress=progress)
    assert summary == IngestSummary(
        version=2,
        documents=7,
        text_bytes=6 + 13 + 4 + 3 + 6 + 5 + 4,
        replaced=0,
        files=7,
        seconds=summary.seconds,
        passed_over={".pdf": 1},
    )
    assert list(store) == [
        Document("a.txt", "plain\n", source="a.txt"),
        Document("b.md", "# Title\n\ntext", source="b.md", title="Title"),
        Document("c.html", "seen", source="c.html", title="Page"),
        Document("1", "row", source="d.jsonl", title="T", metadata={"n": 5}),
        Document("g", "packed", source="e.jsonl.gz", date="2024-01-02"),
        Document("f.jsonl.zst:1", "dense", source="f.jsonl.zst"),
        Document("p", "cell", source="g.parquet", url="http://x"),
    ]
    total = sum(path.stat().st_size for path in folder.iterdir() if path.suffix != ".pdf")
    assert progress.phases == [("ingest", total, "bytes")]
    assert sum(progress.amounts) == total
    assert progress.finished == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"id": "b", "text": "x"\n', ":2: not JSON: Expecting ',' delimiter at column 24"),
        ('{"id": "b"}\n', ":2: no field 'text' or 'contents' or 'content' or 'body'; there are none"),
        ('{"id": "b", "text": " \\n\\t"}\n', ":2: document 'b' has no text"),
        ('{"id": "b", "text": ""}\n', ":2: document 'b' has no text"),
        (
            '{"id": "a", "text": "again"}\n',
            ":2: doc_id 'a' is already in this input; to replace it: --replace, or upsert",
        ),
        ('{"id": "b", "text": "\\ud800"}\n', ":2: document 'b': text is not valid Unicode"),
        ('{"id": "b", "text": "x", "title": "\\udfff"}\n', ":2: document 'b': title is not valid Unicode"),
        ('{"id": "b", "text": "x", "m": {"k": ["\\ud800"]}}\n', ":2: document 'b': metadata is not valid Unicode"),
        ('{"id": "a\\nb", "text": "x"}\n', ":2: doc_id must be 1 to 1024 bytes of printable characters"),
        ('{"id": "b", "text": "' + "x" * 200 + '"}\n', ":2: the line is long, more than --max-document-bytes allows"),
    ],
)
def test_the_first_fault_leaves_the_store_as_it_was(tmp_path: Path, store: Store, bad: str, message: str) -> None:
    """Nothing of the input is written, and the error names file and line."""
    ingest(store, [write_rows(tmp_path / "before.jsonl", {"id": "old", "text": "x"})])
    path = write_rows(tmp_path / "rows.jsonl", {"id": "a", "text": "first"}, bad, {"id": "c", "text": "last"})
    with pytest.raises(InputError) as caught:
        ingest(store, [path], max_document_bytes=150, segment_bytes=1)
    assert str(caught.value).startswith(path + message)
    assert (caught.value.source, caught.value.line) == (path, 2)
    assert store.version == 2
    assert [document.doc_id for document in Store.open(store.path)] == ["old"]


def test_skipped_faults_are_counted_with_examples(tmp_path: Path, store: Store) -> None:
    """Each kind has its count and its first three messages; all good documents are written."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"\xff")
    (folder / "b.txt").write_bytes(b"")
    (folder / "c.txt").symlink_to("nowhere")
    rows = ["{\n"] * 5 + [{"id": "a", "text": "good"}, {"id": "a", "text": "twice"}, {"id": "b", "text": "good"}]
    path = write_rows(folder / "d.jsonl", *rows)
    summary = ingest(store, [str(folder)], on_error="skip")
    assert (summary.version, summary.documents, summary.files) == (2, 2, 3)
    assert {skipped.fault: skipped.count for skipped in summary.skipped} == {
        "not JSON": 5,
        "undecodable bytes": 1,
        "empty file": 1,
        "unreadable file": 1,
        "duplicate doc_id": 1,
    }
    assert summary.skipped[0] == Skipped(
        "not JSON",
        5,
        tuple(
            f"{path}:{i}: not JSON: Expecting property name enclosed in double quotes at column 2" for i in (1, 2, 3)
        ),
    )
    assert [document.text for document in store] == ["good", "good"]


def test_an_ingest_of_faults_alone_publishes_nothing(tmp_path: Path, store: Store) -> None:
    """The store stays at its version; the same command again after a success is such an ingest."""
    path = write_rows(tmp_path / "rows.jsonl", {"id": "a", "text": "x"})
    assert ingest(store, [path]).version == 2
    again = ingest(store, [path], on_error="skip")
    assert (again.version, again.documents) == (2, 0)
    assert again.skipped[0].examples == (
        f"{path}:1: doc_id 'a' is already in the store; to replace it: --replace, or upsert",
    )
    with pytest.raises(DuplicateDocumentError, match=r"rows\.jsonl:1: doc_id 'a' is already in the store"):
        ingest(store, [path])
    assert store.version == 2


def test_replacing_takes_the_last_of_equal_ids(tmp_path: Path, store: Store) -> None:
    """In the store and within one input alike."""
    ingest(store, [write_rows(tmp_path / "1.jsonl", {"id": "a", "text": "old"}, {"id": "b", "text": "kept"})])
    path = write_rows(tmp_path / "2.jsonl", {"id": "a", "text": "new"}, {"id": "a", "text": "newest"})
    summary = ingest(store, [path], replace=True)
    assert (summary.documents, summary.replaced) == (2, 2)
    assert {document.doc_id: document.text for document in store} == {"a": "newest", "b": "kept"}


def test_a_document_above_the_limit_is_refused_by_name(tmp_path: Path, store: Store) -> None:
    """The limit is of bytes of UTF-8, and inclusive."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["short", "long"], "text": ["é" * 5, "é" * 5 + "e"]}), path)
    summary = ingest(store, [str(path)], on_error="skip", max_document_bytes=10)
    assert summary.documents == 1
    assert summary.skipped == (
        Skipped(
            "too large",
            1,
            (f"{path}:2: document 'long' has 11 bytes of text, more than --max-document-bytes allows (10)",),
        ),
    )


def test_fields_are_mapped(tmp_path: Path, store: Store) -> None:
    """The mapping reaches the readers."""
    path = write_rows(tmp_path / "rows.jsonl", {"key": "k", "abstract": "x", "text": "y", "z": 1})
    ingest(store, [path], fields=Fields(id="key", text="abstract", metadata=("z",)))
    assert list(store) == [Document("k", "x", source="rows.jsonl", metadata={"z": 1})]


def test_several_segments_are_one_version(tmp_path: Path, store: Store) -> None:
    """The segment size cuts the text, not the commit."""
    path = write_rows(tmp_path / "rows.jsonl", *({"id": i, "text": "x" * 100} for i in range(10)))
    assert ingest(store, [path], segment_bytes=300).version == 2
    assert [segment.num_documents for segment in store.snapshot().segments] == [3, 3, 3, 1]


def test_faults_do_not_upset_the_progress(tmp_path: Path, store: Store) -> None:
    """Every file advances the bar by its size, damaged and refused ones too."""
    damaged = tmp_path / "a.jsonl.gz"
    damaged.write_bytes(gzip.compress(b'{"text": "x"}\n' * 5_000)[:-100])
    (tmp_path / "b.txt").write_bytes(b"x" * 1000)
    progress = Recorder()
    ingest(store, [str(damaged), str(tmp_path / "b.txt")], on_error="skip", max_document_bytes=500, progress=progress)
    assert sum(progress.amounts) == damaged.stat().st_size + 1000


def test_the_progress_never_goes_back(tmp_path: Path, store: Store) -> None:
    """The foot of a table is read before and after its rows; the bar counts no byte twice."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"{i} text" for i in range(100)]}), path, row_group_size=10)
    progress = Recorder()
    ingest(store, [str(path)], progress=progress)
    assert min(progress.amounts) > 0
    assert sum(progress.amounts) == path.stat().st_size


def test_metadata_at_the_limit_of_nesting_is_written_and_read_back(tmp_path: Path, store: Store) -> None:
    """What the reader lets through, the store holds."""
    value: Any = 1
    for level in range(64):
        value = [value] if level % 2 else {"a": value}
    ingest(store, [write_rows(tmp_path / "rows.jsonl", {"id": "a", "text": "x", "m": value})])
    assert Store.open(store.path).get("a").metadata == {"m": value}


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    """Two ingests of one folder, from different working directories, write equal segments."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.txt").write_text(f"text {i}")
    stores = [Store.create(tmp_path / name) for name in "ab"]
    ingest(stores[0], [str(folder)])
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        ingest(stores[1], ["in"])
    finally:
        os.chdir(here)
    assert stores[0].snapshot().segments[0].id == stores[1].snapshot().segments[0].id


@pytest.mark.parametrize(
    ("options", "field"), [({"on_error": "ignore"}, "on_error"), ({"max_document_bytes": 0}, "max_document_bytes")]
)
def test_wrong_options_are_named(tmp_path: Path, store: Store, options: dict[str, Any], field: str) -> None:
    """Before anything is read."""
    with pytest.raises(InvalidArgumentError) as caught:
        ingest(store, ["missing"], **options)
    assert caught.value.field == field


def test_an_argument_that_leads_nowhere_stops_a_skipping_ingest(store: Store) -> None:
    """`skip` is for documents, not for typing errors."""
    with pytest.raises(InvalidArgumentError, match="no file, folder or named source 'nowhere'"):
        ingest(store, ["python-docs", "nowhere"], on_error="skip")
    assert store.version == 1
