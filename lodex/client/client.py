"""The two clients: the same methods, made from the same plans, over a transport that blocks or one that awaits."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from contextlib import aclosing, closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from lodex.client import description, documents, embedding, language_model, ngram, ngram_texts, retrieval, writing
from lodex.client import rerank as reranking
from lodex.client.async_ingest import AwaitingIngest
from lodex.client.embed_stream import BATCH_TEXTS, AwaitingEmbedStream, BlockingEmbedStream
from lodex.client.embedding import EmbedOptions
from lodex.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from lodex.client.ingest import BlockingIngest
from lodex.client.ingest_state import BATCH_DOCUMENTS, IngestOptions
from lodex.client.operation import AsyncOperation, Operation, Started
from lodex.client.plan import Plan, StreamPlan
from lodex.client.results import EmbeddedBatch, IngestResult
from lodex.client.transport import AsyncTransport, Transport
from lodex.types import Document, TextKind

if TYPE_CHECKING:
    import grpc

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Callable[..., Any])


def _blocking(plan: Callable[P, Plan[R]]) -> Callable[Concatenate[Client, P], R]:
    """The method of `Client` that carries out a plan."""

    @functools.wraps(plan)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(plan(*args, **kwargs))

    return _with_self(method, plan)


def _awaiting(plan: Callable[P, Plan[R]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[R]]:
    """The method of `AsyncClient` that carries out a plan."""

    @functools.wraps(plan)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.run(plan(*args, **kwargs))

    return _with_self(method, plan)


def _of_store(plan: Callable[Concatenate[str, P], Plan[R]]) -> Callable[Concatenate[StoreView, P], R]:
    """The method of `StoreView` that carries out a plan on its store."""

    @functools.wraps(plan)
    def method(self: StoreView, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.client.run(plan(self.name, *args, **kwargs))

    return method


def _awaiting_of_store(
    plan: Callable[Concatenate[str, P], Plan[R]],
) -> Callable[Concatenate[AsyncStoreView, P], Awaitable[R]]:
    """The method of `AsyncStoreView` that carries out a plan on its store."""

    @functools.wraps(plan)
    async def method(self: AsyncStoreView, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.client.run(plan(self.name, *args, **kwargs))

    return method


def _streaming(plan: Callable[P, StreamPlan[R]]) -> Callable[Concatenate[Client, P], Generator[R, None, None]]:
    """The method of `Client` that carries out a plan of a stream."""

    @functools.wraps(plan)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Generator[R, None, None]:
        return self.stream(plan(*args, **kwargs))

    return _with_self(method, plan)


def _streaming_async(
    plan: Callable[P, StreamPlan[R]],
) -> Callable[Concatenate[AsyncClient, P], AsyncGenerator[R, None]]:
    """The method of `AsyncClient` that carries out a plan of a stream."""

    @functools.wraps(plan)
    def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, None]:
        return self.stream(plan(*args, **kwargs))

    return _with_self(method, plan)


def _streaming_of_store(
    plan: Callable[Concatenate[str, P], StreamPlan[R]],
) -> Callable[Concatenate[StoreView, P], Generator[R, None, None]]:
    """The method of `StoreView` that carries out a plan of a stream on its store."""

    @functools.wraps(plan)
    def method(self: StoreView, /, *args: P.args, **kwargs: P.kwargs) -> Generator[R, None, None]:
        return self.client.stream(plan(self.name, *args, **kwargs))

    return method


def _streaming_async_of_store(
    plan: Callable[Concatenate[str, P], StreamPlan[R]],
) -> Callable[Concatenate[AsyncStoreView, P], AsyncGenerator[R, None]]:
    """The method of `AsyncStoreView` that carries out a plan of a stream on its store."""

    @functools.wraps(plan)
    def method(self: AsyncStoreView, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, None]:
        return self.client.stream(plan(self.name, *args, **kwargs))

    return method


def _starting(plan: Callable[P, Plan[Started[R]]]) -> Callable[Concatenate[Client, P], Operation[R]]:
    """The method of `Client` that starts a job."""

    @functools.wraps(plan)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]:
        return Operation(self, self.run(plan(*args, **kwargs)))

    return _with_self(method, plan)


def _starting_async(
    plan: Callable[P, Plan[Started[R]]],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[AsyncOperation[R]]]:
    """The method of `AsyncClient` that starts a job."""

    @functools.wraps(plan)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncOperation[R]:
        return AsyncOperation(self, await self.run(plan(*args, **kwargs)))

    return _with_self(method, plan)


def _starting_of_store(
    plan: Callable[Concatenate[str, P], Plan[Started[R]]],
) -> Callable[Concatenate[StoreView, P], Operation[R]]:
    """The method of `StoreView` that starts a job on its store."""

    @functools.wraps(plan)
    def method(self: StoreView, /, *args: P.args, **kwargs: P.kwargs) -> Operation[R]:
        return Operation(self.client, self.client.run(plan(self.name, *args, **kwargs)))

    return method


def _starting_async_of_store(
    plan: Callable[Concatenate[str, P], Plan[Started[R]]],
) -> Callable[Concatenate[AsyncStoreView, P], Awaitable[AsyncOperation[R]]]:
    """The method of `AsyncStoreView` that starts a job on its store."""

    @functools.wraps(plan)
    async def method(self: AsyncStoreView, /, *args: P.args, **kwargs: P.kwargs) -> AsyncOperation[R]:
        return AsyncOperation(self.client, await self.client.run(plan(self.name, *args, **kwargs)))

    return method


def _with_self(method: M, plan: Callable[..., Any]) -> M:
    """Give a method the signature of its plan behind `self`, for help() and completion."""
    signature = inspect.signature(plan)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    whole = signature.replace(parameters=[itself, *signature.parameters.values()])
    method.__signature__ = whole  # type: ignore[attr-defined]  # read by inspect
    return method


class Client:
    """Talks to a Lodex server and blocks until it answers.

    `address` is `host:port` or `unix:path`; `tls` True trusts the system's roots, credentials of gRPC say more. Each
    call has `timeout_s` unless it brings its own. `client["docs"]` has the methods of one store. Threads may share it.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        api_key: str | None = None,
        tls: bool | grpc.ChannelCredentials = False,
        timeout_s: float = 30.0,
        transport: Transport | None = None,
    ) -> None:
        if (address is None) == (transport is None):
            raise TypeError("a client takes either an address or a transport")
        self.timeout_s = timeout_s
        self.transport = transport or GrpcTransport(str(address), api_key=api_key, tls=tls)

    def run(self, plan: Plan[R]) -> R:
        """Carry out a plan, call by call."""
        try:
            call = next(plan)
            while True:
                timeout_s = self.timeout_s if call.timeout_s is None else call.timeout_s
                call = plan.send(self.transport.unary(call.service, call.method, call.request, timeout_s))
        except StopIteration as end:
            result: R = end.value
            return result

    def stream(self, plan: StreamPlan[R]) -> Generator[R, None, None]:
        """Carry out a plan of a stream; what comes is yielded as it comes. Closing the generator cancels the call."""
        call = plan.call
        timeout_s = self.timeout_s if call.timeout_s is None else call.timeout_s
        with closing(self.transport.stream(call.service, call.method, call.request, timeout_s)) as messages:
            for message in messages:
                yield plan.read(message)

    def __getitem__(self, store: str) -> StoreView:
        """The methods of one store, without its name."""
        return StoreView(self, store)

    def close(self) -> None:
        """Let go of the connection. Calls after it fail."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def ingest(
        self,
        store: str,
        documents: Iterable[Document],
        *,
        request_id: str | None = None,
        replace: bool = False,
        stop_on_error: bool = False,
        batch: int = BATCH_DOCUMENTS,
        timeout_s: float | None = None,
    ) -> IngestResult:
        """Add documents, read as they are sent; bad ones are left out and told, unless `stop_on_error`.

        A stream that breaks is resumed with what the server has not made durable. So is an ingest of a process that
        died, by the same `request_id`, documents and `batch`, the most documents that are sent together. With `replace`
        documents take the place of those with their doc_ids. Without `timeout_s` it takes as long as it takes.
        """
        options = IngestOptions.make(store, request_id, replace, stop_on_error, batch)
        return BlockingIngest(options, documents).run(self.transport, timeout_s)

    def upsert(self, store: str, documents: Iterable[Document], **options: Any) -> IngestResult:
        """Add documents in the place of those with their doc_ids, if any; otherwise as `ingest`."""
        return self.ingest(store, documents, replace=True, **options)

    def embed_stream(
        self,
        texts: Iterable[str],
        kind: TextKind | Literal["query", "passage"],
        *,
        batch: int = BATCH_TEXTS,
        timeout_s: float | None = None,
        **options: Any,
    ) -> Generator[EmbeddedBatch, None, None]:
        """Vectors of texts of any number, which are read as they are sent, at most `batch` of them together.

        Batches come in the order of the texts; a text that fails fails alone. `options` are those of `embed`. What
        others ask for goes first. Without `timeout_s` it takes as long as it takes; closing the generator ends it.
        """
        stream = BlockingEmbedStream(EmbedOptions.make(kind, **options), texts, batch)
        return stream.run(self.transport, timeout_s)

    info = _blocking(description.info)
    stores = _blocking(description.stores)
    store = _blocking(description.store)
    indexes = _blocking(description.indexes)
    documents = _blocking(documents.documents)
    search = _blocking(retrieval.search)
    get = _blocking(retrieval.get)
    passages = _blocking(retrieval.passages)
    embed = _blocking(embedding.embed)
    tokenize = _blocking(embedding.tokenize)
    detokenize = _blocking(embedding.detokenize)
    count = _blocking(ngram.count)
    prob = _blocking(ngram.prob)
    ntd = _blocking(ngram.ntd)
    infgram_prob = _blocking(ngram.infgram_prob)
    infgram_ntd = _blocking(ngram.infgram_ntd)
    search_docs = _blocking(ngram.search_docs)
    infgram_score = _blocking(ngram_texts.infgram_score)
    longest_matches = _blocking(ngram_texts.longest_matches)
    trace = _blocking(ngram_texts.trace)
    find = _blocking(ngram_texts.find)
    locate = _blocking(ngram_texts.locate)
    score = _blocking(language_model.score)
    generate = _streaming(language_model.generate)
    ask = _streaming(language_model.ask)
    rerank = _blocking(reranking.rerank)
    rerank_stream = _streaming(reranking.rerank_stream)
    delete = _blocking(writing.delete)
    create_store = _blocking(writing.create_store)
    drop_store = _blocking(writing.drop_store)
    versions = _blocking(writing.versions)
    tag = _blocking(writing.tag)
    set_alias = _blocking(writing.set_alias)
    drop_index = _blocking(writing.drop_index)
    build_index = _starting(writing.build_index)
    compact = _starting(writing.compact)
    purge = _starting(writing.purge)
    gc = _starting(writing.gc)
    verify = _starting(writing.verify)
    import_files = _starting(writing.import_files)


class StoreView:
    """The methods of a client that read or write a store, for one store."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    def ingest(self, documents: Iterable[Document], **options: Any) -> IngestResult:
        """Add documents; see `Client.ingest`."""
        return self.client.ingest(self.name, documents, **options)

    def upsert(self, documents: Iterable[Document], **options: Any) -> IngestResult:
        """Add documents in the place of those with their doc_ids, if any; see `Client.ingest`."""
        return self.client.upsert(self.name, documents, **options)

    info = _of_store(description.store)
    indexes = _of_store(description.indexes)
    documents = _of_store(documents.documents)
    search = _of_store(retrieval.search)
    get = _of_store(retrieval.get)
    passages = _of_store(retrieval.passages)
    tokenize = _of_store(embedding.tokenize)
    detokenize = _of_store(embedding.detokenize)
    count = _of_store(ngram.count)
    prob = _of_store(ngram.prob)
    ntd = _of_store(ngram.ntd)
    infgram_prob = _of_store(ngram.infgram_prob)
    infgram_ntd = _of_store(ngram.infgram_ntd)
    search_docs = _of_store(ngram.search_docs)
    infgram_score = _of_store(ngram_texts.infgram_score)
    longest_matches = _of_store(ngram_texts.longest_matches)
    trace = _of_store(ngram_texts.trace)
    find = _of_store(ngram_texts.find)
    locate = _of_store(ngram_texts.locate)
    score = _of_store(language_model.score_beside)
    generate = _streaming_of_store(language_model.generate_beside)
    ask = _streaming_of_store(language_model.ask)
    rerank = _of_store(reranking.rerank_of_store)
    rerank_stream = _streaming_of_store(reranking.rerank_stream_of_store)
    delete = _of_store(writing.delete)
    drop = _of_store(writing.drop_store)
    versions = _of_store(writing.versions)
    tag = _of_store(writing.tag)
    set_alias = _of_store(writing.set_alias)
    drop_index = _of_store(writing.drop_index)
    build_index = _starting_of_store(writing.build_index)
    compact = _starting_of_store(writing.compact)
    purge = _starting_of_store(writing.purge)
    gc = _starting_of_store(writing.gc)
    verify = _starting_of_store(writing.verify)
    import_files = _starting_of_store(writing.import_files)


