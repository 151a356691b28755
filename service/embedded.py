"""Stores in this process: the client's own methods over the server's own handlers, without sockets or serialisation."""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from google.protobuf.message import Message

from lodex.client import Client, IngestResult, StoreView
from lodex.config import Limits
from lodex.errors import InvalidArgumentError, LodexError
from lodex.index.history import version_of_tag
from lodex.index.infini_gram import InfiniGramEngine
from lodex.index.infini_gram_folder import is_infini_gram_folder
from lodex.index.store import VERIFY_LIGHT, Store
from lodex.index.writer import AddResult
from lodex.service.application import Application
from lodex.service.call import Call
from lodex.service.catalog import Catalog
from lodex.service.indexing import build_with, index_builders
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.rerankers import Rerankers
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
        with _defects_as_errors():
            return run_inline(self._application.rpcs[service, method](request, call))

    def stream(
        self, service: str, method: str, request: Message | Iterator[Message], timeout_s: float | None
    ) -> Generator[Message, None, None]:
        """Answer a request with messages, each made when it is asked for. Closing the iterator ends the work."""
        call = Call(None if timeout_s is None else time.monotonic() + timeout_s)
        rpc = self._application.rpcs[service, method]
        with _defects_as_errors():
            if isinstance(request, Message):
                yield from iterate_inline(rpc.stream(request, call))
            else:
                yield from iterate_inline(rpc.converse(InlineRequests(request), call))

    def close(self) -> None:
        """End the jobs of this process."""
        self._application.close()


class InlineRequests:
    """The messages of a caller in this thread: each is there when it is asked for."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages

    async def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message, None at the end."""
        return next(self._messages, None)

    def forgive_silence(self) -> None:
        """A caller in this thread is never silent."""


@contextmanager
def _defects_as_errors() -> Iterator[None]:
    try:
        yield
    except LodexError:
        raise
    except Exception as error:
        raise as_lodex_error(error) from error


def run_inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits, as handlers under a plain `Call` do not; no event loop is needed."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise AssertionError("a handler awaited something else than its call; this is a bug")


