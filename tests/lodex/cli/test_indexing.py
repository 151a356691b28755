"""`lodex index`, as a user runs it: what it prints and logs."""

import json
from pathlib import Path
from typing import Any

import pytest

from lodex.cli import main
from lodex.index.store import Store
from lodex.types import Document


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process; returns its exit code."""
    monkeypatch.setattr("sys.argv", ["lodex", "index", *map(str, arguments)])
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of two segments."""
    store = Store.create(tmp_path / "store")
    for name in "ab":
        store.add([Document(name, "one fish two fish")])
    return store.path


def counts(kinds: list[dict[str, Any]]) -> list[tuple[str, int, int, int]]:
    return [(kind["kind"], kind["done"], kind["skipped"], kind["rows"]) for kind in kinds]


def test_json_has_the_indexes_and_the_tasks(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object for programs."""
    assert run(monkeypatch, "passages", path, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["version"] == 4
    assert summary["indexes"] == [{"name": "180w", "kind": "passages", "segments_ok": 2, "segments_total": 2}]
    assert counts(summary["tasks"]) == [("passages", 2, 0, 2)]


def test_each_task_is_a_line_of_the_log(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people as text, for programs as JSON with the numbers of the task; LODEX_LOG decides, the flag overrules."""
    assert run(monkeypatch, "passages", path) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(" INFO passages task " in line and " finished: 1 rows, " in line for line in lines)
    monkeypatch.setenv("LODEX_LOG", "off")
    assert run(monkeypatch, "passages", path, "--chunking", "document") == 0
    assert capsys.readouterr().err == ""
    assert run(monkeypatch, "suffix", path, "--log-json") == 0
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["task"]["kind"] for line in logged] == ["tokens", "tokens", "suffix", "suffix"]
    assert {line["level"] for line in logged} == {"INFO"}
    assert logged[0]["task"]["is_skipped"] is False


def test_people_read_what_the_tasks_cost(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each index and for each kind of task."""
    assert run(monkeypatch, "suffix", path, "--workers", "1") == 0
    first, *kinds = capsys.readouterr().out.splitlines()
    assert first == "suffix: suffix over 2 segments, version 4"
    assert [line.split(",")[0] for line in kinds] == ["tokens: 2 tasks", "suffix: 2 tasks"]


def test_page_keys_are_written_on_request(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part has them, also those that an update builds later."""
    assert run(monkeypatch, "suffix", path, "--page-keys") == 0
    Store.open(path).add([Document("c", "red fish blue fish")])
    assert run(monkeypatch, "update", path) == 0
    parts = [part for _, part in Store.open(path).snapshot().parts("suffix")]
    assert len(parts) == 3
    assert all(part is not None and part.file("pages.0").stat().st_size > 512 for part in parts)


def test_a_wrong_log_setting_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is built."""
    monkeypatch.setenv("LODEX_LOG", "xml")
    assert run(monkeypatch, "passages", path) == 1
    assert capsys.readouterr().err == "lodex: LODEX_LOG must be json, text or off, not 'xml'\n"
    assert Store.open(path).version == 3
