"""JSON lines: one object, one document, a line; plain, gzip or zstd."""

from __future__ import annotations

import io
import json
import sys
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.reading import Item, Reading, Record, SourceFile, too_large

_BUFFER_BYTES = 1 << 18
_SCAN_BYTES = 1 << 20
_CODECS = {".gz": "gzip", ".zst": "zstd"}

STDIN = "stdin"


@dataclass(frozen=True, slots=True)
class LineSpan:
    """Whole lines of a file: the bytes [begin, end), of which the first line has that number, from 1.

    `end` is None where the lines go on to the end of the file, wherever that is by then.
    """

    begin: int
    end: int | None
    first_line: int


def line_spans(path: Path, size_bytes: int, span_bytes: int) -> Iterator[LineSpan]:
    """Cut a plain file of lines, of `size_bytes`, into spans of about `span_bytes`; OSError. Reads it once."""
    begin, line = 0, 1
    with path.open("rb", buffering=0) as raw, io.BufferedReader(raw, _SCAN_BYTES) as file:
        while size_bytes - begin > span_bytes * 3 // 2:
            newlines = 0
            left = span_bytes
            while left and (block := file.read(min(left, _SCAN_BYTES))):
                newlines += block.count(b"\n")
                left -= len(block)
            while (rest := file.readline(_SCAN_BYTES)) and not rest.endswith(b"\n"):
                pass
            end = file.tell()
            if end >= size_bytes:
                break
            yield LineSpan(begin, end, line)
            begin, line = end, line + newlines + 1
    yield LineSpan(begin, None, line)


def read_jsonl_span(file: SourceFile, span: LineSpan, reading: Reading) -> Iterator[Item]:
    """The documents of some lines of a plain `.jsonl` file, as `read_jsonl` gives them of the whole."""
    with file.open(reading) as raw:
        raw.limit(span.begin, span.end)
        with io.BufferedReader(raw, _BUFFER_BYTES) as stream:
            yield from read_json_lines(stream, file.name, file.place, reading, span.first_line)


def read_jsonl(file: SourceFile, reading: Reading) -> Iterator[Item]:
    """The documents of a `.jsonl`, `.jsonl.gz` or `.jsonl.zst` file; several compressed members count as one stream."""
    with ExitStack() as opened:
        raw: Any = opened.enter_context(file.open(reading))
        codec = _CODECS.get(file.path.suffix.lower())
        if codec:
            raw = opened.enter_context(pa.CompressedInputStream(raw, codec))
        stream = opened.enter_context(io.BufferedReader(raw, _BUFFER_BYTES))
        yield from read_json_lines(stream, file.name, file.place, reading)


def read_stdin(reading: Reading) -> Iterator[Item]:
    """The documents of standard input, JSON lines."""
    yield from read_json_lines(sys.stdin.buffer, STDIN, STDIN, reading)


def read_json_lines(stream: BinaryIO, name: str, place: str, reading: Reading, first_line: int = 1) -> Iterator[Item]:
    """One record or fault for every line that is not blank.

    A line above the size limit is passed over in pieces, never held. InputError for a stream that breaks off, at that
    line, or has no lines.
    """
    limit = reading.max_document_bytes
    number = first_line - 1
    # Of a later part of a file nobody can say so.
    is_empty = first_line == 1
    while True:
        number += 1
        try:
            # Two bytes more than a line may have, for its end.
            line = stream.readline(limit + 2)
            is_cut = len(line) == limit + 2 and not line.endswith(b"\n")
            if is_cut:
                _finish_line(stream)
        except OSError as error:
            raise InputError(f"cannot be read on: {error}", place, number, Fault.DAMAGED) from error
        if not line:
            break
        if number == 1:
            line = line.removeprefix(BOM_UTF8)
        line = line.rstrip(b"\r\n")
        if not line.strip():
            continue
        is_empty = False
        try:
            if is_cut or len(line) > limit:
                raise too_large("the line is long", reading)
            document = reading.fields.document(_parse(line), name, number)
        except InputError as error:
            yield error.at(place, number)
        else:
            yield Record(document, place, number)
    if is_empty:
        raise InputError("the file is empty", place, kind=Fault.EMPTY_FILE)


def _finish_line(stream: BinaryIO) -> None:
    while (piece := stream.readline(_BUFFER_BYTES)) and not piece.endswith(b"\n"):
        pass


def _parse(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        message = f"byte 0x{line[error.start]:02x} at column {error.start + 1:,} is not UTF-8"
        raise InputError(message, kind=Fault.UNDECODABLE) from error
    try:
        row = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} at column {error.colno:,}", kind=Fault.NOT_JSON) from error
    except (ValueError, RecursionError) as error:
        # An integer of thousands of digits, or brackets without end.
        raise InputError(f"not JSON that can be read: {error}", kind=Fault.NOT_JSON) from error
    if not isinstance(row, dict):
        raise InputError(f"the line must be an object, not {type(row).__name__}", kind=Fault.WRONG_TYPE)
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, unless a key stands in it twice: then nobody knows which value is meant."""
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InputError(f"field {twice!r} stands twice in an object", kind=Fault.NOT_JSON)
    return row


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
