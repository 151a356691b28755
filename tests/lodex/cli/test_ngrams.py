"""The verbs of exact words as a user runs them: conjunctions, drawn and filtered documents, scores."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lodex.cli import main
from lodex.cli.expressions import read_search
from lodex.errors import InvalidArgumentError
from lodex.index.store import Store
from lodex.service.indexing import build_suffix_index
from lodex.types import Conjunction, Document

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
    """A store of six documents with a suffix index. Tests only read it."""
    store = Store.create(tmp_path_factory.mktemp("cli") / "docs")
    store.add(
        Document(f"d{i}", "I like tea with milk, and coffee with cream." + " Or so." * i, "ab"[i % 2]) for i in range(6)
    )
    build_suffix_index(store)
    return store.path


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("a AND b OR c", (("a",), ("b", "c"))),
        ("a OR b AND c OR d AND e", (("a", "b"), ("c", "d"), ("e",))),
        ("ORDER AND a BAND and or", (("ORDER",), ("a BAND and or",))),
        ("a b", (("a b",),)),
        ("a  AND  b", (("a",), ("b",))),
        ("a\nAND\tb", (("a",), ("b",))),
    ],
)
def test_an_expression_is_read_as_it_is_meant(text: str, clauses: tuple[tuple[str, ...], ...]) -> None:
    """OR binds tighter; only words in capitals that stand alone count, and the spaces beside them go with them."""
    assert read_search(text, False, "query", True) == Conjunction(clauses)


def test_token_ids_stand_in_expressions_too() -> None:
    """Each n-gram as ids between commas, with every option of a conjunction."""
    query = read_search("1,2 AND 3 OR 4", True, "query", True, within=5, same_document=True, sample=9)
    assert query == Conjunction((([1, 2],), ([3], [4])), 5, True, 9)


@pytest.mark.parametrize("text", ["AND", "a AND", "OR a", "a AND AND b", "a OR  AND b", ""])
def test_an_expression_lacks_no_n_gram(text: str) -> None:
    """The error shows it whole."""
    with pytest.raises(InvalidArgumentError, match="missing") as caught:
        read_search(text, False, "query", True)
    assert caught.value.field == "query"


def test_conjunctions_are_counted(path: Path, run: Run) -> None:
    """Within some tokens of each other, or in the same document."""
    words = ("count", "--expression", "tea OR coffee AND milk OR cream", "milk AND so", "--store", path)
    assert run(*words)[1].splitlines() == [
        "n-gram                           count",
        "tea OR coffee AND milk OR cream     12",
        "milk AND so                          5",
    ]
    assert json.loads(run(*words, "--within", "3", "--json")[1])["results"][1]["count"] == 0
    assert json.loads(run(*words, "--same-document", "--json")[1])["results"][1]["count"] == 5


def test_a_sample_is_shown_with_its_error(path: Path, run: Run) -> None:
    """Beside the count, which is then an estimate."""
    code, out, _ = run("count", "--expression", "tea AND milk", "--sample", "2", "--store", path)
    assert code == 0
    assert out.splitlines()[0].split() == ["n-gram", "count", "standard", "error"]
    assert "±" in out


@pytest.mark.parametrize("words", [("--within", "3"), ("--same-document",), ("--sample", "3")])
def test_options_of_conjunctions_need_one(path: Path, run: Run, words: tuple[str, ...]) -> None:
    """They would mean nothing."""
    code, _, err = run("count", "tea", *words, "--store", path)
    assert (code, err) == (1, f"lodex: {words[0]} is of conjunctions: it goes with --expression\n")


def test_documents_are_drawn_and_filtered(path: Path, run: Run) -> None:
    """The line above them says in how many documents of those the n-gram is."""
    code, out, _ = run("docs", "tea", "--store", path, "--where", 'source = "b"', "--seed", "3", "--json")
    (page,) = json.loads(out)["results"]
    assert (code, page["documents"], page["count"]) == (0, 3, 6)
    assert sorted(place["doc_id"] for place in page["occurrences"]) == ["d1", "d3", "d5"]
    shown = run("docs", "tea AND milk", "--expression", "--store", path, "-n", "9", "--seed", "3")[1]
    assert shown.splitlines()[0] == "6 occurrences in 6 documents"
    assert sorted(line.split()[0] for line in shown.splitlines() if "bytes" in line) == [f"d{i}" for i in range(6)]


def test_a_suffix_needs_support(path: Path, run: Run) -> None:
    """Five documents have "Or so.", four of them twice or more; a shorter suffix has more occurrences."""
    words = ("infgram", "cream. Or so. Or", "so", "--store", path)
    assert "(the last 6 tokens" in run(*words)[1]
    assert json.loads(run(*words, "--max-suffix", "2", "--json")[1])["results"][0]["suffix_length"] == 2
    short = json.loads(run(*words, "--min-support", "11", "--json")[1])["results"][0]
    assert short["suffix_length"] < 6
    assert short["prompt_count"] >= 11
    assert "of the last 1 token;" in run("infgram", "tea", "--min-support", "2", "--store", path)[1]


def test_every_token_has_its_score(path: Path, run: Run, tmp_path: Path) -> None:
    """A line for each, and the bits per byte at the end; a token that never came so is told."""
    code, out, err = run("infgram-score", "I like tea", "--store", path)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["token", "log-probability", "effective", "n", "suffix", "occurs"]
    assert [line.split()[-2:] for line in lines[1:4]] == [["2", "6"], ["3", "6"], ["4", "6"]]
    assert lines[-1] == "0.0000 bits per byte  (3 tokens, 10 bytes)"
    (tmp_path / "text").write_text("I like coffee")
    code, out, _ = run("infgram-score", "--file", tmp_path / "text", "--summary", "--store", path)
    assert out == "infinite bits per byte: 1 token never came so; the others take 0.0 bits  (3 tokens, 13 bytes)\n"
    (scores,) = json.loads(run("infgram-score", "I like coffee", "--json", "--store", path)[1])["results"]
    assert scores["log_probabilities"] == [0, 0, None]
    assert scores["suffix_lengths"] == [1, 2, 3]


def test_tokens_are_scored_too(path: Path, run: Run) -> None:
    """By their ids; their bytes are those of their text."""
    assert run("infgram-score", "--tokens", "5,6", "--store", path)[1].splitlines()[-1].endswith("(2 tokens, 2 bytes)")
    assert run("infgram-score", "", "--store", path)[1].splitlines()[-1] == "no text  (0 tokens, 0 bytes)"
    assert run("infgram-score", "--store", path)[2].startswith("lodex: nothing to read")
