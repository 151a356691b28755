"""What arguments lead to."""

import inspect
import os
import shutil
import sys
from pathlib import Path

import pytest

from lodex.errors import InputError, InvalidArgumentError
from lodex.index.sources.fault import Fault
from lodex.index.sources.inputs import NAMED_SOURCES, READERS, Input, Inputs
from lodex.index.sources.reading import Reading, Record
from lodex.types import Document


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def doc_ids(inputs: Inputs) -> list[str]:
    """The default ids of all documents, in order."""
    sources = list(inputs)
    assert all(isinstance(source, Input) for source in sources)
    items = [item for source in sources if isinstance(source, Input) for item in source.read(Reading())]
    assert all(isinstance(item, Record) for item in items), items
    return [item.document.doc_id for item in items if isinstance(item, Record)]


def test_folders_are_walked_in_the_order_of_names(tmp_path: Path) -> None:
    """Names are relative to the folder, whatever the working directory; extensions are known in any case."""
    make(
        tmp_path, "b.txt", "a/z.md", "a/b/c.TXT", "a.txt", "a/readme.rst", "Makefile", ".git/config.txt", ".hidden.txt"
    )
    inputs = Inputs([str(tmp_path)])
    assert doc_ids(inputs) == ["a/b/c.TXT", "a/z.md", "a.txt", "b.txt"]
    assert inputs.passed_over == {".rst": 1, "no extension": 1}
    assert inputs.total_bytes == sum(len(name) for name in ("a/b/c.TXT", "a/z.md", "a.txt", "b.txt"))
    assert doc_ids(inputs) == doc_ids(Inputs([str(tmp_path)]))


