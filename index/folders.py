"""The folders that a version is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lodex.index.jobs import artefact_path
from lodex.index.manifest import Manifest


def folders_of(root: Path, manifest: Manifest) -> Iterator[Path]:
    """The folder of each segment and artefact of a version."""
    for segment in manifest.segments:
        yield root / "segments" / segment.id
    for kind, task, _ in manifest.artefacts():
        yield artefact_path(root, kind, task)
