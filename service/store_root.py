"""The folder under which clients may create and delete stores."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lodex.errors import AlreadyExistsError, FailedPreconditionError
from lodex.index.files import storage_errors, sync_directory
from lodex.index.manifest import Manifest, RequestEntry, newest_version, with_request
from lodex.index.store import Store
from lodex.service.catalog import NAME

_TEMPORARY = ".new-"
_DELETED = ".deleted-"


class StoreRoot:
    """Makes and removes whole stores: each appears under its name at once, and disappears at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stores(self) -> Iterator[tuple[str, Path]]:
        """Every store of the folder, by name. What an interrupted run left is removed."""
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for path in sorted(self.path.iterdir()):
                if path.name.startswith((_TEMPORARY, _DELETED)):
                    shutil.rmtree(path, ignore_errors=True)
                elif NAME.fullmatch(path.name) and newest_version(path):
                    yield path.name, path

    def create(self, name: str, request_id: str) -> Store:
        """Make an empty store. AlreadyExistsError where the name is taken, unless by this very request."""
        final = self.path / name
        if newest_version(final):
            store = Store.open(final)
            if not request_id or request_id not in store.snapshot().manifest.requests:
                raise AlreadyExistsError(f"there is a store {name!r} already")
            return store
        with storage_errors(final):
            self.path.mkdir(parents=True, exist_ok=True)
            temporary = self.path / f"{_TEMPORARY}{secrets.token_hex(8)}"
            try:
                made = Store.create(temporary)
                if request_id:
                    made.commit(lambda latest: _remember(latest, request_id), "create")
                try:
                    temporary.rename(final)
                except FileExistsError as error:
                    raise AlreadyExistsError(f"{name!r} is taken by something that is no store") from error
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            sync_directory(self.path)
        return Store.open(final)

    def require_own(self, store: Store, name: str) -> None:
        """FailedPreconditionError for a store that does not stand in this folder."""
        if os.path.realpath(store.path) != os.path.realpath(self.path / name):
            raise FailedPreconditionError(
                f"store {name!r} was given to the server by its operator, who alone can delete it"
            )

    def delete(self, name: str) -> None:
        """Remove a store: its name first, then its files."""
        gone = self.path / f"{_DELETED}{secrets.token_hex(8)}"
        with storage_errors(gone):
            (self.path / name).rename(gone)
            sync_directory(self.path)
        shutil.rmtree(gone, ignore_errors=True)


def _remember(latest: Manifest, request_id: str) -> Manifest:
    return replace(with_request(latest, request_id, RequestEntry("create", "", 0, latest.version + 1)))
