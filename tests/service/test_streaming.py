"""RPCs whose answer is a stream, over gRPC on loopback and in this process, by a handler that tests steer."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

from lodex.client import AsyncClient, Client
from lodex.client.language_model import generate
from lodex.client.plan import Call as ClientCall
from lodex.client.plan import StreamPlan
from lodex.config import Limits, ServeSettings
from lodex.errors import (
    CancelledError,
    DeadlineExceededError,
    InternalError,
    LodexError,
    NotFoundError,
    ResourceExhaustedError,
)
from lodex.service.application import Application
from lodex.service.call import Call
from lodex.service.catalog import Catalog
from lodex.service.embedded import EmbeddedTransport, iterate_inline
from lodex.service.models import Models
from lodex.service.rpc import Rpc
from lodex.service.server import Server
from lodex.v1 import language_model_pb2


class Counter:
    """A handler of Generate: a message for each number up to the prompt's, each the work of one step.

    "N" counts to N; "fail" and "break" raise after two; "endless" does not end by itself.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.ended = threading.Event()

    def step(self) -> int:
        """One piece of work."""
        time.sleep(0.005)
        self.steps += 1
        return self.steps

    async def generate(
        self, request: language_model_pb2.GenerateRequest, call: Call
    ) -> AsyncGenerator[language_model_pb2.GenerateResponse, None]:
        """Count."""
        text = request.prompts[0].text
        last = int(text) if text.isdigit() else 0
        try:
            while True:
                number = await call.run(self.step)
                message = language_model_pb2.GenerateResponse(tokens={"text": str(number)})
                if number == last:
                    message.info.usage.items = 1
                yield message
                if number == last:
                    return
                if number == 2 and text == "fail":
                    raise NotFoundError("nothing after two")
                if number == 2 and text == "break":
                    raise ZeroDivisionError
                if text == "large":
                    yield language_model_pb2.GenerateResponse(tokens={"text": "x" * 100_000})
        finally:
            self.ended.set()


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def start(background: Callable[..., Any], counter: Counter) -> Iterator[Callable[..., Client]]:
    """`start(**limits)` is a client of a server with the counting handler."""
    servers: list[Server] = []

    def application(limits: Limits) -> Application:
        made = Application(Catalog({}), Models(), limits)
        key = ("LanguageModelService", "Generate")
        made.rpcs[key] = Rpc(made.rpcs[key].method, counter.generate)
        return made

    def start(kind: str = "grpc", **limits: Any) -> Client:
        chosen = ServeSettings(port=0, drain_grace_s=0, limits=Limits(**limits))
        if kind == "embedded":
            return Client(transport=EmbeddedTransport(application(chosen.limits)))

        async def serve() -> Server:
            server = Server(application(chosen.limits), chosen)
            await server.start()
            servers.append(server)
            return server

        return Client(background(serve()).address)

    yield start
    for server in servers:
        background(server.drain())


BOTH = pytest.mark.parametrize("kind", ["grpc", "embedded"])


def plan(prompt: str, timeout_s: float | None = None) -> StreamPlan[Any]:
    """A plan whose values are the messages themselves."""
    call = generate(prompt, timeout_s=timeout_s).call
    return StreamPlan(ClientCall(call.service, call.method, call.request, timeout_s), lambda message: message)


def texts(client: Client, prompt: str) -> list[str]:
    return [message.tokens.text for message in client.stream(plan(prompt))]


@BOTH
def test_messages_come_in_order(start: Callable[..., Client], kind: str) -> None:
    """Each as the handler made it."""
    with start(kind) as client:
        assert texts(client, "5") == ["1", "2", "3", "4", "5"]


@BOTH
def test_the_last_message_says_what_it_cost(start: Callable[..., Client], kind: str) -> None:
    """The timing stands where the handler put its info, and nowhere else."""
    with start(kind) as client:
        *others, last = client.stream(plan("3"))
    assert not any(message.HasField("info") for message in others)
    assert last.info.usage.items == 1
    assert 15_000_000 <= last.info.timing.compute_ns <= last.info.timing.total_ns


