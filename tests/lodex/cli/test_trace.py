"""`lodex trace` as a user runs it: in colour on a terminal, with brackets elsewhere, as JSON for programs."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from lodex.cli import main
from lodex.cli.traced import COLOURS, marked_text, span_colours
from lodex.index.store import Store
from lodex.service.indexing import build_suffix_index
from lodex.types import Document, TraceSpan

Run = Callable[..., tuple[int, str, str]]
TEXT = "They ate bread and honey in the tower. Nobody saw.\n"


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


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Text]:
    """A terminal of 100 columns; `terminal()` is what stands on it, with its styles."""
    written = io.StringIO()
    console = Console(
        file=written,
        force_terminal=True,
        color_system="truecolor",
        width=100,
        markup=False,
        highlight=False,
        emoji=False,
    )
    for name in ("lodex.cli.traced", "lodex.cli.app"):
        monkeypatch.setattr(sys.modules[name], "console", console)
    return lambda: Text.from_ansi(written.getvalue())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three documents with a suffix index. Tests only read it."""
    store = Store.create(tmp_path_factory.mktemp("cli") / "docs")
    store.add(
        [
            Document("rhyme", "The queen was in the parlour,\n eating bread and honey.", "rhymes", "Sixpence"),
            Document("stairs", "She went up into the tower. Nobody saw her.", "tales", "Up\x1b[31m"),
            Document("castle", "He stood in the tower.", "castle"),
        ]
    )
    build_suffix_index(store)
    return store.path


def spans(text: str, *parts: tuple[str, float]) -> tuple[TraceSpan, ...]:
    data = text.encode()
    return tuple(
        TraceSpan(0, 1, (begin := data.index(part.encode())), begin + len(part.encode()), part, 1, value)
        for part, value in parts
    )


def test_spans_stand_in_brackets_with_their_numbers() -> None:
    """The space before a span stays outside, and spans may overlap."""
    text = "a bé c d e"
    marked = marked_text(text, spans(text, (" bé c", -1.0), (" c d", -2.0), ("e", -3.0)), None)
    assert marked.plain == "a [1|bé [2|c|1] d|2] [3|e|3]"


def test_neighbours_end_before_they_begin() -> None:
    """One span ends where the next begins."""
    assert marked_text("abcd", spans("abcd", ("ab", -1.0), ("cd", -1.0)), None).plain == "[1|ab|1][2|cd|2]"


def test_a_terminal_obeys_no_text() -> None:
    """Control characters are shown; lines and tabs stay, and nothing is read as markup."""
    text = "a\x1b[31m\n[red]b\tc\x9b"
    assert marked_text(text, (), None).plain == "a\\x1b[31m\n[red]b\tc\\x9b"


def test_colours_say_how_rare_the_words_are() -> None:
    """The third of the spans with the rarest words has the first colour; where spans overlap the rarest wins."""
    text = "a b c d"
    three = spans(text, ("a b", -3.0), ("b c", -9.0), ("d", -1.0))
    assert span_colours(three) == [COLOURS[1], COLOURS[0], COLOURS[2]]
    marked = marked_text(text, three, span_colours(three))
    assert marked.plain == "a b[1] c[2] d[3]"
    styles = {marked.plain[part.start : part.end]: str(part.style) for part in marked.spans}
    assert styles["b"] == styles[" c"] == f"black on {COLOURS[0]}"
    assert styles["a "] == f"black on {COLOURS[1]}"


def test_a_pipe_gets_brackets_and_a_table(path: Path, run: Run, tmp_path: Path) -> None:
    """Each span with its tokens, its count, the log-probability of its words, and each document with its snippet."""
    (tmp_path / "text").write_text(TEXT)
    words = ("--density", "1", "--min-length", "3", "--store", path)
    code, out, err = run("trace", TEXT, *words)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "They ate [1|bread and honey|1] [2|in the tower.|2] Nobody saw."
    assert lines[2].startswith("2 spans, ")
    assert lines[4].split() == ["#", "tokens", "count", "log", "p", "document", "source", "there"]
    first, *others = lines[5:]
    assert first.split()[:3] == ["1", "3", "1"]
    assert "Sixpence" in first
    assert "eating «bread and honey»." in first
    assert [line.split()[0] for line in others] == ["2"]
    assert "«in the tower.»" in others[0]
    assert run("trace", "--file", tmp_path / "text", *words)[1] == out