def test_a_file_is_called_by_its_name(tmp_path: Path) -> None:
    """Not by the path that leads to it."""
    make(tmp_path, "deep/down/a.txt")
    assert doc_ids(Inputs([str(tmp_path / "deep/down/a.txt")])) == ["a.txt"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("**/*.txt", ["a.txt", "b.txt", "d/e/f.txt", "d/g.txt"]),
        ("d/*", ["g.txt"]),
        ("d/**", ["e/f.txt", "g.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
    ],
)
def test_globs_lead_to_files_in_the_order_of_paths(tmp_path: Path, pattern: str, names: list[str]) -> None:
    """Names are relative to the part before the first wildcard; folders are entered by `**` alone."""
    make(tmp_path, "b.txt", "a.txt", "d/g.txt", "d/e/f.txt", "d/x.bin", ".h/a.txt")
    assert doc_ids(Inputs([f"{tmp_path}/{pattern}"])) == names


def test_a_name_with_wildcards_in_it_is_a_name_first(tmp_path: Path) -> None:
    """`[ab].txt` is the file of that name where there is one."""
    make(tmp_path, "[ab].txt", "a.txt")
    assert doc_ids(Inputs([f"{tmp_path}/[ab].txt"])) == ["[ab].txt"]


def test_arguments_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths work as well as absolute ones."""
    make(tmp_path, "b/1.txt", "a/2.txt", "c.txt")
    monkeypatch.chdir(tmp_path)
    assert doc_ids(Inputs(["b", "c.txt", "./a"])) == ["1.txt", "c.txt", "2.txt"]
    assert doc_ids(Inputs(["."])) == ["a/2.txt", "b/1.txt", "c.txt"]


def test_named_sources_have_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their documents are yielded as they are, called by the source's name."""
    monkeypatch.setattr(
        "lodex.index.sources.inputs.NAMED_SOURCES", {"two": lambda: iter([Document("a", "x"), Document("b", "y")])}
    )
    inputs = Inputs(["two"])
    assert inputs.total_bytes is None
    [source] = inputs
    assert isinstance(source, Input)
    assert list(source.read(Reading())) == [Record(Document("a", "x"), "two"), Record(Document("b", "y"), "two")]


@pytest.mark.parametrize("argument", ["missing.txt", "missing", "", "a\x00b", "x" * 5000])
def test_an_argument_that_leads_nowhere_is_refused(argument: str) -> None:
    """The message names the argument and the named sources, the error the argument's place."""
    with pytest.raises(InvalidArgumentError, match="no file, folder or named source") as caught:
        Inputs(["python-docs", argument])
    assert caught.value.field == "inputs[1]"
    assert all(name in str(caught.value) for name in NAMED_SOURCES)


def test_no_arguments_are_refused() -> None:
    """Nothing is not an input."""
    with pytest.raises(InvalidArgumentError, match="say what to ingest"):
        Inputs([])


def test_a_named_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """The message lists the kinds that are known."""
    make(tmp_path, "a.pdf")
    with pytest.raises(InvalidArgumentError, match="cannot ingest") as caught:
        Inputs([str(tmp_path / "a.pdf")])
    assert all(extension in str(caught.value) for extension in READERS)


@pytest.mark.parametrize("pattern", ["", "/*.pdf", "/*.none"])
def test_folders_and_globs_without_known_files_are_refused(tmp_path: Path, pattern: str) -> None:
    """An ingest of nothing is a mistake, and what was passed over explains it."""
    make(tmp_path, "a.pdf")
    with pytest.raises(InvalidArgumentError, match="no file to ingest in") as caught:
        Inputs([f"{tmp_path}{pattern}"])
    assert ("passed over 1 .pdf" in str(caught.value)) == (pattern != "/*.none")


def test_loops_of_links_end(tmp_path: Path) -> None:
    """A folder is entered once, a file that a glob reaches by several paths is read once."""
    make(tmp_path, "a/one.txt")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to("self")
    assert doc_ids(Inputs([str(tmp_path)])) == ["a/one.txt"]
    assert doc_ids(Inputs([f"{tmp_path}/**/*.txt"])) == ["a/one.txt"]


def test_folders_nested_beyond_the_stack_are_walked(tmp_path: Path) -> None:
    """Folders are walked without recursion: here they are deeper than the stack may grow."""
    levels = 250
    folder = tmp_path
    for _ in range(levels):
        folder /= "d"
        folder.mkdir()
    make(folder, "a.txt")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + levels // 2)
    try:
        assert doc_ids(Inputs([str(tmp_path)])) == ["d/" * levels + "a.txt"]
    finally:
        sys.setrecursionlimit(limit)


def test_special_files_and_broken_links(tmp_path: Path) -> None:
    """A pipe would never end and is passed over; a link to nothing is a fault that names it."""
    make(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "broken.txt").symlink_to("nowhere")
    inputs = Inputs([str(tmp_path)])
    _, fault = inputs
    assert inputs.passed_over == {"special file": 1}
    assert isinstance(fault, InputError)
    assert str(fault) == f"{tmp_path}/broken.txt: cannot be read: No such file or directory"
    assert fault.kind == Fault.UNREADABLE


def test_what_vanishes_after_the_survey_is_a_fault(tmp_path: Path) -> None:
    """Files and folders that were there at first are named when they are gone."""
    make(tmp_path, "a/one.txt", "two.txt", "three.txt")
    inputs = Inputs([str(tmp_path / "a"), str(tmp_path / "two.txt"), str(tmp_path / "three.txt")])
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "two.txt").unlink()
    folder, two, three = inputs
    assert str(folder) == f"{tmp_path}/a: cannot be read: No such file or directory"
    assert str(two) == f"{tmp_path}/two.txt: cannot be read: No such file or directory"
    (tmp_path / "three.txt").unlink()
    assert isinstance(three, Input)
    [late] = three.read(Reading())
    assert str(late) == f"{tmp_path}/three.txt: cannot be read: No such file or directory"


def test_what_may_not_be_read_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions are simulated, since they do not bind every user that runs tests."""
    make(tmp_path, "a/one.txt", "two.txt")
    listdir = os.listdir

    def guarded(path: Path) -> list[str]:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr("os.listdir", guarded)
    fault, two = Inputs([str(tmp_path)])
    assert str(fault) == f"{tmp_path}/a: cannot be read: Permission denied"
    assert isinstance(two, Input)


def test_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    """A name that is not UTF-8 becomes a printable doc_id."""
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    (tmp_path / "two\nlines.txt").write_text("x")
    assert doc_ids(Inputs([str(tmp_path)])) == ["caf\\xe9.txt", "two\\nlines.txt"] or doc_ids(
        Inputs([os.fsdecode(os.fsencode(tmp_path))])
    )