@BOTH
@pytest.mark.parametrize(("prompt", "error"), [("fail", NotFoundError), ("break", InternalError)])
def test_an_error_comes_after_what_was_made(
    start: Callable[..., Client], kind: str, prompt: str, error: type[LodexError]
) -> None:
    """With its class; a defect is an InternalError."""
    got: list[str] = []
    with start(kind) as client, pytest.raises(error):
        got.extend(message.tokens.text for message in client.stream(plan(prompt)))
    assert got == ["1", "2"]


@BOTH
def test_the_first_message_does_not_wait_for_the_second(
    start: Callable[..., Client], counter: Counter, kind: str
) -> None:
    """A stream is not collected before it is sent."""
    with start(kind) as client:
        messages = client.stream(plan("endless"))
        assert next(messages).tokens.text == "1"
        if kind == "embedded":
            assert counter.steps == 1
        messages.close()


@BOTH
def test_leaving_a_stream_stops_the_work(start: Callable[..., Client], counter: Counter, kind: str) -> None:
    """The step at work is the last one."""
    with start(kind) as client:
        messages = client.stream(plan("endless"))
        next(messages)
        messages.close()
        assert counter.ended.wait(10)
        steps = counter.steps
        time.sleep(0.05)
        assert counter.steps <= steps + 1


def test_an_awaiting_client_streams_and_leaves(start: Callable[..., Client], counter: Counter) -> None:
    """`async for` gives the same, and closing the generator stops the work."""
    address = start().transport._address  # type: ignore[attr-defined]

    async def main() -> list[str]:
        async with AsyncClient(address) as client:
            got = [message.tokens.text async for message in client.stream(plan("3"))]
            counter.ended.clear()
            messages = client.stream(plan("endless"))
            await anext(messages)
            await messages.aclose()
            assert await asyncio.to_thread(counter.ended.wait, 10)
            return got

    assert asyncio.run(main()) == ["1", "2", "3"]


@BOTH
def test_a_deadline_ends_a_stream(start: Callable[..., Client], counter: Counter, kind: str) -> None:
    """The caller is told in time, and the work stops."""
    with start(kind) as client, pytest.raises(DeadlineExceededError):
        list(client.stream(plan("endless", timeout_s=0.2)))
    assert counter.ended.wait(10)
    assert 1 < counter.steps < 60


def test_a_stream_without_deadline_gets_the_servers(start: Callable[..., Client], counter: Counter) -> None:
    """No stream goes on for ever."""
    with start(default_deadline_s=0.2) as client:
        call = plan("endless").call
        with pytest.raises(DeadlineExceededError, match="deadline of this server"):
            list(client.transport.stream(call.service, call.method, call.request, None))
    assert counter.ended.wait(10)


def test_a_stream_counts_as_a_request_at_work(start: Callable[..., Client]) -> None:
    """Beyond the limit a further one is refused; when the stream has ended there is room again."""
    with start(max_concurrent_requests=1) as client:
        messages = client.stream(plan("endless"))
        next(messages)
        with pytest.raises(ResourceExhaustedError, match="limit"):
            texts(client, "9999")
        messages.close()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                client.info()
                break
            except ResourceExhaustedError:
                time.sleep(0.01)
        assert client.info().stores == ()


def test_each_message_keeps_the_limit_of_its_size(start: Callable[..., Client]) -> None:
    """Those before the one that is too large arrive."""
    got: list[str] = []
    with start(max_message_bytes=10_000) as client, pytest.raises(ResourceExhaustedError, match="100"):
        got.extend(message.tokens.text for message in client.stream(plan("large")))
    assert got == ["1"]


def test_generators_are_driven_without_an_event_loop() -> None:
    """Closed early or not, they come to their end."""
    ended = []

    async def count(call: Call) -> AsyncGenerator[int, None]:
        try:
            for i in range(3):
                yield await call.run(lambda i=i: i)
        finally:
            ended.append(True)

    assert list(iterate_inline(count(Call()))) == [0, 1, 2]
    items = iterate_inline(count(Call()))
    next(items)
    items.close()
    given_up = Call()
    given_up.give_up()
    with pytest.raises(CancelledError):
        list(iterate_inline(count(given_up)))
    assert ended == [True] * 3
