"""The folder in which the table of an embedding job comes to be: its plan, its shards, and who holds it.

It stands beside the table, as `OUT.parts`, and is gone once the table is there. Whatever moment a job is killed at, the
folder says how far it was:

    lock              held (`flock`) by the process at work
    plan.json         how texts are cut into shards and embedded: written before anything else, obeyed ever after
    artefacts/embed/  a folder for each shard that is finished
    table.parquet     the whole table, once `done.json` is there
    done.json         nothing is left to do but to move the table to its place, and this folder away
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from lodex.errors import AlreadyExistsError, DataLossError, FailedPreconditionError
from lodex.index.files import replace_file, storage_errors, sync_directory
from lodex.index.receipt import canonical_json

_PLAN, _DONE, _TABLE, _LOCK = "plan.json", "done.json", "table.parquet", "lock"
_FORMAT: Mapping[str, Any] = {"format": "lodex-embedding-plan", "format_version": 1, "minimum_reader": 1}


class EmbeddingFolder:
    """The folder of one table, locked for the time of the block.

    FailedPreconditionError where another process is at work on the same table, and where the folder is somebody else's.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".parts")
        self.table = self.path / _TABLE

    def __enter__(self) -> EmbeddingFolder:
        self._lock = -1
        with storage_errors(self.path):
            while self._lock < 0:
                self.path.mkdir(exist_ok=True)
                self._require_ours()
                self._lock = self._locked()
        return self

    def _require_ours(self) -> None:
        """The folder is removed in the end, so it must be one that a job made: the lock is the first thing in it."""
        with suppress(FileNotFoundError):
            names = {path.name for path in self.path.iterdir()}
            if names and _LOCK not in names and not (self.path / _LOCK).exists():
                raise FailedPreconditionError(
                    f"{self.path} is there and is no folder of an embedding job: it holds {min(names)}; "
                    "move it away, or write another table"
                )

    def _locked(self) -> int:
        """A descriptor that holds the lock; -1 where the folder went before it was locked, with the job it was of."""
        try:
            descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            return -1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), (self.path / _LOCK).stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(descriptor)
            raise FailedPreconditionError(f"another process is writing {self.output}: it holds {self.path}") from None
        os.close(descriptor)
        return -1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Where nothing was begun, nothing is left.
        if self.path.exists() and {path.name for path in self.path.iterdir()} == {_LOCK}:
            self._remove_empty()
        os.close(self._lock)

    def plan(self) -> Mapping[str, Any] | None:
        """What an earlier call set out to do, None where there was none."""
        return self._read(_PLAN)

    def has_shards(self) -> bool:
        """Whether anything was finished of what the plan says."""
        return any(self.path.glob("artefacts/*/[0-9a-f]*"))

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write down what is to be done, before anything is."""
        replace_file(self.path / _PLAN, canonical_json({**_FORMAT, **plan}))

    def done(self) -> Mapping[str, Any] | None:
        """What `finish` was told by a call that was killed after it; `complete` does the rest."""
        return self._read(_DONE)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The table is whole: from here on the job is done, whatever happens."""
        replace_file(self.path / _DONE, canonical_json({**_FORMAT, **summary}))
        self.complete()

    def complete(self) -> None:
        """Move the table to its place, and this folder away."""
        with storage_errors(self.output):
            if self.table.exists():
                self.table.replace(self.output)
                sync_directory(self.output.parent)
            for path in sorted(self.path.iterdir(), key=lambda path: path.name == _DONE):
                if path.name == _LOCK:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            self._remove_empty()

    def require_free(self) -> None:
        """AlreadyExistsError where a table is there already."""
        if self.output.exists():
            raise AlreadyExistsError(f"{self.output} is there already: remove it, or replace it with --overwrite")

    def _remove_empty(self) -> None:
        (self.path / _LOCK).unlink()
        # Unless another process has just begun here.
        with suppress(OSError):
            self.path.rmdir()

    def _read(self, name: str) -> Mapping[str, Any] | None:
        path = self.path / name
        try:
            value = json.loads(path.read_bytes())
            if value["format"] != _FORMAT["format"] or value["minimum_reader"] > _FORMAT["format_version"]:
                raise DataLossError(f"{path} is no plan of this Lodex: its format is {value['format']!r}")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DataLossError(f"{path} cannot be read: {error}; remove {self.path} to begin again") from error
        return {key: item for key, item in value.items() if key not in _FORMAT}
