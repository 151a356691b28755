"""HTML pages."""

import time
from pathlib import Path

import pytest

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.html import declared_encoding, read_html
from lodex.index.sources.reading import Reading, Record, SourceFile
from lodex.types import Document

PAGE = """<!doctype html><html><head><title>A &amp;
 B</title><style>p {}</style><script>var hidden = 1</script></head><body><!-- comment -->
<h1>Head<em>ing</em></h1><p>First <b>bo</b>ld
  line.<br>Second.</p><ul><li>one<li>two</ul><table><tr><td>a</td><td>b</td></tr></table>
<pre>def f():
    return  1</pre><textarea>typed</textarea><img alt="picture" src=x>caf&eacute;</body></html>"""


def document(path: Path, data: bytes, reading: Reading | None = None) -> Document:
    path.write_bytes(data)
    [record] = read_html(SourceFile(path, path.name), reading or Reading())
    assert isinstance(record, Record)
    return record.document


def test_the_visible_text_is_extracted(tmp_path: Path) -> None:
    """Inline marks join words, blocks part them, preformatted text keeps its spaces, and nothing hidden is left."""
    page = document(tmp_path / "a.html", PAGE.encode())
    assert page.doc_id == "a.html"
    assert page.title == "A & B"
    assert page.text.startswith("Heading\n\nFirst bold line.\nSecond.")
    assert [line.strip() for line in page.text.splitlines() if line][-6:] == [
        "one", "two", "a\t\tb", "def f():", "return  1", "café",
    ]  # fmt: skip
    assert "\n    return  1" in page.text
    for hidden in ("hidden", "p {}", "comment", "typed", "picture"):
        assert hidden not in page.text


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ('<META http-equiv=Content-Type content="text/html; charset=koi8-r">', "koi8-r"),
        ('<?xml version="1.0" encoding="iso-8859-5"?>', "iso-8859-5"),
        ("<meta charset=utf-16>", "utf-8"),
        ("<meta charset=nonsense>", "utf-8"),
        ("<!-- no declaration -->", "utf-8"),
    ],
)
def test_the_declared_encoding_is_used(tmp_path: Path, head: str, codec: str) -> None:
    """By the rules of the HTML standard; a declaration that cannot be true or is not known means UTF-8."""
    page = f"<html><head>{head}</head><body><p>Привет</p></body></html>"
    assert document(tmp_path / "a.html", page.encode(codec)).text == "Привет"


def test_a_byte_order_mark_wins_over_a_declaration(tmp_path: Path) -> None:
    """The mark cannot be wrong."""
    page = "\ufeff<meta charset=windows-1251><p>Привет"
    assert document(tmp_path / "a.html", page.encode("utf-16-le")).text == "Привет"


def test_a_declaration_is_looked_for_at_the_head_only() -> None:
    """The first 1,024 bytes count, as in browsers."""
    assert declared_encoding(b" " * 2000 + b"<meta charset=koi8-r>") == "utf-8"


def test_bytes_that_do_not_fit_the_encoding_are_a_fault(tmp_path: Path) -> None:
    """Nothing is guessed or dropped."""
    with pytest.raises(InputError, match="byte 0xe9 at offset 9 is not utf-8") as caught:
        document(tmp_path / "a.html", "<p>a\n<p>b\xe9".encode("latin-1"))
    assert (caught.value.kind, caught.value.line) == (Fault.UNDECODABLE, 2)


@pytest.mark.parametrize("page", ["<frameset><frame></frameset>", "", " ", "<script>x</script>", "<!-- -->"])
def test_a_page_without_text_has_an_empty_one(tmp_path: Path, page: str) -> None:
    """No body, or nothing visible in it, is not an error of reading."""
    assert document(tmp_path / "a.html", f"<!doctype html>{page}".encode()).text == ""


@pytest.mark.parametrize("tag", ["div", "b", "blockquote", "table><tr><td", "pre", "span", "li"])
def test_deeply_nested_pages_are_read(tmp_path: Path, tag: str) -> None:
    """Nesting without end costs neither the stack nor quadratic time."""
    started = time.perf_counter()
    page = document(tmp_path / "a.html", (f"<{tag}>" * 20_000 + "deep").encode())
    assert page.text.strip() == "deep"
    assert time.perf_counter() - started < 5


def test_lists_nested_to_outgrow_memory_are_refused(tmp_path: Path) -> None:
    """100 KB of nested lists would be indented to 100 MB."""
    page = b"<ul><li>" * 5_000 + b"<li>x" * 10_000
    with pytest.raises(InputError, match="nests lists so deeply") as caught:
        document(tmp_path / "a.html", page, Reading(max_document_bytes=1 << 20))
    assert caught.value.kind == Fault.TOO_LARGE


def test_many_lists_side_by_side_are_read(tmp_path: Path) -> None:
    """The limit is of depth, not of number."""
    page = b"<ul><li>a<ol><li>b</ol></ul>" * 2_000
    assert document(tmp_path / "a.html", page, Reading(max_document_bytes=1 << 20)).text.count("b") == 2_000
