"""Stores in this process: the client's own methods over the server's own handlers, without sockets or serialisation."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from google.protobuf.message import Message

from lodex.client import Client, StoreView
from lodex.config import Limits
from lodex.errors import LodexError, UnimplementedError
from lodex.index.store import Store
from lodex.index.writer import AddResult
from lodex.service.application import Application
from lodex.service.call import Call
from lodex.service.catalog import Catalog
from lodex.service.indexing import build_with, index_builders
from lodex.service.models import Models
from lodex.service.status import as_lodex_error
from lodex.types import Document

T = TypeVar("T")


class EmbeddedTransport:
    """A client's transport to handlers in this process, which do their work in the thread that calls.

    Requests and replies are the messages of the contract, so limits, checks, errors and answers are those of a server.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def unary(self, service: str, method: str, request: Message, timeout_s: float) -> Message:
        """Answer a request. A defect is raised as InternalError from its cause."""
        call = Call(time.monotonic() + timeout_s)
        try:
            return run_inline(self._application.rpcs[service, method](request, call))
        except LodexError:
            raise
        except Exception as error:
            raise as_lodex_error(error) from error

    def stream(
        self, service: str, method: str, request: Message | Iterator[Message], timeout_s: float | None
    ) -> NoReturn:
        """UnimplementedError: no RPC that streams is built yet."""
        raise UnimplementedError(f"lodex.v1.{service}/{method} is promised by the protocol and not built yet")

    def close(self) -> None:
        """Nothing is held beyond the process's own memory."""


def run_inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits, as handlers under a plain `Call` do not; no event loop is needed."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise AssertionError("a handler awaited something else than its call; this is a bug")


class OpenStore(StoreView):
    """A store opened in this process, with the methods that `client[name]` has, and those that write.

    `store` is the datastore itself; `client` a `Client` of this process that has this one store, under `name`. Threads
    may share it. Reads follow what is published, by this process or another.
    """

    def __init__(self, store: Store, name: str, models: Models) -> None:
        application = Application(Catalog({name: store}, default=name), models, Limits())
        super().__init__(Client(transport=EmbeddedTransport(application), timeout_s=math.inf), name)
        self.store = store
        self.embed = self.client.embed
        self._models = models

    def add(self, documents: Iterable[Document], *, replace: bool = False) -> AddResult:
        """Add documents as one version, all of them or none, then bring the indexes of the store up to date.

        Raises as `Store.add` does: DuplicateDocumentError for a doc_id that is there, unless it is to be replaced. What
        the indexes need is looked for first: FailedPreconditionError for an embedder that is not here adds nothing.
        """
        builders = index_builders(self.store, self._models)
        result = self.store.add(documents, replace=replace)
        build_with(self.store, builders)
        return result

    def close(self) -> None:
        """Let go of the client. Files close when nothing refers to them any more."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_store(
    path: str | Path, name: str = "", *, create: bool = False, models: Mapping[str, Path] | None = None
) -> OpenStore:
    """Open the store at `path` in this process; with `create`, make it where there is none.

    `name` is what it is called in answers: by default the name of its folder, in lower case and hyphens. `models` are
    folders of embedders by name, for dense indexes that were built with others than the packaged ones.
    """
    store = Store.open_or_create(path) if create else Store.open(path)
    return OpenStore(store, name or _name_of(Path(path)), Models(models))


def _name_of(path: Path) -> str:
    """A name made from a folder's: `My_Docs 2` is my-docs-2; "store" where nothing is left."""
    name = re.sub(r"[^a-z0-9]+", "-", path.resolve().name.lower()).lstrip("-0123456789")[:63].rstrip("-")
    return name or "store"