def test_a_source_that_is_the_name_again_is_left_out(path: Path, run: Run) -> None:
    """So is the column where there is no other."""
    code, out, _ = run("trace", "He stood", "--density", "1", "--store", path)
    assert code == 0
    assert "source" not in out
    assert "castle" in out


def test_titles_are_shown_harmlessly(path: Path, run: Run) -> None:
    """A title with an escape in it is no command to the terminal."""
    assert r"\x1b[31m" in run("trace", "She went up", "--density", "1", "--store", path)[1]


def test_a_terminal_has_colours(path: Path, run: Run, terminal: Callable[[], Text]) -> None:
    """The span is on one, its number dim behind it, and its match in the table has it too."""
    assert run("trace", TEXT, "--density", "1", "--min-length", "3", "--store", path)[0] == 0
    shown = terminal()
    assert shown.plain.splitlines()[0] == "They ate bread and honey[1] in the tower.[2] Nobody saw."
    styled = {(shown.plain[part.start : part.end], str(part.style)) for part in shown.spans}
    grounds = {text: style for text, style in styled if " on " in style}
    assert {"bread and honey", "in the tower."} <= grounds.keys()
    assert grounds["bread and honey"] != grounds["in the tower."]
    assert "rarest words" in shown.plain
    assert any(text == "bread and honey" and style.startswith("bold") for text, style in styled)


def test_no_color_is_heeded_on_a_terminal(
    path: Path, run: Run, terminal: Callable[[], Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brackets take the place of colours."""
    monkeypatch.setattr(sys.modules["lodex.cli.traced"].console, "no_color", True)  # type: ignore[attr-defined]
    assert run("trace", TEXT, "--density", "1", "--min-length", "3", "--store", path)[0] == 0
    assert "[1|bread and honey|1]" in terminal().plain
    assert "rarest" not in terminal().plain


def test_programs_read_json(path: Path, run: Run) -> None:
    """The spans with their bytes and documents, and what they were read from."""
    code, out, _ = run("trace", TEXT, "--density", "1", "--min-length", "3", "--json", "--store", path)
    answer = json.loads(out)
    (trace,) = answer["results"]
    first, second = trace["spans"]
    assert (code, answer["provenance"]["store"]) == (0, "docs")
    assert TEXT[first["begin_byte"] : first["end_byte"]] == first["text"] == " bread and honey"
    assert [place["doc_id"] for place in first["occurrences"]] == ["rhyme"]
    assert second["count"] == 1


def test_rules_are_passed_on(path: Path, run: Run) -> None:
    """Each changes what is found."""

    def found(*words: str, text: str = TEXT) -> list[str]:
        (trace,) = json.loads(run("trace", text, "--store", path, "--json", *words)[1])["results"]
        return [span["text"].strip() for span in trace["spans"]]

    every = ("--density", "1", "--max-count", "0")
    assert found() == ["bread and honey"]
    assert found("--ranking", "length") == ["in the tower."]
    assert found(*every, "--min-length", "4") == ["in the tower."]
    assert found(*every, "--min-length", "5", "--undelimited") == ["the tower. Nobody saw"]
    assert "bread and" in found(*every, "--delimiter", "and")
    assert found(*every, "--partial-words", text="in the parlourless") == ["the parlour"]
    assert found(*every, text="in the parlourless") == ["the"]
    (trace,) = json.loads(run("trace", TEXT, "--store", path, "--json", *every, "--where", 'source = "x"')[1])[
        "results"
    ]
    assert not any(span["occurrences"] for span in trace["spans"])
    assert "«bread and honey»" in run("trace", TEXT, "--store", path, "-n", "0")[1]


def test_a_text_without_spans_says_so(path: Path, run: Run) -> None:
    """And prints no table; an empty text has none either."""
    assert run("trace", "qqq", "--min-length", "2", "--store", path)[1].splitlines()[-1].startswith("0 spans")
    assert run("trace", "", "--store", path)[:2] == (0, "\n\n0 spans\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to read: give a TEXT, - for standard input, or a --file"),
        (("a", "--file", "b"), "say either a TEXT or --file, not both"),
        (("a", "--undelimited", "--delimiter", ";"), "say either --delimiter or --undelimited, not both"),
        (("a", "--density", "0"), "max_density is 0.0, it must be above 0 and at most 1"),
        (("a", "--delimiter", ""), "delimiters[0] is empty"),
    ],
)
def test_mistakes_end_in_one_line(path: Path, run: Run, words: tuple[str, ...], said: str) -> None:
    """With what is wrong."""
    code, out, err = run("trace", *words, "--store", path)
    assert (code, out, err) == (1, "", f"lodex: {said}\n")
