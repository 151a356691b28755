"""The quarantine of a store: which folders a read found damaged. They answer DATA_LOSS until they are repaired.

    STORE/quarantine/<kind>-<id>.json    one damaged folder: the file, and how it differs from its receipt

A record is durable before the read that wrote it fails, so every process refuses the folder, now and after a restart.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lodex.errors import DataLossError, LodexError
from lodex.index.files import publish_new_file, sync_directory
from lodex.index.receipt import canonical_json

logger = logging.getLogger(__name__)

FOLDER = "quarantine"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Damage:
    """A folder that is damaged, by its kind ("segment" or that of an artefact) and id; `file` of it, how and when."""

    kind: str
    id: str
    file: str
    how: str
    time_ns: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.id} is quarantined: {self.file} {self.how}"


class Quarantine:
    """The damaged folders of the store at `root`, as files; what cannot be written is known to this process alone."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._path = str(self._folder)
        self._unwritten: dict[str, Damage] = {}

    def names(self) -> frozenset[str]:
        """What is quarantined, `kind-id` each. Costs a system call where nothing is."""
        try:
            # Every read asks this, so it is one system call and no Path.
            written = [name[:-5] for name in os.listdir(self._path) if name.endswith(".json")]  # noqa: PTH208
        except FileNotFoundError:
            written = []
        return frozenset((*written, *self._unwritten)) if written or self._unwritten else _NOTHING

    def find(self, kind: str, id: str) -> Damage | None:
        """The record of a folder, None where it is not quarantined. One that cannot be read still quarantines."""
        name = f"{kind}-{id}"
        path = self._folder / f"{name}.json"
        try:
            value = json.loads(path.read_bytes())
            return Damage(kind, id, value["file"], value["how"], value["time_ns"])
        except FileNotFoundError:
            return self._unwritten.get(name)
        except (OSError, ValueError, KeyError, TypeError):
            return Damage(kind, id, "a file", f"is damaged; {path} cannot be read")

    def require_sound(self, kind: str, id: str) -> None:
        """DataLossError for a folder that is quarantined."""
        damage = self.find(kind, id)
        if damage is not None:
            raise DataLossError(f"{damage}; run: lodex repair {self._folder.parent}")

    def add(self, kind: str, id: str, file: str, how: str) -> None:
        """Record damage; the first record of a folder stays."""
        damage = Damage(kind, id, file, how, time.time_ns())
        value = {"format": "lodex-quarantine", "format_version": FORMAT_VERSION, "minimum_reader": FORMAT_VERSION}
        logger.error("%s", damage)
        try:
            if not self._folder.exists():
                self._folder.mkdir(exist_ok=True)
                sync_directory(self._folder.parent)
            publish_new_file(self._folder / f"{kind}-{id}.json", canonical_json(value | asdict(damage)))
        except (OSError, LodexError) as error:
            # Damage on a disk that is full or read-only is still damage; what is raised is that.
            logger.warning("the quarantine of %s %s cannot be recorded: %s", kind, id, error)
            self._unwritten[f"{kind}-{id}"] = damage

    def lift(self, kind: str, id: str) -> None:
        """Forget the damage of a folder that is sound again, or gone."""
        self._unwritten.pop(f"{kind}-{id}", None)
        try:
            (self._folder / f"{kind}-{id}.json").unlink()
        except FileNotFoundError:
            return
        sync_directory(self._folder)

    def __iter__(self) -> Iterator[Damage]:
        for name in sorted(self.names()):
            kind, _, id = name.rpartition("-")
            damage = self.find(kind, id)
            if damage is not None:
                yield damage


_NOTHING: frozenset[str] = frozenset()
