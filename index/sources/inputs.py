"""What the arguments of an ingest lead to: files, folders, globs, standard input, named sources; in a stable order."""

from __future__ import annotations

import glob
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import dropwhile
from pathlib import Path

from lodex.errors import InputError, InvalidArgumentError
from lodex.index.sources.fault import Fault
from lodex.index.sources.html import read_html
from lodex.index.sources.jsonl import STDIN, LineSpan, read_jsonl, read_stdin
from lodex.index.sources.parquet import read_parquet
from lodex.index.sources.python_docs import PYTHON_DOCS, PYTHON_SOURCE, python_docs, python_source
from lodex.index.sources.reading import Item, Reader, Reading, Record, SourceFile, printable
from lodex.index.sources.text import read_markdown, read_text
from lodex.types import Document

READERS: Mapping[str, Reader] = {
    ".txt": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".jsonl.zst": read_jsonl,
    ".parquet": read_parquet,
}
NAMED_SOURCES: Mapping[str, Callable[[], Iterator[Document]]] = {
    PYTHON_DOCS: python_docs,
    PYTHON_SOURCE: python_source,
}
STDIN_ARGUMENT = "-"


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to read. `size_bytes` is None where it is not known before it is read.

    `file` and `mtime_ns`, its time of change, are of inputs that are files; `lines` of a part of one.
    """

    place: str
    size_bytes: int | None
    reader: Callable[[Reading], Iterator[Item]]
    file: SourceFile | None = None
    mtime_ns: int = 0
    lines: LineSpan | None = None

    def read(self, reading: Reading) -> Iterator[Item]:
        """Its records and faults. Whatever ends the reading early is the last fault."""
        try:
            yield from self.reader(reading)
        except InputError as error:
            yield error if error.source else error.at(self.place, error.line)
        except OSError as error:
            yield unreadable(self.place, error)


class Inputs:
    """The inputs that arguments lead to. Only the arguments are held: every iteration walks the folders anew.

    An argument is a named source, `-` (JSON lines from standard input), a file, a folder or a glob. Folders are walked
    in the order of names, each once, by whatever links it is reached. In folders and globs, hidden entries are left out
    as in a shell; files of unknown extensions too, and counted in `passed_over`. `total_bytes` is None where an input
    has no size.
    InvalidArgumentError for an argument that leads nowhere, or a file of an unknown extension given by name.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        if not arguments:
            raise InvalidArgumentError("say what to ingest: files, folders, globs or named sources", "inputs")
        self.passed_over: Counter[str] = Counter()
        self.total_bytes: int | None = 0
        self._walks = [self._resolve(argument, f"inputs[{i}]") for i, argument in enumerate(arguments)]
        for i, walk in enumerate(self._walks):
            self.passed_over.clear()
            found = 0
            for item in walk():
                found += 1
                size = item.size_bytes if isinstance(item, Input) else 0
                self.total_bytes = None if self.total_bytes is None or size is None else self.total_bytes + size
            if not found:
                raise InvalidArgumentError(f"no file to ingest in {arguments[i]!r}{self._reasons()}", f"inputs[{i}]")

    def __iter__(self) -> Iterator[Input | InputError]:
        """Every input, and the faults of what cannot be listed or found any more, in the order of the arguments."""
        self.passed_over.clear()
        for walk in self._walks:
            yield from walk()

    def _resolve(self, argument: str, field: str) -> Callable[[], Iterator[Input | InputError]]:
        if argument == STDIN_ARGUMENT:
            return lambda: iter([Input(STDIN, None, read_stdin)])
        if argument in NAMED_SOURCES:
            return lambda: iter([Input(argument, None, partial(_read_named, argument))])
        path = Path(argument)
        mode = _mode(path) if argument else 0
        if stat.S_ISDIR(mode):
            return partial(self._folder, path)
        if stat.S_ISREG(mode):
            if not _reader(path.name):
                raise InvalidArgumentError(f"cannot ingest {argument!r}: known files are {', '.join(READERS)}", field)
            return partial(self._file, path, path.name)
        if glob.has_magic(argument):
            return partial(self._glob, argument)
        named = ", ".join(NAMED_SOURCES)
        raise InvalidArgumentError(f"no file, folder or named source {argument!r}; named sources are {named}", field)

    def _folder(self, root: Path) -> Iterator[Input | InputError]:
        for entry in _entries(root):
            if isinstance(entry, InputError):
                yield entry
            elif not _is_folder(entry):
                yield from self._file(entry, entry.relative_to(root).as_posix())

    def _glob(self, pattern: str) -> Iterator[Input | InputError]:
        """The files that match, in the order of their paths, each once however many links lead to it."""
        parts = Path(pattern).parts
        fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        root = Path(*parts[:fixed])
        matches = list(_matches(root, parts[fixed:]))
        yield from (match for match in matches if isinstance(match, InputError))
        read: set[str] = set()
        for path in sorted(match for match in matches if isinstance(match, Path)):
            real = os.path.realpath(path)
            if real not in read:
                read.add(real)
                yield from self._file(path, path.relative_to(root).as_posix())

    def _file(self, path: Path, name: str) -> Iterator[Input | InputError]:
        reader = _reader(path.name)
        if reader is None:
            self.passed_over[path.suffix.lower() or "no extension"] += 1
            return
        file = SourceFile(path, printable(name))
        try:
            status = path.stat()
        except OSError as error:
            yield unreadable(file.place, error)
            return
        if stat.S_ISREG(status.st_mode):
            yield Input(file.place, status.st_size, partial(reader, file), file, status.st_mtime_ns)
        else:
            self.passed_over["special file"] += 1

    def _reasons(self) -> str:
        what = ", ".join(f"{count} {kind}" for kind, count in self.passed_over.most_common(5))
        return f": passed over {what}; known files are {', '.join(READERS)}" if what else ""


