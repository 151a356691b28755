"""The command line over small stores, as a user runs it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lodex.cli import main
from lodex.client import Client
from lodex.index.store import Store
from lodex.service.indexing import build_suffix_index
from lodex.types import Document

HOSTILE = ("[/x]", "[red]", "a[0]", ":smile:")
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(*words)` runs a command in this process and returns its exit code."""
    for name in ("LODEX_ADDRESS", "LODEX_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LODEX_LOG", "off")

    def run(*words: str | Path) -> int:
        monkeypatch.setattr("sys.argv", ["lodex", *map(str, words)])
        with pytest.raises(SystemExit) as exited:
            main()
        return int(exited.value.code or 0)

    return run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two segments whose suffix index covers the first. Tests only read it."""
    store = Store.create(tmp_path_factory.mktemp("cli") / "docs")
    store.add([Document("list[int].x", f"one\0 {' '.join(HOSTILE)} and a cat\n\tsat on the mat")])
    build_suffix_index(store)
    store.add([Document("late", "a cat")])
    return store.path


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_printed_as_they_are(path: Path, run: Run, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Queries, ids and texts that look like markup or emoji codes are neither styled nor refused."""
    assert run("count", text, "--literal", "--store", path) == 0
    assert text in capsys.readouterr().out
    assert run("docs", " cat", "--context", "40", "--store", path) == 0
    printed = capsys.readouterr().out
    assert "list[int].x" in printed
    assert text in printed


def test_white_space_in_a_document_is_one_blank(path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the match begins and ends; a NUL byte is shown, and long lines are not wrapped in a pipe."""
    assert run("docs", " cat", "--context", "40", "--store", path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == rf"one\x00 {' '.join(HOSTILE)} and a cat sat on the mat"


def test_a_table_is_not_folded_in_a_pipe(path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A query of 300 characters stands on one line."""
    assert run("count", "b" * 300, "--store", path) == 0
    assert "b" * 300 in capsys.readouterr().out


def test_a_bad_query_leaves_the_good_answers(path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """They are printed, the error goes to stderr, and the exit code is 1; in JSON the error stands in its place."""
    assert run("count", "", " cat", "--store", path) == 1
    printed = capsys.readouterr()
    assert " cat" in printed.out
    assert "lodex: queries[0] has no tokens" in printed.err
    assert run("count", "", " cat", "--store", path, "--json") == 1
    first, second = json.loads(capsys.readouterr().out)["results"]
    assert first == {"error": "queries[0] has no tokens"}
    assert second["count"] == 1


def test_an_answer_from_a_part_of_the_store_says_so(path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, with the command that helps."""
    assert run("count", " cat", "--store", path) == 0
    assert capsys.readouterr().err == f"the index covers 1 of 2 segments; run: lodex index update {path}\n"


def test_ingest_says_which_indexes_lack_documents(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Until `lodex index update` has run."""
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("a cat")
    store = tmp_path / "store"
    assert run("ingest", store, tmp_path / "a.txt") == 0
    assert run("index", "passages", store) == 0
    assert capsys.readouterr().err == ""
    assert run("ingest", store, tmp_path / "b.txt") == 0
    assert capsys.readouterr().err == f"180w covers 1 of 2 segments; run: lodex index update {store}\n"


def test_a_typo_in_the_inputs_leaves_no_store(tmp_path: Path, run: Run) -> None:
    """What was made for the ingest is removed; a folder that was there stays."""
    (tmp_path / "there").mkdir()
    assert run("ingest", tmp_path / "store", tmp_path / "typo") == 1
    assert run("ingest", tmp_path / "there", tmp_path / "typo") == 1
    assert [item.name for item in tmp_path.iterdir()] == ["there"]
    assert not any((tmp_path / "there").iterdir())


def test_a_typo_leaves_a_store_that_was_there(tmp_path: Path, run: Run) -> None:
    """An empty store that somebody made before is not ours to remove."""
    Store.create(tmp_path / "store")
    assert run("ingest", tmp_path / "store", tmp_path / "typo") == 1
    assert Store.open(tmp_path / "store").version == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "nowhere"], "no store at nowhere"),
        (["info", "here", "--address", "there:1"], "say either PATH or --address, not both"),
        (["info", "here", "--store", "there"], "say either PATH or --store, not both"),
        (["count", "--tokens", "1,,2", "--store", "PATH"], "--tokens expects ids separated by commas, got '1,,2'"),
        (["search", "a", "--store", "PATH", "--model-folder", "x"], "--model-folder expects NAME=PATH, got 'x'"),
        (["search", "a", "--address", "x:1", "--model-folder", "x=y"], "give --model-folder to lodex serve there"),
        (["count", "a", "--address", "x:1", "--api-key-file", "nowhere"], "nowhere: No such file or directory"),
    ],
)
def test_mistakes_end_in_one_line(
    path: Path, run: Run, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """The exit code is 1, and stderr has what is wrong."""
    assert run(*(str(path) if word == "PATH" else word for word in words)) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_the_environment_gives_way_to_a_path(
    path: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lodex info PATH` describes the store at PATH whatever LODEX_ADDRESS says."""
    monkeypatch.setenv("LODEX_ADDRESS", "nowhere:1")
    assert run("info", path) == 0
    assert "2 documents" in capsys.readouterr().out


def test_wrong_usage_is_exit_code_2(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage on stderr."""
    assert run("nosuch") == 2
    assert "Usage" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_reader_that_leaves_ends_it_quietly(path: Path, flags: list[str]) -> None:
    """The exit code is 141, as a shell sees it of a program that SIGPIPE ended."""
    words = ["docs", " cat", "--store", str(path), *flags]
    process = subprocess.Popen(
        [sys.executable, "-m", "lodex.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 141
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


def test_serve_takes_stores_from_its_settings(path: Path, tmp_path: Path) -> None:
    """The line names the stores of the file and of the arguments, and ends with the address."""
    (tmp_path / "c.toml").write_text(f'[stores]\nfirst = "{path}"\n')
    words = ["serve", f"second={path}", "--config", str(tmp_path / "c.toml"), "--port", "0"]
    with subprocess.Popen([sys.executable, "-m", "lodex.cli", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("serving first, second on ")
        with Client(line.rsplit(" ", 1)[-1]) as client:
            assert [store.name for store in client.stores()] == ["first", "second"]
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
