"""Folders that infini-gram published: their files found by name and checked for being all there.

A folder holds shards, each of the files that `Shard` tells of, with its number behind their names. A folder of one
shard may leave out the number. Nothing says how wide a token is: that follows from the sizes of the files. The folder
of a suffix artefact of Lodex is one of these too.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lodex.errors import DataLossError, InvalidArgumentError, NotFoundError
from lodex.index.infini_gram.shard import ShardFiles
from lodex.kernels.suffix_table import offset_width

TOKEN_DTYPES: Mapping[str, np.dtype[Any]] = {"u8": np.dtype("u1"), "u16": np.dtype("<u2"), "u32": np.dtype("<u4")}
_NEEDED = ("tokenized", "table", "offset")
_OF_METADATA = ("metadata", "metaoff")
_NAME = re.compile(rf"({'|'.join([*_NEEDED, *_OF_METADATA, 'unigram'])})(?:\.([0-9]+))?")


def is_infini_gram_folder(path: Path) -> bool:
    """Whether a folder has infini-gram's files, by their names."""
    return path.is_dir() and any(_NAME.fullmatch(entry.name) for entry in path.iterdir())


def find_shards(folders: Sequence[Path]) -> list[ShardFiles]:
    """The shards of folders, in the order of the folders and of their numbers (2 before 10).

    Only base names count, so a folder may be called anything. A shard lacks no file, and no number is left out
    between 0 and the greatest, unless another folder of the list has it: DataLossError names the file.
    """
    by_folder = {folder: _files_by_number(folder) for folder in folders}
    numbers = {number for shards in by_folder.values() for number in shards if number is not None}
    found: list[ShardFiles] = []
    for folder, shards in by_folder.items():
        if not shards:
            raise NotFoundError(f"{folder} has no infini-gram index: neither tokenized.0 nor tokenized")
        own = {number for number in shards if number is not None}
        if None in shards and own:
            raise DataLossError(f"{folder} has files with and without a shard's number; expected one kind")
        left_out = next((number for number in range(max(own, default=0)) if number not in numbers), None)
        if left_out is not None:
            raise DataLossError(f"{folder / f'tokenized.{left_out}'} is missing: {max(own)} is the last shard")
        here = [ShardFiles(folder, number, shards[number]) for number in sorted(shards, key=lambda n: n or 0)]
        has_metadata = any("metadata" in shard.paths or "metaoff" in shard.paths for shard in here)
        for shard in here:
            _require_files(shard, _NEEDED + _OF_METADATA if has_metadata else _NEEDED)
        found += here
    return found


def token_dtype_of(shards: Iterable[ShardFiles], expected: str | None = None) -> np.dtype[Any]:
    """The width of the tokens, by the sizes of streams and tables; u16 where all are empty.

    A table has one entry a token, as wide as the last byte offset needs, so only one width fits.
    """
    found: dict[str, Path] = {}
    for shard in shards:
        stream, table = shard.path("tokenized"), shard.path("table")
        stream_bytes, table_bytes = stream.stat().st_size, table.stat().st_size
        if not stream_bytes and not table_bytes:
            continue
        widths = {
            name: (stream_bytes / dtype.itemsize) * offset_width(stream_bytes) for name, dtype in TOKEN_DTYPES.items()
        }
        fitting = [name for name, expected_bytes in widths.items() if expected_bytes == table_bytes]
        if not fitting or (expected and fitting != [expected]):
            wanted = ", ".join(f"{size:.0f} for {name}" for name, size in widths.items() if expected in (None, name))
            raise DataLossError(
                f"{table} has {table_bytes} bytes, expected {wanted} tokens in the {stream_bytes} bytes of {stream}"
            )
        found.setdefault(fitting[0], table)
    if len(found) > 1:
        raise DataLossError("shards differ in the width of tokens: " + ", ".join(f"{p} {n}" for n, p in found.items()))
    return TOKEN_DTYPES[next(iter(found), expected or "u16")]


def token_dtype_named(name: str) -> str:
    """The name of a dtype, checked."""
    if name not in TOKEN_DTYPES:
        raise InvalidArgumentError(f"token_dtype is {name!r}, expected one of {', '.join(TOKEN_DTYPES)}", "token_dtype")
    return name


def _files_by_number(folder: Path) -> dict[int | None, dict[str, Path]]:
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is not a folder")
    shards: dict[int | None, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        kind, number = match[1], None if match[2] is None else int(match[2])
        paths = shards.setdefault(number, {})
        if kind in paths:
            raise DataLossError(f"{path} and {paths[kind].name} are both of shard {number}")
        paths[kind] = path
    return shards


def _require_files(shard: ShardFiles, kinds: Sequence[str]) -> None:
    for kind in kinds:
        path = shard.path(kind)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise DataLossError(f"{path} is missing, of the shard {shard.path('tokenized')}") from error
        if not stat.S_ISREG(mode):
            raise DataLossError(f"{path} is not a file")
