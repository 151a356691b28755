"""A real grpc.aio server on loopback whose answers each test writes by hand, and both clients to ask it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from lodex.client import AsyncClient, Client
from lodex.v1 import common_pb2


@dataclass
class CannedServer:
    """Answers each method by the function a test gives it, and keeps what it was asked."""

    address: str = ""
    answers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)

    def on(self, method: str, answer: Callable[..., Any] | Message) -> None:
        """Answer `Service.Method` with a message, or with what an async function of request and context makes of it."""

        async def canned(request: Message, context: Any) -> Any:
            return answer

        self.answers[method] = answer if callable(answer) else canned

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method, found as gRPC asks for it."""
        name = details.method.removeprefix("/lodex.v1.").replace("/", ".")
        if name not in self.answers:
            return None
        method = descriptor_pool.Default().FindMethodByName(f"lodex.v1.{name}")
        answer = self.answers[name]

        async def unary(request: Any, context: Any) -> Any:
            self.note(request, context)
            return await answer(request, context)

        async def stream(request: Any, context: Any) -> Any:
            self.note(request, context)
            async for reply in answer(request, context):
                yield reply

        sends = "stream" if method.client_streaming else "unary"
        handler = stream if method.server_streaming else unary
        return getattr(grpc, f"{sends}_{'stream' if method.server_streaming else 'unary'}_rpc_method_handler")(
            handler,
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )

    def note(self, request: Any, context: Any) -> None:
        """Keep a request and its metadata."""
        self.requests.append(request)
        self.metadata.append({item[0]: item[1] for item in context.invocation_metadata()})


@pytest.fixture
def server() -> Iterator[CannedServer]:
    """A server that runs in a thread of its own."""
    canned, started, loop = CannedServer(), threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        served = grpc.aio.server(options=options)
        served.add_generic_rpc_handlers((canned,))
        canned.address = f"127.0.0.1:{served.add_insecure_port('127.0.0.1:0')}"
        await served.start()
        started.set()
        await stopping.wait()
        await served.stop(None)

    stopping = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    yield canned
    loop.call_soon_threadsafe(stopping.set)
    thread.join(10)
    loop.close()


@pytest.fixture(params=["blocking", "awaiting"])
def ask(request: pytest.FixtureRequest, server: CannedServer) -> Iterator[Callable[..., Any]]:
    """`ask(method, ...)` carries out a method of either client."""
    if request.param == "blocking":
        with Client(server.address) as client:
            yield lambda method, *args, **kwargs: getattr(client, method)(*args, **kwargs)
        return
    with asyncio.Runner() as runner:
        awaiting = AsyncClient(server.address)

        async def call(method: str, *args: Any, **kwargs: Any) -> Any:
            return await getattr(awaiting, method)(*args, **kwargs)

        yield lambda method, *args, **kwargs: runner.run(call(method, *args, **kwargs))
        runner.run(awaiting.close())


@pytest.fixture
def info() -> common_pb2.ReplyInfo:
    """What a reply says of itself: version 7 of the store `docs`, 2 of 3 segments."""
    source = common_pb2.Provenance(store="docs", index="suffix", version=7, segments_ok=2, segments_total=3)
    timing = common_pb2.Timing(queue_ns=1, compute_ns=20, total_ns=25)
    return common_pb2.ReplyInfo(sources=[source], timing=timing)
