"""`lodex ingest`, as a user runs it."""

import json
from pathlib import Path

import pytest

from lodex.cli import main
from lodex.index.store import Store


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process; returns its exit code."""
    monkeypatch.setattr("sys.argv", ["lodex", "ingest", *map(str, arguments)])
    monkeypatch.setenv("LODEX_LOG", "off")
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "rows.jsonl"
    path.parent.mkdir()
    path.write_text('{"key": 1, "abstract": "one", "a": 1, "b": 2}\n{"key": 2}\n{"key": 3, "abstract": "three"}\n')
    return path


def test_good_documents_are_written_and_summed_up(
    tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store is made, flags map the fields, and the summary names what was left out."""
    flags = ["--id-field", "key", "--text-field", "abstract", "--metadata-field", "b", "--on-error", "skip"]
    assert run(monkeypatch, tmp_path / "store", rows, *flags) == 0
    assert [(d.doc_id, d.text, d.metadata) for d in Store.open(tmp_path / "store")] == [
        ("1", "one", {"b": 2}),
        ("3", "three", {}),
    ]
    printed = capsys.readouterr()
    assert printed.out.startswith("version 2: 2 documents, 0.0 MB of text from 1 input in ")
    assert printed.err == f"skipped 1: missing field\n  {rows}:2: no field 'abstract'; there are none\n"


def test_json_is_for_programs(
    tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object with every number of the summary."""
    (rows.parent / "notes.pdf").write_text("")
    assert (
        run(monkeypatch, tmp_path / "store", rows.parent, "--text-field", "abstract", "--on-error", "skip", "--json")
        == 0
    )
    summary = json.loads(capsys.readouterr().out)
    del summary["seconds"]
    (tasks,) = summary.pop("tasks")
    assert (tasks["kind"], tasks["done"], tasks["skipped"], tasks["rows"]) == ("ingest", 1, 0, 2)
    assert summary == {
        "version": 2,
        "documents": 2,
        "text_bytes": 8,
        "replaced": 0,
        "files": 1,
        "skipped": [
            {"fault": "missing field", "count": 1, "examples": [f"{rows}:2: no field 'abstract'; there are 'key'"]}
        ],
        "passed_over": {".pdf": 1},
    }


def test_a_fault_is_one_line_and_exit_code_1(
    tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """File and line, no traceback, and nothing written."""
    assert run(monkeypatch, tmp_path / "store", rows, "--text-field", "abstract") == 1
    printed = capsys.readouterr()
    assert printed.err == f"lodex: {rows}:2: no field 'abstract'; there are 'key'\n"
    assert len(Store.open(tmp_path / "store")) == 0


@pytest.mark.parametrize("flags", [["--on-error", "ignore"], ["--max-document-bytes", "0"], ["--no-such-flag"]])
def test_wrong_usage_is_exit_code_2(
    tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    """Flags are checked before the store is touched."""
    assert run(monkeypatch, tmp_path / "store", rows, *flags) == 2
    assert "Usage:" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
