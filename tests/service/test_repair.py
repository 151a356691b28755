"""Damage as users meet it: the server and the command line refuse what is damaged, answer the rest, and repair it."""

from collections.abc import Callable
from pathlib import Path

import pytest

import lodex
from lodex.cli import main
from lodex.client import Client
from lodex.errors import DataLossError, InvalidArgumentError
from lodex.index.quarantine import Quarantine
from lodex.index.store import Store
from lodex.index.verify import verify_store
from lodex.service.indexing import build_passages, build_suffix_index
from lodex.service.repair import repair
from lodex.service.server import Server
from lodex.types import Document


@pytest.fixture
def path(tmp_path: Path, byte_tokenizer: Path) -> Path:
    """A store of one segment with passages and a suffix index."""
    store = Store.create(tmp_path / "docs")
    store.add([Document("a", "the cat sat on the mat"), Document("b", "the cat knows it")])
    build_passages(store)
    build_suffix_index(store, str(byte_tokenizer))
    return store.path


def damage(path: Path, name: str) -> Path:
    """Flip a bit of the one file of that name."""
    (file,) = (file for file in path.rglob(name) if not file.is_symlink())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    return file


def run(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr("sys.argv", ["lodex", *map(str, words)])
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


def test_a_server_refuses_what_is_damaged_and_answers_the_rest(path: Path, serve: Callable[..., Server]) -> None:
    """Counts are DATA_LOSS naming the file, documents are answered; once it is repaired so are counts, as before."""
    with Client(serve({"docs": path}).address) as client:
        expected = client["docs"].count(["cat"])[0].count
        Quarantine(path).add("suffix", next((path / "artefacts/suffix").iterdir()).name, "table.0", "is damaged")
        with pytest.raises(DataLossError, match=r"table\.0"):
            client["docs"].count(["cat"])
        assert client["docs"].get(["a"])[0].text == "the cat sat on the mat"
        repair(Store.open(path))
        assert client["docs"].count(["cat"])[0].count == expected


@pytest.mark.parametrize("name", ["tokenized.0", "table.0", "passages.arrow"])
def test_the_command_line_finds_names_and_repairs(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """`verify` names the file and quarantines, `repair` builds it again; with no part left of a stream too."""
    damage(path, name)
    assert run(monkeypatch, "verify", path) != 0
    assert name in capsys.readouterr().err
    with lodex.open(path) as opened:
        ask = (lambda: opened.store.passage("a#0")) if name == "passages.arrow" else (lambda: opened.count(["cat"]))
        with pytest.raises(DataLossError, match="quarantined"):
            ask()
    assert run(monkeypatch, "repair", path) == 0
    assert "rebuilt" in capsys.readouterr().out
    assert run(monkeypatch, "verify", path) == 0
    with lodex.open(path) as opened:
        assert opened.count(["cat"])[0].count == 2
    assert run(monkeypatch, "repair", path) == 0
    assert "nothing is damaged" in capsys.readouterr().out


def test_a_tokenizer_that_is_in_no_other_place_is_lost(path: Path) -> None:
    """The stream stays quarantined, with a reason; what it was built from is not guessed."""
    damage(path, "tokenizer.json")
    assert verify_store(path, quarantine=True).damaged
    outcomes = {each.kind: each.outcome for each in repair(Store.open(path))}
    assert outcomes == {"tokens": "lost"}
    assert [damage.kind for damage in Quarantine(path)] == ["tokens"]


def test_lost_text_is_named_by_its_documents(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`repair` fails, lists the documents, and leaves the quarantine; counts need no text and go on."""
    damage(path, "text.arrow")
    assert run(monkeypatch, "verify", path) != 0
    assert run(monkeypatch, "repair", path) != 0
    printed = capsys.readouterr().out
    assert "document a" in printed
    assert "document b" in printed
    with lodex.open(path) as opened:
        assert opened.count(["cat"])[0].count == 2
        with pytest.raises(DataLossError):
            opened.store.get("a")


def test_queries_can_verify_what_they_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--verify on-read` answers of sound files, and another word is refused by name."""
    assert run(monkeypatch, "count", "cat", "--store", path, "--verify", "on-read") == 0
    assert run(monkeypatch, "count", "cat", "--store", path, "--verify", "always") != 0
    with pytest.raises(InvalidArgumentError, match="on-read"):
        lodex.open(path, verify="always")


def test_a_lost_segment_can_be_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until then nothing can be written; afterwards its documents can be ingested again, and the rest is as it was."""
    store = Store.open(path)
    store.add([Document("c", "a dog is no cat")])
    damage(path / "segments" / store.snapshot().segments[0].id, "text.arrow")
    assert run(monkeypatch, "verify", path) == 4
    with pytest.raises(DataLossError):
        Store.open(path).delete(["c"])
    assert run(monkeypatch, "repair", path) == 4
    assert run(monkeypatch, "repair", path, "--drop-lost") == 0
    assert "goes on without 1 segment" in capsys.readouterr().out
    store = Store.open(path)
    store.add([Document("a", "the cat sat again")])
    assert sorted(document.doc_id for document in store) == ["a", "c"]
    assert run(monkeypatch, "repair", path) == 4  # an older version still has it
    assert run(monkeypatch, "gc", path, "--keep", "1", "--grace", "0") == 0
    assert run(monkeypatch, "verify", path) == 0