def unreadable(place: str, error: OSError) -> InputError:
    """The fault of a file or folder that the system does not let us read."""
    return InputError(f"cannot be read: {error.strerror or error}", place, kind=Fault.UNREADABLE)


def _entries(root: Path) -> Iterator[Path | InputError]:
    """Everything below `root` that is not hidden, in the order of names, a folder before what is in it.

    A stack rather than recursion, since paths may be thousands of folders deep. A folder is listed once, by whatever
    links it is reached.
    """
    entered: set[tuple[int, int]] = set()
    left = [root]
    while left:
        path = left.pop()
        if path != root:
            yield path
            if not _is_folder(path):
                continue
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) not in entered:
                entered.add((status.st_dev, status.st_ino))
                left += reversed(_visible(path))
        except OSError as error:
            yield unreadable(printable(path), error)


def _matches(folder: Path, parts: tuple[str, ...]) -> Iterator[Path | InputError]:
    """The files below `folder` that match, some of them twice where `**` stands twice.

    Not `glob.glob`, which follows links round and round.
    """
    first, rest = parts[0], parts[1:]
    if first == "**":
        for entry in (folder, *_entries(folder)):
            if isinstance(entry, InputError):
                yield entry
            elif _is_folder(entry):
                yield from _matches(entry, tuple(dropwhile("**".__eq__, rest)) or ("*",))
        return
    try:
        found = [path for path in _visible(folder) if fnmatchcase(path.name, first)]
    except OSError as error:
        yield unreadable(printable(folder), error)
        return
    for path in found:
        if rest and _is_folder(path):
            yield from _matches(path, rest)
        elif not rest and not _is_folder(path):
            yield path


def _visible(folder: Path) -> list[Path]:
    names = os.listdir(folder)  # noqa: PTH208  iterdir makes a path of every name, hidden or not
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _mode(path: Path) -> int:
    """What a path leads to, 0 for nothing or what may not be looked at (where `Path.is_dir` raises)."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(_mode(path))


def _reader(name: str) -> Reader | None:
    lower = name.lower()
    return next((reader for extension, reader in READERS.items() if lower.endswith(extension)), None)


def _read_named(name: str, reading: Reading) -> Iterator[Item]:
    return (Record(document, name) for document in NAMED_SOURCES[name]())
