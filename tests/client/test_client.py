"""The two clients as classes: one table of methods, one store at a time, any transport."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from lodex.client import AsyncClient, AsyncStoreView, Client, StoreView
from lodex.errors import NotFoundError
from lodex.types import GeneratedTokens, StreamEvent
from lodex.v1 import language_model_pb2, ngram_pb2

METHODS = {
    "info", "stores", "store", "indexes", "search", "get", "passages", "embed", "embed_stream", "tokenize",
    "detokenize", "count",
    "prob", "ntd", "infgram_prob", "infgram_ntd", "search_docs", "infgram_score", "longest_matches", "trace", "find",
    "locate", "score", "generate", "ask",
    "rerank", "rerank_stream", "documents", "ingest", "upsert", "delete", "create_store", "drop_store", "versions",
    "tag", "set_alias", "drop_index", "build_index", "compact", "purge", "gc", "verify", "import_files",
}  # fmt: skip
STREAMS = {"generate", "ask", "rerank_stream", "embed_stream"}
NO_METHODS = {"run", "stream", "close"}


class InProcess:
    """A transport without a network: answers counts by the length of the store's name."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, float]] = []
        self.closed = False

    def unary(self, service: str, method: str, request: Message, timeout_s: float) -> Message:
        """Count by the length of a name."""
        assert isinstance(request, ngram_pb2.CountRequest)
        self.calls.append((service, method, timeout_s))
        if request.target.store == "none":
            raise NotFoundError("no store 'none'")
        return ngram_pb2.CountResponse(results=[ngram_pb2.CountResult(count=len(request.target.store))])

    def stream(self, service: str, method: str, request: Any, timeout_s: float | None) -> Iterator[Message]:
        """Continue with the name of the method, without an end."""
        self.calls.append((service, method, timeout_s or 0))
        try:
            while True:
                yield language_model_pb2.GenerateResponse(item=1, tokens={"text": method})
        finally:
            self.closed = True

    def close(self) -> None:
        """Remember it."""
        self.closed = True


def public(cls: type) -> dict[str, Callable[..., Any]]:
    return {name: member for name, member in vars(cls).items() if callable(member) and not name.startswith("_")}


def arguments(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """The parameters of a method but for their types: those who await may be given what is awaited."""
    return [(each.name, each.kind, each.default) for each in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_both_clients_have_every_method(cls: type) -> None:
    """The tables of the two clients hold the same names."""
    assert public(cls).keys() - NO_METHODS == METHODS


@pytest.mark.parametrize(("blocking", "awaiting"), [(Client, AsyncClient), (StoreView, AsyncStoreView)])
def test_both_clients_have_the_same_signatures(blocking: type, awaiting: type) -> None:
    """A call is written alike in both, but for `await`."""
    methods, others = public(blocking), public(awaiting)
    assert methods.keys() == others.keys()
    for name in methods.keys() - NO_METHODS:
        assert arguments(methods[name]) == arguments(others[name]), name
        assert methods[name].__doc__ == others[name].__doc__
        assert inspect.iscoroutinefunction(others[name]) != (name in STREAMS)


def test_a_bound_method_shows_its_arguments() -> None:
    """help() and completion see the arguments that a caller writes, the store among them."""
    client = Client(transport=InProcess())
    assert list(inspect.signature(client.count).parameters)[:2] == ["store", "queries"]
    assert list(inspect.signature(client["docs"].count).parameters)[:1] == ["queries"]
    assert str(client.count.__doc__).startswith("How often")


def test_any_transport_carries_the_same_methods() -> None:
    """A client over handlers in this process needs no address and no network."""
    transport = InProcess()
    with Client(transport=transport, timeout_s=3) as client:
        assert client.count("docs", "x")[0].count == 4
        assert client.count("docs", "x", timeout_s=0.5)[0].count == 4
        with pytest.raises(NotFoundError):
            client.count("none", "x")
    assert transport.calls == [
        ("NgramService", "Count", 3),
        ("NgramService", "Count", 0.5),
        ("NgramService", "Count", 3),
    ]
    assert transport.closed


def test_a_stream_is_closed_with_its_generator() -> None:
    """It begins at the first event, has the client's time unless it brings its own, and ends when the caller leaves."""
    transport = InProcess()
    client = Client(transport=transport, timeout_s=3)
    for events, timeout_s in ((client.generate("x"), 3), (client["docs"].ask("x", timeout_s=0.5), 0.5)):
        transport.closed = False
        calls = len(transport.calls)
        assert isinstance(next(events), StreamEvent)
        assert next(events).event == GeneratedTokens((), transport.calls[-1][1])
        assert len(transport.calls) == calls + 1
        assert transport.calls[-1][2] == timeout_s
        events.close()
        assert transport.closed


def test_a_store_has_the_methods_of_its_client() -> None:
    """`client[name]` names the store once and for all."""
    client = Client(transport=InProcess())
    assert client["documents"].count("x")[0].count == len("documents")


def test_a_store_of_the_awaiting_client_awaits(server: Any, info: Any) -> None:
    """The same over a real channel, awaited."""
    server.on("NgramService.Count", ngram_pb2.CountResponse(results=[ngram_pb2.CountResult(count=2)], info=info))

    async def main() -> int:
        async with AsyncClient(server.address) as client:
            return (await client["docs"].count("x"))[0].count

    assert asyncio.run(main()) == 2
    assert server.requests[0].target.store == "docs"


@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_a_client_needs_an_address_or_a_transport(cls: Any) -> None:
    """Neither and both are mistakes of the program."""
    with pytest.raises(TypeError, match="either an address or a transport"):
        cls()
    with pytest.raises(TypeError, match="either an address or a transport"):
        cls("localhost:1", transport=InProcess())


def test_the_client_works_where_only_its_own_dependencies_are_installed() -> None:
    """A fresh interpreter without the engine's libraries imports the client and asks a transport through it."""
    blocked = "pyarrow faiss torch tokenizers transformers pydantic pydantic_settings uvloop xxhash typer rich nanobind"
    program = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked.split()} or name.startswith("lodex.kernels"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Blocked())
import lodex, lodex.client
client = lodex.Client("127.0.0.1:1", timeout_s=0.1)
lodex.AsyncClient("127.0.0.1:1")
try:
    client.count("docs", "x")
except lodex.LodexError as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) in (("UnavailableError", ""), ("DeadlineExceededError", ""))
