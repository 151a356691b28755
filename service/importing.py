"""Files that clients may have imported: those that stand within the configured folders, wherever links lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lodex.errors import InputError, InvalidArgumentError
from lodex.index.sources.fields import Fields
from lodex.index.sources.inputs import NAMED_SOURCES, STDIN_ARGUMENT, Inputs

_FIELDS = {"doc_id": "id", "text": "text", "title": "title", "source": "source", "url": "url", "date": "date"}


def allowed_inputs(inputs: Sequence[str], roots: Sequence[Path]) -> list[str]:
    """The inputs as absolute paths and globs; InvalidArgumentError names one that leaves the folders.

    Each file is looked at as it really stands, so that no link, no `..` and no glob leads out. What is refused is told
    apart neither by being there nor by being readable.
    """
    if not inputs:
        raise InvalidArgumentError("inputs is required", "inputs")
    if not roots:
        raise InvalidArgumentError("this server imports no files: its setting import_roots is empty", "inputs")
    real = [root.resolve() for root in roots]
    absolute = []
    for i, text in enumerate(inputs):
        if text == STDIN_ARGUMENT or text in NAMED_SOURCES:
            raise InvalidArgumentError(f"inputs[{i}] is {text!r}, expected a path", f"inputs[{i}]")
        path = Path(text) if Path(text).is_absolute() else real[0] / text
        if ".." in path.parts or not _is_within(_fixed(path), real):
            raise _outside(text, i)
        for item in Inputs([str(path)]):
            place = item.source if isinstance(item, InputError) else item.place
            if not _is_within(Path(place), real):
                raise _outside(text, i)
        absolute.append(str(path))
    return absolute


def read_fields(fields: Mapping[str, str]) -> Fields:
    """The names of fields in files, by those of Document; InvalidArgumentError for one that Document has not."""
    for name in fields:
        if name not in _FIELDS:
            raise InvalidArgumentError(f"fields has {name!r}, expected one of {', '.join(_FIELDS)}", "fields")
    named = {_FIELDS[name]: field for name, field in fields.items()}
    return Fields(**named)  # type: ignore[arg-type]  # metadata, the one that is no text, is not among them


def _fixed(path: Path) -> Path:
    """The part of a path before its first wildcard."""
    parts = []
    for part in path.parts:
        if any(mark in part for mark in "*?["):
            break
        parts.append(part)
    return Path(*parts)


def _is_within(path: Path, roots: Sequence[Path]) -> bool:
    real = path.resolve()
    return any(real.is_relative_to(root) for root in roots)


def _outside(text: str, i: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"inputs[{i}] is {text!r}, which is not within the import_roots of this server", f"inputs[{i}]"
    )