def iterate_inline(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """The items of an asynchronous generator that never waits, each made when it is asked for."""
    following: Any = items
    try:
        while True:
            try:
                item: T = run_inline(following.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        run_inline(following.aclose())


class OpenStore(StoreView):
    """A store opened in this process, with the methods that `client[name]` has, and those that write.

    `store` is the datastore itself; `client` a `Client` of this process that has this one store, under `name`. Threads
    may share it. Reads follow what is published, by this process or another.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        models: Models,
        language_models: LanguageModels | None = None,
        rerankers: Rerankers | None = None,
    ) -> None:
        application = Application(Catalog({name: store}, default=name), models, Limits(), language_models, rerankers)
        super().__init__(Client(transport=EmbeddedTransport(application), timeout_s=math.inf), name)
        self.store = store
        self.embed = self.client.embed
        self.embed_stream = self.client.embed_stream
        self._models = models
        self._language_models = application.language_models

    def add(self, documents: Iterable[Document], *, replace: bool = False) -> AddResult:
        """Add documents as one version, all of them or none, then bring the indexes of the store up to date.

        Raises as `Store.add` does: DuplicateDocumentError for a doc_id that is there, unless it is to be replaced. What
        the indexes need is looked for first: FailedPreconditionError for a model that is not here adds nothing.
        """
        builders = index_builders(self.store, self._models, self._language_models)
        result = self.store.add(documents, replace=replace)
        build_with(self.store, builders)
        return result

    def upsert(self, documents: Iterable[Document]) -> AddResult:  # type: ignore[override]  # one version, as `add`
        """Add documents in the place of those with their doc_ids, if any; otherwise as `add`."""
        return self.add(documents, replace=True)

    def ingest(self, documents: Iterable[Document], **options: Any) -> IngestResult:
        """Add documents as they come, in as many versions as it takes, then bring the indexes up to date.

        Bad documents are left out and told; see `Client.ingest`.
        """
        builders = index_builders(self.store, self._models, self._language_models)
        result = super().ingest(documents, **options)
        build_with(self.store, builders)
        return result

    def close(self) -> None:
        """Let go of the client. Files close when nothing refers to them any more."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@overload
def open_store(
    path: str | Path,
    name: str = "",
    *,
    create: bool = False,
    version: int | None = None,
    tag: str | None = None,
    verify: str = VERIFY_LIGHT,
    models: Mapping[str, Path] | None = None,
    language_models: Mapping[str, Path] | None = None,
    rerankers: Mapping[str, Path] | None = None,
) -> OpenStore: ...


@overload
def open_store(path: str | Path | list[str] | list[Path], *, eos_token_id: int | None) -> InfiniGramEngine: ...


@overload
def open_store(path: list[str] | list[Path]) -> InfiniGramEngine: ...


def open_store(
    path: str | Path | list[str] | list[Path],
    name: str = "",
    *,
    create: bool = False,
    version: int | None = None,
    tag: str | None = None,
    verify: str = VERIFY_LIGHT,
    models: Mapping[str, Path] | None = None,
    language_models: Mapping[str, Path] | None = None,
    rerankers: Mapping[str, Path] | None = None,
    eos_token_id: int | None = None,
) -> OpenStore | InfiniGramEngine:
    """Open the store at `path` in this process; with `create`, make it where there is none. `verify` as `Store.open`.

    With a `version`, or the `tag` of one, it is only read, and is as it was then.

    `name` is what it is called in answers: by default the name of its folder, in lower case and hyphens. `models` are
    folders of embedders by name, for dense indexes that were built with others than the packaged ones;
    `language_models` and `rerankers` are folders of further ones by name.

    A folder that infini-gram published, or a list of such, gives an `InfiniGramEngine`, whose methods take token ids.
    `eos_token_id` is what the end of a document is called there, by default the separator's id. Its files name neither
    that nor their tokenizer, so the other arguments have no meaning there.
    """
    if not create and (not isinstance(path, str | Path) or is_infini_gram_folder(Path(path))):
        of_stores = (version, tag, models, language_models, rerankers)
        if name or verify != VERIFY_LIGHT or any(option is not None for option in of_stores):
            raise InvalidArgumentError(f"{path} is a folder of infini-gram and no store; open it by itself", "path")
        return InfiniGramEngine(path, eos_token_id)
    if eos_token_id is not None or not isinstance(path, str | Path):
        raise InvalidArgumentError(f"{path} is no folder of infini-gram, whose EOS could be given", "eos_token_id")
    if (create, version, tag).count(None) + (not create) < 2:
        raise InvalidArgumentError(
            "a store is opened with create, at a version or by a tag: one of the three", "version"
        )
    if tag is not None:
        version = version_of_tag(Path(path), tag)
    store = Store.open_or_create(path, verify) if create else Store.open(path, version, verify)
    called = name or _name_of(Path(path))
    return OpenStore(store, called, Models(models), LanguageModels(language_models), Rerankers(rerankers))


def _name_of(path: Path) -> str:
    """A name made from a folder's: `My_Docs 2` is my-docs-2; "store" where nothing is left."""
    name = re.sub(r"[^a-z0-9]+", "-", path.resolve().name.lower()).lstrip("-0123456789")[:63].rstrip("-")
    return name or "store"


def client_without_store(
    language_models: Mapping[str, Path] | None = None, rerankers: Mapping[str, Path] | None = None
) -> Client:
    """A client of this process that has models and no store; both arguments are folders of further ones by name."""
    application = Application(
        Catalog({}), Models(), Limits(), LanguageModels(language_models), rerankers=Rerankers(rerankers)
    )
    return Client(transport=EmbeddedTransport(application), timeout_s=math.inf)
