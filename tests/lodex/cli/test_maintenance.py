"""The verbs that look after a store, as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lodex.cli import main
from lodex.index.build import build_index
from lodex.index.history import tags, versions
from lodex.index.passages import PassagesBuilder
from lodex.index.store import Store
from lodex.types import Document

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(*words)` runs a command in this process; its exit code, and what it printed."""
    monkeypatch.setenv("LODEX_LOG", "off")

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lodex", *map(str, words)])
        with pytest.raises(SystemExit) as exited:
            main()
        return int(exited.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Ten documents in two segments, with passages: version 4."""
    store = Store.create(tmp_path / "store")
    for half in (0, 5):
        store.add(Document(f"d{i}", f"text {i}", metadata={"n": i}) for i in range(half, half + 5))
    build_index(store, "180w", PassagesBuilder())
    return store


def left(store: Store) -> list[str]:
    return [document.doc_id for document in store]


def test_documents_are_deleted_by_ids_files_and_filters(store: Store, run: Run, tmp_path: Path) -> None:
    """Ids that are not there are named; a filter deletes what it is true for."""
    listed = tmp_path / "ids.txt"
    listed.write_text("d3\nnope\n\n")
    code, out, _ = run("delete", store.path, "d1", "--ids-from", listed)
    assert (code, out) == (0, "version 5: 2 documents deleted\nnot there: 1 document: 'nope'\n")
    assert run("delete", store.path, "--where", "metadata.n >= 7")[1] == "version 6: 3 documents deleted\n"
    assert left(store) == ["d0", "d2", "d4", "d5", "d6"]
    assert json.loads(run("delete", store.path, "d0", "--json")[1]) == {"version": 7, "documents": 1, "missing": []}


def test_ids_come_from_any_system(store: Store, run: Run, tmp_path: Path) -> None:
    """Lines end as they do there; an id that is not there is shown with all its characters."""
    listed = tmp_path / "ids.txt"
    listed.write_bytes(b"d3\r\nd4\r\n\r\nno\x1bpe ")
    out = run("delete", store.path, "--ids-from", listed)[1]
    assert out.splitlines()[1:] == [r"not there: 1 document: 'no\x1bpe '"]
    assert left(store) == ["d0", "d1", "d2", "d5", "d6", "d7", "d8", "d9"]


@pytest.mark.parametrize("words", [[], ["d1", "--where", "metadata.n = 1"]])
def test_a_deletion_says_what_in_one_way(store: Store, run: Run, words: list[str]) -> None:
    """Nothing is deleted by a command that names no documents, or names them twice over."""
    code, _, err = run("delete", store.path, *words)
    assert code == 1
    assert "--where" in err
    assert len(store) == 10


def test_a_store_is_compacted_and_purged(store: Store, run: Run) -> None:
    """The sizes before and after are told, and what is gone."""
    store.delete(["d4"])
    code, out, _ = run("compact", store.path, "--full")
    assert (code, out.split(";")[0]) == (0, "version 6: 2 segments before, 1 now")
    assert run("purge", store.path)[1].startswith("version 6: 1 document purged; 4 versions and")
    assert json.loads(run("purge", store.path, "--json")[1])["versions"] == []
    assert [info.version for info in versions(store.path)] == [6, 1]


def test_history_is_listed_and_tagged(store: Store, run: Run) -> None:
    """A tag stands beside its version until it is removed, and keeps it from being collected."""
    assert run("tag", store.path, "good", "--version", "2")[1] == "tag good is of version 2\n"
    code, out, _ = run("log", store.path)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["version", "4", "3", "2", "1"]
    assert out.splitlines()[3].rstrip().endswith("good")
    assert [v["version"] for v in json.loads(run("log", store.path, "--limit", "2", "--json")[1])["versions"]] == [4, 3]
    planned = run("gc", store.path, "--keep", "1", "--grace", "0", "--dry-run")[1]
    assert planned.startswith("2 versions and 0 folders")
    assert "would go; 2 versions kept" in planned
    assert "removed; 2 versions kept" in run("gc", store.path, "--keep", "1", "--grace", "0")[1]
    assert [info.version for info in versions(store.path)] == [4, 2]
    run("tag", store.path, "good", "--remove")
    assert tags(store.path) == {}


def test_aliases_are_set_and_indexes_dropped(store: Store, run: Run) -> None:
    """What stands in the way is an error of one line."""
    assert run("alias", store.path, "cut", "180w")[1] == "version 5: cut stands for 180w\n"
    code, _, err = run("drop", store.path, "180w")
    assert code == 1
    assert "cut stands for it" in err
    assert run("alias", store.path, "cut", "--drop")[1] == "version 6: cut is dropped\n"
    assert run("alias", store.path, "cut")[0] == 1
    assert run("drop", store.path, "180w")[1] == "version 7: 180w is dropped\n"
    assert store.snapshot().manifest.indexes == {}
