"""The texts of a file that is to be embedded: row by row with their places, and in runs that make a shard each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import xxhash

from lodex.errors import InputError, InvalidArgumentError
from lodex.index.sources.fault import Fault
from lodex.index.sources.inputs import READERS, STDIN_ARGUMENT
from lodex.index.sources.jsonl import STDIN, read_stdin
from lodex.index.sources.lines import read_text_lines
from lodex.index.sources.reading import Item, Reading, Record, SourceFile, printable
from lodex.index.vector_shard import SHARD_BYTES

ReadItems = Callable[[Reading], Iterator[Item]]

# Of a text file every line is a text here; other files hold a document in each row, as an ingest reads them.
_READERS = {name: reader for name, reader in READERS.items() if "json" in name or name == ".parquet"} | {
    ".txt": read_text_lines
}


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text to embed, its id, and where it stood: the file, and the line or row from 1."""

    id: str
    text: str
    place: str
    line: int


def reader_of(source: str) -> ReadItems:
    """What reads a file, or standard input; InvalidArgumentError for what is none that can be read.

    Whatever ends the reading early is the last fault.
    """
    if source == STDIN_ARGUMENT:
        return partial(_placed, read_stdin, STDIN)
    path = Path(source)
    reader = next((reader for ending, reader in _READERS.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        raise InvalidArgumentError(f"cannot embed {source!r}: known files are {', '.join(_READERS)}", "file")
    if not path.is_file():
        raise InvalidArgumentError(f"no file {source!r}", "file")
    file = SourceFile(path, printable(path.name))
    return partial(_placed, partial(reader, file), file.place)


def size_of(source: str) -> int | None:
    """The bytes of a file, None where they are not known before it is read."""
    return None if source == STDIN_ARGUMENT else Path(source).stat().st_size


def texts_of(items: Iterable[Item], *, with_title: bool) -> Iterator[TextRow | InputError]:
    """The texts of what a reader yields, as a dense index embeds passages where they have their title before them."""
    for item in items:
        fault = item if isinstance(item, InputError) else _not_unicode(item)
        if fault is not None:
            yield fault
        elif isinstance(item, Record):
            document = item.document
            text = f"{document.title} {document.text}" if with_title and document.title else document.text
            yield TextRow(document.doc_id, text, item.place, item.line)


def runs_of(rows: Iterable[TextRow], limit: int) -> Iterator[list[TextRow]]:
    """Rows in runs of `limit`, or fewer where their texts would have more than `SHARD_BYTES`."""
    run: list[TextRow] = []
    size = 0
    for row in rows:
        amount = len(row.text.encode())
        if run and (len(run) == limit or size + amount > SHARD_BYTES):
            yield run
            run, size = [], 0
        run.append(row)
        size += amount
    if run:
        yield run


def digest_of(rows: Iterable[TextRow]) -> str:
    """The XXH3-128 of ids and texts, each with its length before it, so that none runs into another."""
    digest = xxhash.xxh3_128()
    for row in rows:
        for part in (row.id.encode(), row.text.encode()):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return f"xxh3_128:{digest.hexdigest()}"


def _not_unicode(record: Record) -> InputError | None:
    """The fault of a text that no tokenizer can read: JSON may hold half of a surrogate pair."""
    try:
        (record.document.title + record.document.text).encode()
    except UnicodeEncodeError as error:
        return InputError(f"the text is not valid Unicode: {error}", record.place, record.line, Fault.WRONG_TYPE)
    return None


def _placed(read: ReadItems, place: str, reading: Reading) -> Iterator[Item]:
    """What a reader yields; an error that ends it is a fault like others, with its place."""
    try:
        yield from read(reading)
    except InputError as error:
        yield error if error.source else error.at(place, error.line)
    except OSError as error:
        yield InputError(f"cannot be read: {error.strerror or error}", place, kind=Fault.UNREADABLE)
