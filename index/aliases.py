"""Names of indexes: aliases, which move from one index to another, and indexes that are dropped."""

from __future__ import annotations

import re
from dataclasses import replace

from lodex.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from lodex.index.dependencies import dependents
from lodex.index.manifest import Manifest
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def set_alias(store: Store, alias: str, index: str | None) -> Snapshot:
    """Let `alias` stand for an index, from the next version on, or with None for none any more.

    InvalidArgumentError for a name that cannot be an alias, AlreadyExistsError where it is the name of an index,
    NotFoundError for an index or alias that is not there. Queries that run see the version that they began with.
    """
    if not _NAME.fullmatch(alias):
        raise InvalidArgumentError(
            f"{alias!r} is no name of an alias: up to 63 letters, digits, dots, hyphens and underscores", "alias"
        )

    def change(latest: Manifest) -> Manifest:
        if alias in latest.indexes:
            raise AlreadyExistsError(f"{alias!r} is the name of an index, so it cannot be an alias")
        if index is None and alias not in latest.aliases:
            raise NotFoundError(f"no alias {alias!r}; there are: {', '.join(sorted(latest.aliases)) or 'none'}")
        if index is not None and index not in latest.indexes:
            raise NotFoundError(f"no index {index!r}; there are: {', '.join(sorted(latest.indexes)) or 'none'}")
        if latest.aliases.get(alias) == index:
            return latest
        others = {name: of for name, of in latest.aliases.items() if name != alias}
        return replace(latest, aliases=others if index is None else others | {alias: index})

    return store.commit(change, "alias")


def drop_index(store: Store, name: str) -> Snapshot:
    """Leave an index out of the next version; its files go when no version that is kept has them.

    FailedPreconditionError where an alias stands for it or another index is built over it, NotFoundError.
    """

    def change(latest: Manifest) -> Manifest:
        if name not in latest.indexes:
            of = f": it is an alias of {latest.aliases[name]!r}" if name in latest.aliases else ""
            raise NotFoundError(f"no index {name!r}{of}; there are: {', '.join(sorted(latest.indexes)) or 'none'}")
        aliases = sorted(alias for alias, index in latest.aliases.items() if index == name)
        if aliases:
            raise FailedPreconditionError(
                f"index {name!r} cannot be dropped: {', '.join(aliases)} stands for it; move or drop the alias first"
            )
        above = dependents(latest.indexes, name)
        if above:
            raise FailedPreconditionError(
                f"index {name!r} cannot be dropped: {', '.join(above)} is built over it; drop that first"
            )
        return replace(latest, indexes={other: entry for other, entry in latest.indexes.items() if other != name})

    return store.commit(change, "drop")
