"""Plain text by lines: every line that is not blank is a text of its own."""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections.abc import Iterator

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.reading import Item, Reading, Record, SourceFile, too_large
from lodex.types import Document

_BUFFER_BYTES = 1 << 18


def read_text_lines(file: SourceFile, reading: Reading) -> Iterator[Item]:
    """One record or fault for every line of a UTF-8 file that is not blank, called NAME:LINE.

    A line above the size limit is passed over in pieces, never held. InputError for a file without lines; OSError.
    """
    limit = reading.max_document_bytes
    number = 0
    is_empty = True
    with file.open(reading) as raw, io.BufferedReader(raw, _BUFFER_BYTES) as stream:
        # Two bytes more than a line may have, for its end.
        while line := stream.readline(limit + 2):
            number += 1
            is_cut = len(line) == limit + 2 and not line.endswith(b"\n")
            while is_cut and (piece := stream.readline(_BUFFER_BYTES)) and not piece.endswith(b"\n"):
                pass
            if number == 1:
                line = line.removeprefix(BOM_UTF8)
            line = line.rstrip(b"\r\n")
            if not line.strip():
                continue
            is_empty = False
            try:
                if is_cut or len(line) > limit:
                    raise too_large("the line is long", reading)
                text = _decoded(line)
            except InputError as error:
                yield error.at(file.place, number)
            else:
                yield Record(Document(f"{file.name}:{number}", text, source=file.name), file.place, number)
    if is_empty:
        raise InputError("the file is empty", file.place, kind=Fault.EMPTY_FILE)


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        message = f"byte 0x{line[error.start]:02x} at column {error.start + 1:,} is not UTF-8"
        raise InputError(message, kind=Fault.UNDECODABLE) from error
