"""The history of a store: its versions, newest first, and tags, which are names of versions that are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lodex.errors import AlreadyExistsError, DataLossError, InvalidArgumentError, NotFoundError
from lodex.index.commit_lock import commit_lock
from lodex.index.files import checksum_bytes, make_directory, publish_new_file, storage_errors, sync_directory
from lodex.index.manifest import is_removed, newest_version, read_manifest
from lodex.index.manifest import versions as version_numbers
from lodex.index.receipt import canonical_json

FORMAT_VERSION = 1
DAMAGED = "damaged"
"""The change of a version whose manifest does not verify."""
_TAGS = "tags"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version: the one before it, when it was made and by what change, its size, and the tags that name it.

    `time_ns` is since the epoch, 0 where it is not recorded. `deleted_documents` are those whose bytes are still there.
    """

    version: int
    parent: int
    time_ns: int
    change: str
    documents: int
    text_bytes: int
    segments: int
    deleted_documents: int
    tags: tuple[str, ...] = ()


def versions(root: Path, before: int | None = None) -> Iterator[VersionInfo]:
    """The versions that are kept, newest first, those below `before` if given. Each is read when it is asked for.

    One that does not verify is listed as `damaged`, with nothing known of it but its number and its tags.
    """
    tagged: dict[int, list[str]] = {}
    for name, version in tags(root).items():
        tagged.setdefault(version, []).append(name)
    for number in reversed(version_numbers(root)):
        if before is not None and number >= before:
            continue
        try:
            manifest = read_manifest(root, number)
        except NotFoundError:
            continue
        except DataLossError:
            yield VersionInfo(number, 0, 0, DAMAGED, 0, 0, 0, 0, tuple(tagged.get(number, ())))
            continue
        yield VersionInfo(
            number,
            manifest.parent,
            manifest.time_ns,
            manifest.change,
            manifest.live_documents,
            manifest.live_text_bytes,
            len(manifest.segments),
            manifest.deleted_documents,
            tuple(tagged.get(number, ())),
        )


def tag(root: Path, name: str, version: int | None = None) -> int:
    """Name a version, the newest unless given, and return it; what is tagged is kept by `collect_garbage`.

    InvalidArgumentError for a name that cannot be one, AlreadyExistsError where it is of another version, NotFoundError
    where there is no such version.
    """
    _require_name(name)
    wanted = newest_version(root) if version is None else version
    read_manifest(root, wanted)
    value = {
        "format": "lodex-tag",
        "format_version": FORMAT_VERSION,
        "minimum_reader": FORMAT_VERSION,
        "name": name,
        "version": wanted,
    }
    with storage_errors(root):
        make_directory(root / _TAGS)
    data = canonical_json(value | {"checksum": checksum_bytes(canonical_json(value))})
    with commit_lock(root):
        if is_removed(root, wanted):
            raise NotFoundError(f"version {wanted} of store {root} was removed meanwhile")
        if not publish_new_file(_path(root, name), data) and version_of_tag(root, name) != wanted:
            raise AlreadyExistsError(f"tag {name!r} is of version {version_of_tag(root, name)}; remove it first")
    return wanted


def untag(root: Path, name: str) -> None:
    """Remove a tag; the version stays until it is collected. NotFoundError."""
    _require_name(name)
    with storage_errors(root):
        try:
            _path(root, name).unlink()
        except FileNotFoundError as error:
            raise NotFoundError(_missing(root, name)) from error
        sync_directory(root / _TAGS)


def tags(root: Path) -> dict[str, int]:
    """Every tag with its version, by name."""
    try:
        names = sorted(path.stem for path in (root / _TAGS).iterdir() if _is_tag(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {name: version_of_tag(root, name) for name in names}


def version_of_tag(root: Path, name: str) -> int:
    """The version that a tag names. NotFoundError, DataLossError where the tag does not verify."""
    _require_name(name)
    path = _path(root, name)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(_missing(root, name)) from error
    try:
        value = json.loads(data)
        checksum = value.pop("checksum")
        if value["format"] != "lodex-tag" or value["name"] != name:
            raise DataLossError(f"{path} is not the tag {name!r}")
        if value["minimum_reader"] > FORMAT_VERSION:
            raise DataLossError(
                f"{path} needs a reader of format {value['minimum_reader']}, this Lodex reads {FORMAT_VERSION}"
            )
        if checksum_bytes(canonical_json(value)) != checksum:
            raise DataLossError(f"{path} does not match its own checksum; the store is damaged")
        return int(value["version"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataLossError(f"{path} cannot be read: {error}; the store is damaged") from error


def _path(root: Path, name: str) -> Path:
    return root / _TAGS / f"{name}.json"


def _is_tag(path: Path) -> bool:
    return path.suffix == ".json" and _NAME.fullmatch(path.stem) is not None


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"{name!r} is no name of a tag: a letter a to z, then up to 62 letters, digits and hyphens", "tag"
        )


def _missing(root: Path, name: str) -> str:
    have = ", ".join(sorted(path.stem for path in (root / _TAGS).glob("*.json") if _is_tag(path))) or "none"
    return f"no tag {name!r} in {root}; there are: {have}"
