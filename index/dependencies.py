"""Which index stands on which: token streams and chunkings below, what is built over them above."""

from __future__ import annotations

from collections.abc import Mapping

from lodex.index.manifest import IndexEntry

_NAMED_BY: Mapping[str, str] = {"suffix": "stream", "knn": "stream", "dense": "chunking"}


def dependencies(entry: IndexEntry) -> tuple[str, ...]:
    """The names of the indexes that an index is built over, in the order in which their parts are its inputs."""
    key = _NAMED_BY.get(entry.kind)
    return (str(entry.config[key]),) if key else ()


def dependents(indexes: Mapping[str, IndexEntry], name: str) -> tuple[str, ...]:
    """The names of the indexes that are built over an index, sorted."""
    return tuple(sorted(other for other, entry in indexes.items() if name in dependencies(entry)))


def dependencies_first(indexes: Mapping[str, IndexEntry]) -> list[str]:
    """The names of all indexes in an order in which each comes after what it is built over."""
    return sorted(indexes, key=lambda name: (bool(dependencies(indexes[name])), name))
