"""Files beside a suffix table that spare its readers work, and the table opened with those that are there.

`top.0` is the top level of the search, which is else made in one pass over the table; `pages.0` are page keys, with
which a search of cold files reads few pages. Neither changes an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.index.mapped_files import NORMAL, RANDOM, map_file
from lodex.index.receipt import Artefact
from lodex.kernels._suffix import CorruptTableError, SuffixTable
from lodex.kernels.suffix_pages import page_key_blocks, page_keys_bytes
from lodex.kernels.suffix_top_file import decode_top, encode_top

# infini-gram tells files apart by substrings of their names, so these contain none of those.
TOP = "top.0"
PAGES = "pages.0"
TOP_FROM = 1 << 20
"""Tokens from which on a top level is written. That of fewer is made in a millisecond."""

Tokens = npt.NDArray[np.unsignedinteger[Any]]


def write_sidecars(out: Path, tokens: Tokens, table_path: Path, *, page_keys: bool = False) -> None:
    """Write `top.0` for a large table, and `pages.0` if it is asked for: 0.03 and 1.002 bytes a token.

    Memory: 0.06 bytes a token and 4 MiB, beside the pages of the table.
    """
    if len(tokens) < TOP_FROM and not page_keys:
        return
    table = SuffixTable(tokens, map_file(table_path, np.uint8), str(table_path))
    if len(tokens) >= TOP_FROM:
        (out / TOP).write_bytes(encode_top(table, tokens.itemsize))
    if page_keys:
        with (out / PAGES).open("wb") as file:
            for block in page_key_blocks(table, tokens.itemsize):
                file.write(block.tobytes())


def sidecars_of(artefact: Artefact) -> dict[str, Path]:
    """The files of an artefact that `open_table` takes: artefacts of earlier versions have none."""
    return {name: artefact.file(name) for name in (TOP, PAGES) if name in artefact.receipt.files}


def sidecars_beside(table: Path) -> dict[str, Path]:
    """The files that `open_table` takes, of a table that was published without receipt: `top.3` beside `table.3`."""
    beside = {name: table.with_name(f"{name.partition('.')[0]}{table.suffix or '.0'}") for name in (TOP, PAGES)}
    return {name: path for name, path in beside.items() if path.is_file()}


def open_table(
    tokens: Tokens,
    table: npt.NDArray[np.uint8],
    label: str,
    sidecars: Mapping[str, Path],
    advice: str = NORMAL,
) -> SuffixTable:
    """A table for searching, with the files of `sidecars` by name, as many of TOP and PAGES as there are.

    Read at random, it is searched in the way that reads the fewest pages. CorruptTableError names a file that is of
    another table.
    """
    top = pages = None
    if TOP in sidecars:
        path = sidecars[TOP]
        top = decode_top(path.read_bytes(), tokens.itemsize, len(tokens), str(path))
    if PAGES in sidecars:
        path = sidecars[PAGES]
        pages = map_file(path, np.uint8, advice)
        if len(pages) != (expected := page_keys_bytes(len(tokens))):
            raise CorruptTableError(f"{path} has {len(pages)} bytes, page keys of {len(tokens)} tokens take {expected}")
    return SuffixTable(tokens, table, label, top, pages, few_reads=advice == RANDOM)
