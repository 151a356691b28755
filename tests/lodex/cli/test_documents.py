"""`lodex documents` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lodex.cli import main
from lodex.index.history import tag
from lodex.index.store import Store
from lodex.types import Document

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(*words)` runs a command in this process; its exit code, and what it printed."""
    for name in ("LODEX_ADDRESS", "LODEX_STORE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lodex", *map(str, words)])
        with pytest.raises(SystemExit) as exited:
            main()
        return int(exited.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 103 documents, three of them from books. Tests only read it."""
    store = Store.create(tmp_path_factory.mktemp("cli") / "docs")
    store.add(
        Document(f"d{i}", "secret", "books" if i < 3 else "web", f"[red]{i}", date="2020", metadata={"n": i})
        for i in range(103)
    )
    return store.path


def test_documents_are_listed_in_a_table(path: Path, run: Run) -> None:
    """Those that the filter chooses, titles as they are, texts never."""
    for words in ((path,), ("--store", path)):
        code, out, err = run("documents", *words, "--where", 'source = "books" and metadata.n > 0')
        assert (code, err) == (0, "")
        assert [line.split() for line in out.splitlines()] == [
            ["doc_id", "source", "date", "title"],
            ["d1", "books", "2020", "[red]1"],
            ["d2", "books", "2020", "[red]2"],
        ]


def test_a_long_list_is_cut_and_says_so(path: Path, run: Run) -> None:
    """After 100, or as many as are asked for, on stderr; 0 lists all."""
    for words, shown in (((), 100), (("--limit", "2"), 2)):
        code, out, err = run("documents", path, *words)
        assert (code, len(out.splitlines())) == (0, 1 + shown)
        assert f"the first {shown}" in err
    for limit in ("0", "103"):
        code, out, err = run("documents", path, "--limit", limit)
        assert (code, len(out.splitlines()), err) == (0, 104, "")


def test_programs_read_json(path: Path, run: Run) -> None:
    """Every field but the text; an empty list where nothing is chosen, and a table of nothing prints nothing."""
    code, out, _ = run("documents", path, "--where", "metadata.n = 1", "--json")
    assert code == 0
    fields = {"doc_id": "d1", "source": "books", "title": "[red]1", "url": "", "date": "2020", "metadata": {"n": 1}}
    assert json.loads(out) == {"documents": [fields]}
    assert run("documents", path, "--where", "metadata.n < 0", "--json")[1] == '{"documents": []}\n'
    assert run("documents", path, "--where", "metadata.n < 0") == (0, "", "")


def test_an_older_version_is_listed_as_it_was(path: Path, run: Run) -> None:
    """The first version of a store is empty."""
    assert run("documents", path, "--version", "1") == (0, "", "")


def test_a_filter_that_cannot_be_read_is_shown_with_a_caret(path: Path, run: Run) -> None:
    """One line says what was expected, two show the place."""
    code, out, err = run("documents", path, "--where", "source = books")
    assert (code, out) == (1, "")
    assert err == (
        "lodex: expected a text in quotes, a number, true or false, got 'books', at column 10 of the filter\n"
        "  source = books\n"
        "           ^\n"
    )


def test_a_store_is_said_once(path: Path, run: Run) -> None:
    """A path beside --store is refused."""
    code, _, err = run("documents", path, "--store", path)
    assert (code, err) == (1, "lodex: say either PATH or --store, not both\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_terminal_obeys_no_document(tmp_path: Path, run: Run, as_json: bool) -> None:
    """Control characters are shown, one line for each document; programs get them as they are."""
    title = "a\x1b[31m\nb\u202e\x9b\x7f é\u00a0\t"
    Store.create(tmp_path / "docs").add([Document("d1", "text", "a\rb", title)])
    code, out, _ = run("documents", tmp_path / "docs", *(["--json"] if as_json else []))
    assert code == 0
    if as_json:
        assert json.loads(out)["documents"][0]["title"] == title
    else:
        assert len(out.splitlines()) == 2
        assert out.splitlines()[1].split() == ["d1", r"a\rb", r"a\x1b[31m\nb\u202e\x9b\x7f", "é", r"\t"]


def test_a_store_is_read_as_it_was(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a version or a tag after an @; a folder that has one in its name is that folder."""
    path = tmp_path / "docs"
    store = Store.create(path)
    store.add([Document("old", "text")])
    tag(path, "good")
    store.add([Document("new", "text")])
    for at in ("@2", "@good"):
        code, out, _ = run("documents", "--store", f"{path}{at}")
        assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["doc_id", "old"])
        monkeypatch.setenv("LODEX_STORE", f"{path}{at}")
        assert run("documents")[1] == out
        monkeypatch.delenv("LODEX_STORE")
    for at, said in (("@9", "no version 9"), ("@bad", "bad"), ("x@2", "no store")):
        code, out, err = run("documents", f"{path}{at}")
        assert (code, out) == (1, "")
        assert said in err
    Store.create(tmp_path / "docs@2").add([Document("other", "text")])
    assert run("documents", f"{path}@2")[1].split()[-1] == "other"
