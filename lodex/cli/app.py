"""The typer application that the verbs register with, how they print, and how they read files."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from lodex.errors import InvalidArgumentError, LodexError

_BROKEN_PIPE = 128 + 13
"""What a shell sees of a program that SIGPIPE ended."""


class _Verbs(TyperGroup):
    """Ends quietly where the reader of our output is gone. Typer would exit with 1, as after an error."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run a verb."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            _end_with_broken_pipe()


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Rich would exit with 1."""
        _end_with_broken_pipe()


def _end_with_broken_pipe() -> NoReturn:
    # The interpreter flushes what is left at its exit, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(_BROKEN_PIPE)


app = typer.Typer(
    cls=_Verbs,
    name="lodex",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One datastore of text with three ways into it: by meaning, by exact words and by what comes next.",
)
console = _Console(markup=False, highlight=False, emoji=False)

_WIDTH_OF_A_PIPE = 1_000_000
# What a terminal obeys or a line ends with: control characters, separators, marks of writing direction, surrogates.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, one object, for programs.")]


def _version(wanted: bool) -> None:
    if wanted:
        from lodex import __version__

        say(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def say(*parts: str | tuple[str, str], end: str = "\n") -> None:
    """Print a line for people: texts as they are, or pairs of a text and its style. It is not wrapped."""
    console.print(Text.assemble(*parts), end=end, soft_wrap=True)


def escaped(text: str) -> str:
    r"""A text of a document on one line, no part of which a terminal obeys: \x1b for an escape, \n for a new line."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plural(number: int, noun: str) -> str:
    """`1 segment`, `2 segments`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def read_text(path: Path, field: str = "file") -> str:
    """The text of a file, - for standard input; InvalidArgumentError names one that is not UTF-8."""
    try:
        return sys.stdin.buffer.read().decode() if str(path) == "-" else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path} is not UTF-8: {error}", field) from error


def print_json(value: Any) -> None:
    """Print a value of dataclasses, arrays and plain data as JSON, which has null for numbers that are not finite."""
    json.dump(_plain(value), sys.stdout, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    """The value in the types that JSON has."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        items = value.tolist()
        is_ready = value.dtype.kind in "biu" or (value.dtype.kind == "f" and bool(np.isfinite(value).all()))
        return items if is_ready else _plain(items)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, LodexError):
        return {"error": str(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise TypeError(f"cannot print {type(value).__name__} as JSON")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print a table for people, its cells `escaped`; numbers are set to the right.

    Long cells are folded on a terminal alone.
    """
    table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for i, name in enumerate(columns):
        number = bool(rows) and all(isinstance(row[i], (int, float)) for row in rows)
        table.add_column(Text(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else escaped(str(cell))) for cell in row))
    show_table(table)


def show_table(table: Table) -> None:
    """Print a table as it is, as wide as it takes unless on a terminal."""
    wide_enough = console if console.is_terminal else _Console(width=_WIDTH_OF_A_PIPE)
    wide_enough.print(table)
