"""Text and Markdown files: one document each, as it stands."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.reading import Item, Reading, Record, SourceFile
from lodex.types import Document

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FENCE = re.compile(r" {0,3}(```|~~~)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+")
_UNDERLINE = re.compile(r" {0,3}=+[ \t]*")


def read_text(file: SourceFile, reading: Reading) -> Iterator[Item]:
    """The document of a `.txt` file; its doc_id is the file's name."""
    text = decode(file.read(reading))
    yield Record(Document(file.name, text, source=file.name), file.place)


def read_markdown(file: SourceFile, reading: Reading) -> Iterator[Item]:
    """The document of a Markdown file: its source as text, its first heading as title."""
    text = decode(file.read(reading))
    yield Record(Document(file.name, text, source=file.name, title=first_heading(text)), file.place)


def decode(data: bytes, encoding: str = "utf-8") -> str:
    r"""Bytes as text: by their byte order mark, else by `encoding`. InputError names the first byte that does not fit.

    Line ends become `\n`, so that the same text counts the same wherever it was written.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], name
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, "replace").count("\n") + 1
        message = f"byte 0x{data[error.start]:02x} at offset {error.start:,} is not {encoding} ({error.reason})"
        raise InputError(message, line=line, kind=Fault.UNDECODABLE) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def first_heading(markdown: str) -> str:
    """The text of the first heading, `# one` or underlined with `===`, outside fenced code; "" without one."""
    fence = ""
    previous = ""
    for line in _lines(markdown):
        mark = _FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        elif not fence:
            heading = _HEADING.match(line)
            title = _without_closing_marks(line[heading.end() :].strip()) if heading else ""
            if not title and _UNDERLINE.fullmatch(line):
                title = previous
            if title:
                return title
        previous = "" if mark or fence else line.strip()
    return ""


def _without_closing_marks(heading: str) -> str:
    """`Title ##` is written for `Title`, `C#` for itself."""
    bare = heading.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else heading


def _lines(text: str) -> Iterator[str]:
    """Lines without their ends, made one at a time: the heading is usually among the first."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        yield text[begin:end]
        begin = end + 1
