"""Texts that are lines of a file."""

from pathlib import Path

import pytest

from lodex.errors import InputError
from lodex.index.sources.lines import read_text_lines
from lodex.index.sources.reading import Reading, Record, SourceFile


def read(tmp_path: Path, data: bytes, **terms: int) -> list[tuple[str, str, int] | str]:
    """(id, text, line) of every record; the message of every fault."""
    path = tmp_path / "texts.txt"
    path.write_bytes(data)
    items = read_text_lines(SourceFile(path, "texts.txt"), Reading(**terms))
    return [
        (item.document.doc_id, item.document.text, item.line) if isinstance(item, Record) else str(item)
        for item in items
    ]


def test_every_line_is_a_text_called_by_its_number(tmp_path: Path) -> None:
    """Blank lines count and are no texts; ends of lines are no part of one; spaces are."""
    data = "\ufefffirst\r\n\n  second \n \t\nthird".encode()
    assert read(tmp_path, data) == [
        ("texts.txt:1", "first", 1),
        ("texts.txt:3", "  second ", 3),
        ("texts.txt:5", "third", 5),
    ]


def test_a_bad_line_is_a_fault_with_its_place_and_not_the_end(tmp_path: Path) -> None:
    """File, line and column of the first byte that is not UTF-8."""
    one, fault, three = read(tmp_path, b"one\ntw\xff\nthree\n")
    assert (one, three) == (("texts.txt:1", "one", 1), ("texts.txt:3", "three", 3))
    assert fault == f"{tmp_path}/texts.txt:2: byte 0xff at column 3 is not UTF-8"


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_above_the_limit_is_passed_over(tmp_path: Path, end: str) -> None:
    """Whatever its length and end; one of exactly the limit is not."""
    long = "x" * 1_000_000
    found = read(tmp_path, f"{'y' * 10}\n{long}{end}".encode(), max_document_bytes=10)
    assert found[0] == ("texts.txt:1", "y" * 10, 1)
    assert ":2: the line is long" in found[1]
    assert len(found) == 2


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_a_file_without_texts_is_an_error(tmp_path: Path, data: bytes) -> None:
    """It is said by name."""
    with pytest.raises(InputError, match=r"texts\.txt: the file is empty"):
        read(tmp_path, data)
