"""Text and Markdown files."""

from pathlib import Path

import pytest

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.reading import Item, Reader, Reading, Record, SourceFile
from lodex.index.sources.text import decode, first_heading, read_markdown, read_text
from lodex.types import Document


def read(reader: Reader, path: Path, data: bytes, reading: Reading | None = None) -> list[Item]:
    path.write_bytes(data)
    return list(reader(SourceFile(path, "sub/" + path.name), reading or Reading()))


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    """Its doc_id and source are the name below the input, its text the file's."""
    path = tmp_path / "a.txt"
    assert read(read_text, path, "één\n\ttwee \n".encode()) == [
        Record(Document("sub/a.txt", "één\n\ttwee \n", source="sub/a.txt"), str(path))
    ]


def test_markdown_has_its_first_heading_as_title(tmp_path: Path) -> None:
    """The heading stays in the text."""
    [record] = read(read_markdown, tmp_path / "a.md", b"intro\n\n## The title ##\n\ntext")
    assert isinstance(record, Record)
    assert record.document.title == "The title"
    assert record.document.text == "intro\n\n## The title ##\n\ntext"


@pytest.mark.parametrize(
    ("markdown", "title"),
    [
        ("# C#\n", "C#"),
        ("#hashtag\n# Real", "Real"),
        ("#\n# Real", "Real"),
        ("```\n# comment\n```\n# Real", "Real"),
        ("~~~\n```\n# comment\n~~~\n   # Real", "Real"),
        ("    # code\nUnderlined \n===\n", "Underlined"),
        ("---\nfront: matter\n---\n# Real", "Real"),
        ("===\n# Real", "Real"),
        ("```\n# never closed", ""),
        ("no heading", ""),
        ("", ""),
    ],
)
def test_the_first_heading(markdown: str, title: str) -> None:
    """Headings are found by CommonMark's rules for both forms, outside of fenced code."""
    assert first_heading(markdown) == title


def test_a_hostile_heading_takes_linear_time() -> None:
    """Megabytes of spaces or marks on a line do not make the search for its end slow."""
    assert first_heading("# " + " " * 1_000_000 + "#" * 1_000_000 + " x") != ""
    assert first_heading("=" * 1_000_000 + "x") == ""


@pytest.mark.parametrize(
    "data",
    [
        "\ufeffa\nb ✓".encode(),
        "\ufeffa\r\nb ✓".encode("utf-16-le"),
        "\ufeffa\rb ✓".encode("utf-16-be"),
        b"a\r\nb \xe2\x9c\x93",
    ],
)
def test_byte_order_marks_and_line_ends_do_not_change_the_text(data: bytes) -> None:
    """The same text is the same string, whichever system wrote it."""
    assert decode(data) == "a\nb ✓"


def test_undecodable_bytes_are_named_with_their_line(tmp_path: Path) -> None:
    """The byte, its offset and its line are in the message."""
    with pytest.raises(InputError, match="byte 0xff at offset 4 is not utf-8") as caught:
        read(read_text, tmp_path / "a.txt", b"a\nb\n\xff")
    assert (caught.value.kind, caught.value.line) == (Fault.UNDECODABLE, 3)


def test_an_empty_file_is_a_fault(tmp_path: Path) -> None:
    """A file of no bytes is reported, not stored."""
    with pytest.raises(InputError, match="the file is empty") as caught:
        read(read_text, tmp_path / "a.txt", b"")
    assert caught.value.kind == Fault.EMPTY_FILE


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    """The limit is inclusive, and nothing of a larger file is read."""
    reads: list[int] = []
    reading = Reading(max_document_bytes=4, advance=reads.append)
    assert len(read(read_text, tmp_path / "a.txt", b"four", reading)) == 1
    reads.clear()
    with pytest.raises(InputError, match=r"the file has 5 bytes, more than --max-document-bytes allows \(4\)"):
        read(read_text, tmp_path / "a.txt", b"five!", reading)
    assert reads == []