class AsyncClient:
    """Talks to a Lodex server and awaits its answers; otherwise as `Client`. It belongs to one event loop."""

    def __init__(
        self,
        address: str | None = None,
        *,
        api_key: str | None = None,
        tls: bool | grpc.ChannelCredentials = False,
        timeout_s: float = 30.0,
        transport: AsyncTransport | None = None,
    ) -> None:
        if (address is None) == (transport is None):
            raise TypeError("a client takes either an address or a transport")
        self.timeout_s = timeout_s
        self.transport = transport or AsyncGrpcTransport(str(address), api_key=api_key, tls=tls)

    async def run(self, plan: Plan[R]) -> R:
        """Carry out a plan, call by call."""
        try:
            call = next(plan)
            while True:
                timeout_s = self.timeout_s if call.timeout_s is None else call.timeout_s
                call = plan.send(await self.transport.unary(call.service, call.method, call.request, timeout_s))
        except StopIteration as end:
            result: R = end.value
            return result

    async def stream(self, plan: StreamPlan[R]) -> AsyncGenerator[R, None]:
        """Carry out a plan of a stream; what comes is yielded as it comes. Closing the generator cancels the call."""
        call = plan.call
        timeout_s = self.timeout_s if call.timeout_s is None else call.timeout_s
        async with aclosing(self.transport.stream(call.service, call.method, call.request, timeout_s)) as messages:
            async for message in messages:
                yield plan.read(message)

    def __getitem__(self, store: str) -> AsyncStoreView:
        """The methods of one store, without its name."""
        return AsyncStoreView(self, store)

    async def close(self) -> None:
        """Let go of the connection. Calls after it fail."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def ingest(
        self,
        store: str,
        documents: Iterable[Document] | AsyncIterable[Document],
        *,
        request_id: str | None = None,
        replace: bool = False,
        stop_on_error: bool = False,
        batch: int = BATCH_DOCUMENTS,
        timeout_s: float | None = None,
    ) -> IngestResult:
        """Add documents, read as they are sent; bad ones are left out and told, unless `stop_on_error`.

        A stream that breaks is resumed with what the server has not made durable. So is an ingest of a process that
        died, by the same `request_id`, documents and `batch`, the most documents that are sent together. With `replace`
        documents take the place of those with their doc_ids. Without `timeout_s` it takes as long as it takes.
        """
        options = IngestOptions.make(store, request_id, replace, stop_on_error, batch)
        return await AwaitingIngest(options, documents).run(self.transport, timeout_s)

    async def upsert(
        self, store: str, documents: Iterable[Document] | AsyncIterable[Document], **options: Any
    ) -> IngestResult:
        """Add documents in the place of those with their doc_ids, if any; otherwise as `ingest`."""
        return await self.ingest(store, documents, replace=True, **options)

    def embed_stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        kind: TextKind | Literal["query", "passage"],
        *,
        batch: int = BATCH_TEXTS,
        timeout_s: float | None = None,
        **options: Any,
    ) -> AsyncGenerator[EmbeddedBatch, None]:
        """Vectors of texts of any number, which are read as they are sent, at most `batch` of them together.

        Batches come in the order of the texts; a text that fails fails alone. `options` are those of `embed`. What
        others ask for goes first. Without `timeout_s` it takes as long as it takes; closing the generator ends it.
        """
        stream = AwaitingEmbedStream(EmbedOptions.make(kind, **options), texts, batch)
        return stream.run(self.transport, timeout_s)

    info = _awaiting(description.info)
    stores = _awaiting(description.stores)
    store = _awaiting(description.store)
    indexes = _awaiting(description.indexes)
    documents = _awaiting(documents.documents)
    search = _awaiting(retrieval.search)
    get = _awaiting(retrieval.get)
    passages = _awaiting(retrieval.passages)
    embed = _awaiting(embedding.embed)
    tokenize = _awaiting(embedding.tokenize)
    detokenize = _awaiting(embedding.detokenize)
    count = _awaiting(ngram.count)
    prob = _awaiting(ngram.prob)
    ntd = _awaiting(ngram.ntd)
    infgram_prob = _awaiting(ngram.infgram_prob)
    infgram_ntd = _awaiting(ngram.infgram_ntd)
    search_docs = _awaiting(ngram.search_docs)
    infgram_score = _awaiting(ngram_texts.infgram_score)
    longest_matches = _awaiting(ngram_texts.longest_matches)
    trace = _awaiting(ngram_texts.trace)
    find = _awaiting(ngram_texts.find)
    locate = _awaiting(ngram_texts.locate)
    score = _awaiting(language_model.score)
    generate = _streaming_async(language_model.generate)
    ask = _streaming_async(language_model.ask)
    rerank = _awaiting(reranking.rerank)
    rerank_stream = _streaming_async(reranking.rerank_stream)
    delete = _awaiting(writing.delete)
    create_store = _awaiting(writing.create_store)
    drop_store = _awaiting(writing.drop_store)
    versions = _awaiting(writing.versions)
    tag = _awaiting(writing.tag)
    set_alias = _awaiting(writing.set_alias)
    drop_index = _awaiting(writing.drop_index)
    build_index = _starting_async(writing.build_index)
    compact = _starting_async(writing.compact)
    purge = _starting_async(writing.purge)
    gc = _starting_async(writing.gc)
    verify = _starting_async(writing.verify)
    import_files = _starting_async(writing.import_files)


class AsyncStoreView:
    """The methods of an asynchronous client that read or write a store, for one store."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self.client = client
        self.name = name

    async def ingest(self, documents: Iterable[Document] | AsyncIterable[Document], **options: Any) -> IngestResult:
        """Add documents; see `Client.ingest`."""
        return await self.client.ingest(self.name, documents, **options)

    async def upsert(self, documents: Iterable[Document] | AsyncIterable[Document], **options: Any) -> IngestResult:
        """Add documents in the place of those with their doc_ids, if any; see `Client.ingest`."""
        return await self.client.upsert(self.name, documents, **options)

    info = _awaiting_of_store(description.store)
    indexes = _awaiting_of_store(description.indexes)
    documents = _awaiting_of_store(documents.documents)
    search = _awaiting_of_store(retrieval.search)
    get = _awaiting_of_store(retrieval.get)
    passages = _awaiting_of_store(retrieval.passages)
    tokenize = _awaiting_of_store(embedding.tokenize)
    detokenize = _awaiting_of_store(embedding.detokenize)
    count = _awaiting_of_store(ngram.count)
    prob = _awaiting_of_store(ngram.prob)
    ntd = _awaiting_of_store(ngram.ntd)
    infgram_prob = _awaiting_of_store(ngram.infgram_prob)
    infgram_ntd = _awaiting_of_store(ngram.infgram_ntd)
    search_docs = _awaiting_of_store(ngram.search_docs)
    infgram_score = _awaiting_of_store(ngram_texts.infgram_score)
    longest_matches = _awaiting_of_store(ngram_texts.longest_matches)
    trace = _awaiting_of_store(ngram_texts.trace)
    find = _awaiting_of_store(ngram_texts.find)
    locate = _awaiting_of_store(ngram_texts.locate)
    score = _awaiting_of_store(language_model.score_beside)
    generate = _streaming_async_of_store(language_model.generate_beside)
    ask = _streaming_async_of_store(language_model.ask)
    rerank = _awaiting_of_store(reranking.rerank_of_store)
    rerank_stream = _streaming_async_of_store(reranking.rerank_stream_of_store)
    delete = _awaiting_of_store(writing.delete)
    drop = _awaiting_of_store(writing.drop_store)
    versions = _awaiting_of_store(writing.versions)
    tag = _awaiting_of_store(writing.tag)
    set_alias = _awaiting_of_store(writing.set_alias)
    drop_index = _awaiting_of_store(writing.drop_index)
    build_index = _starting_async_of_store(writing.build_index)
    compact = _starting_async_of_store(writing.compact)
    purge = _starting_async_of_store(writing.purge)
    gc = _starting_async_of_store(writing.gc)
    verify = _starting_async_of_store(writing.verify)
    import_files = _starting_async_of_store(writing.import_files)
