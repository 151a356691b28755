"""Which index stands on which: token streams and chunkings below, what is built over them above."""

from __future__ import annotations

from collections.abc import Mapping

from lodex.index.manifest import IndexEntry

# What stands on nothing comes first, and of the others what is built quickly.
_ORDER = ("passages", "tokens", "suffix", "dense", "knn")
_NAMED_BY: Mapping[str, str] = {"suffix": "stream", "knn": "stream", "dense": "chunking"}


def dependencies(entry: IndexEntry) -> tuple[str, ...]:
    """The names of the indexes that an index is built over, in the order in which their parts are its inputs."""
    key = _NAMED_BY.get(entry.kind)
    return (str(entry.config[key]),) if key else ()


def dependents(indexes: Mapping[str, IndexEntry], name: str) -> tuple[str, ...]:
    """The names of the indexes that are built over an index, sorted."""
    return tuple(sorted(other for other, entry in indexes.items() if name in dependencies(entry)))


def dependencies_first(indexes: Mapping[str, IndexEntry]) -> list[str]:
    """The names of all indexes in an order in which each comes after what it is built over; equal kinds by name."""
    return sorted(indexes, key=lambda name: (_rank(indexes[name].kind), name))


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
