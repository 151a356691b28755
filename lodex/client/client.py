"""The two clients: the same methods, made from the same plans, over a transport that blocks or one that awaits."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from lodex.client import description, embedding, language_model, ngram, retrieval
from lodex.client import rerank as reranking
from lodex.client.grpc_transport import AsyncGrpcTransport, GrpcTransport
from lodex.client.plan import Plan, StreamPlan
from lodex.client.transport import AsyncTransport, Transport

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

    info = _blocking(description.info)
    stores = _blocking(description.stores)
    store = _blocking(description.store)
    indexes = _blocking(description.indexes)
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
    score = _blocking(language_model.score)
    generate = _streaming(language_model.generate)
    ask = _streaming(language_model.ask)
    rerank = _blocking(reranking.rerank)
    rerank_stream = _streaming(reranking.rerank_stream)


class StoreView:
    """The methods of a client that read a store, for one store."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    info = _of_store(description.store)
    indexes = _of_store(description.indexes)
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
    score = _of_store(language_model.score_beside)
    generate = _streaming_of_store(language_model.generate_beside)
    ask = _streaming_of_store(language_model.ask)
    rerank = _of_store(reranking.rerank_of_store)
    rerank_stream = _streaming_of_store(reranking.rerank_stream_of_store)


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

    info = _awaiting(description.info)
    stores = _awaiting(description.stores)
    store = _awaiting(description.store)
    indexes = _awaiting(description.indexes)
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
    score = _awaiting(language_model.score)
    generate = _streaming_async(language_model.generate)
    ask = _streaming_async(language_model.ask)
    rerank = _awaiting(reranking.rerank)
    rerank_stream = _streaming_async(reranking.rerank_stream)


class AsyncStoreView:
    """The methods of an asynchronous client that read a store, for one store."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self.client = client
        self.name = name

    info = _awaiting_of_store(description.store)
    indexes = _awaiting_of_store(description.indexes)
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
    score = _awaiting_of_store(language_model.score_beside)
    generate = _streaming_async_of_store(language_model.generate_beside)
    ask = _streaming_async_of_store(language_model.ask)
    rerank = _awaiting_of_store(reranking.rerank_of_store)
    rerank_stream = _streaming_async_of_store(reranking.rerank_stream_of_store)
