"""JSON lines, plain and compressed."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.jsonl import read_json_lines, read_jsonl, read_stdin
from lodex.index.sources.reading import Item, Reading, Record, SourceFile
from lodex.types import Document

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def lines(data: bytes, limit: int = 1 << 20) -> list[Item]:
    return list(read_json_lines(io.BytesIO(data), "a.jsonl", "in/a.jsonl", Reading(max_document_bytes=limit)))


def file_items(path: Path, reading: Reading | None = None) -> list[Item]:
    return list(read_jsonl(SourceFile(path, path.name), reading or Reading()))


@given(
    rows=st.lists(st.tuples(TEXT, TEXT, st.dictionaries(st.sampled_from("xyz"), TEXT)), min_size=1),
    escaped=st.booleans(),
)
def test_documents_survive_json_lines(rows: list[tuple[str, str, dict[str, Any]]], escaped: bool) -> None:
    """Whatever was written as JSON, escaped or not, is read back the same, with its line."""
    data = "".join(json.dumps({"id": i, "text": t, **m}, ensure_ascii=escaped) + "\n" for i, t, m in rows).encode()
    assert lines(data) == [
        Record(Document(i, t, source="a.jsonl", metadata=m), "in/a.jsonl", n)
        for n, (i, t, m) in enumerate(rows, start=1)
    ]


@pytest.mark.parametrize("extension", ["", ".gz", ".zst"])
def test_compressed_files_are_read_member_by_member(tmp_path: Path, extension: str) -> None:
    """Files that were concatenated after compression are one stream, and every byte on disk is reported once."""
    compress = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    }[extension]
    path = tmp_path / f"a.jsonl{extension}"
    path.write_bytes(compress(b'{"text": "one"}\n{"te') + compress(b'xt": "two"}\n'))
    reads: list[int] = []
    items = file_items(path, Reading(advance=reads.append))
    assert [(i.document.doc_id, i.document.text) for i in items if isinstance(i, Record)] == [
        (f"{path.name}:1", "one"),
        (f"{path.name}:2", "two"),
    ]
    assert sum(reads) == path.stat().st_size


def test_byte_order_mark_blank_lines_and_crlf_are_not_faults() -> None:
    """Line numbers count the blank lines too, and the last line needs no end."""
    items = lines(b'\xef\xbb\xbf{"text": "a"}\r\n\r\n   \n{"text": "b"}')
    assert [(i.document.text, i.line) for i in items if isinstance(i, Record)] == [("a", 1), ("b", 4)]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (b'{"text": "a"', Fault.NOT_JSON, "not JSON: Expecting ',' delimiter at column 13"),
        (b'{"text": "a"} {}', Fault.NOT_JSON, "not JSON: Extra data at column 15"),
        (b'{"text": "a\xffb"}', Fault.UNDECODABLE, "byte 0xff at column 12 is not UTF-8"),
        (b'{"text": "\xed\xa0\x80"}', Fault.UNDECODABLE, "byte 0xed at column 11 is not UTF-8"),
        (b'["text"]', Fault.WRONG_TYPE, "the line must be an object, not list"),
        (b"null", Fault.WRONG_TYPE, "the line must be an object, not NoneType"),
        (b'{"text": "a", "text": "b"}', Fault.NOT_JSON, "field 'text' stands twice in an object"),
        (b'{"text": "a", "m": {"k": 1, "k": 2}}', Fault.NOT_JSON, "field 'k' stands twice in an object"),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}", Fault.NOT_JSON, "not JSON that can be read"),
        (b'{"text": "a", "n": 1e999}', Fault.WRONG_TYPE, "field 'n' is infinite"),
        (b'{"text": "a", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", Fault.NOT_JSON, "not JSON that can be read"),
        (b'{"title": "a"}', Fault.MISSING_FIELD, "no field 'text'"),
        (b'{"id": "\\ud800", "text": "a"}', Fault.WRONG_TYPE, "field 'id' is not valid Unicode"),
        (b"\x00", Fault.NOT_JSON, "not JSON: Expecting value at column 1"),
    ],
)
def test_a_bad_line_is_named_and_the_next_is_read(line: bytes, kind: Fault, message: str) -> None:
    """File, line and reason are in the message, and the fault ends nothing."""
    before, fault, after = lines(b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
    assert isinstance(before, Record)
    assert isinstance(after, Record)
    assert isinstance(fault, InputError)
    assert fault.kind == kind
    assert str(fault).startswith(f"in/a.jsonl:2: {message}")


class Counting(io.BytesIO):
    """A stream that remembers the largest piece that was asked for."""

    largest = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line or a piece of one."""
        data = super().readline(size)
        self.largest = max(self.largest, len(data))
        return data


def test_a_long_line_is_refused_without_being_held() -> None:
    """Only the first bytes up to the limit are read as one piece; the rest is passed over and the next line read."""
    stream = Counting(b'{"text": "' + b"x" * 3_000_000 + b'"}\n{"text": "after"}\n')
    fault, after = read_json_lines(stream, "a.jsonl", "a.jsonl", Reading(max_document_bytes=1000))
    assert str(fault) == "a.jsonl:1: the line is long, more than --max-document-bytes allows (1,000)"
    assert isinstance(after, Record)
    assert after.line == 2
    assert stream.largest <= 1 << 18


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("over", [0, 1, 2, 3])
def test_the_limit_of_a_line_is_exact(end: bytes, over: int) -> None:
    """A line of exactly the limit is read, one byte more is not, whatever ends it."""
    line = b'{"text": "abc"}'
    limit = len(line) - over
    first, second = lines(line + (end or b"\n") + b"{}" + end, limit)
    assert isinstance(first, Record) is (over == 0)
    assert str(second).startswith("in/a.jsonl:2: no field 'text'")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"  \r\n"])
def test_a_file_without_lines_is_empty(data: bytes) -> None:
    """Blank lines do not make a file."""
    with pytest.raises(InputError, match=r"^in/a.jsonl: the file is empty$") as caught:
        lines(data)
    assert caught.value.kind == Fault.EMPTY_FILE


@pytest.mark.parametrize(
    ("extension", "damage"),
    [
        (".gz", lambda data: data[:-4]),
        (".gz", lambda data: data[: len(data) // 2]),
        (".zst", lambda data: data[:-2]),
        (".gz", lambda data: data + b"trailing garbage"),
        (".gz", lambda data: b"not gzip"),
    ],
)
def test_a_damaged_stream_is_a_fault_at_the_line_it_breaks(tmp_path: Path, extension: str, damage: Any) -> None:
    """What came before the damage was yielded; the damage is never taken for the end."""
    data = b"".join(b'{"text": "%06d"}\n' % i for i in range(20_000))
    packed = gzip.compress(data) if extension == ".gz" else pa.compress(data, codec="zstd", asbytes=True)
    path = tmp_path / f"a.jsonl{extension}"
    path.write_bytes(damage(packed))
    records: list[Item] = []
    with pytest.raises(InputError, match="cannot be read on") as caught:
        records.extend(read_jsonl(SourceFile(path, path.name), Reading()))
    assert caught.value.kind == Fault.DAMAGED
    assert (caught.value.source, caught.value.line) == (str(path), len(records) + 1)


def test_standard_input_is_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its documents and faults are called `stdin`."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "a"}\n{}\n')))
    record, fault = read_stdin(Reading())
    assert isinstance(record, Record)
    assert record.document == Document("stdin:1", "a", source="stdin")
    assert str(fault).startswith("stdin:2: ")
