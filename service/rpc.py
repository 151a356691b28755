"""Every RPC that is served, read from the descriptors: those that are built, and those that are only promised."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from lodex.errors import DataLossError, InvalidArgumentError, LodexError, NotFoundError, UnimplementedError
from lodex.service.call import Call, Requests, tell_cost
from lodex.tei import tei_pb2
from lodex.v1 import (
    admin_pb2,
    datastore_pb2,
    embedding_pb2,
    language_model_pb2,
    ngram_pb2,
    rerank_pb2,
    retrieval_pb2,
)

Answer = Callable[[Any, Call], Awaitable[Message]]
Stream = Callable[[Any, Call], AsyncGenerator[Message, None]]


_FILES = (embedding_pb2, retrieval_pb2, ngram_pb2, language_model_pb2, rerank_pb2, datastore_pb2, admin_pb2)
SERVICES: dict[str, ServiceDescriptor] = {
    name: service for file in _FILES for name, service in file.DESCRIPTOR.services_by_name.items()
}
"""The seven services by their short names."""
OPERATIONS = operations_pb2.DESCRIPTOR.services_by_name["Operations"]
"""What awaits and cancels the operations that some of them start; it goes by its full name."""
TEI: tuple[ServiceDescriptor, ...] = tuple(tei_pb2.DESCRIPTOR.services_by_name.values())
"""The services of text-embeddings-inference, for clients of that; they go by their full names too."""


@dataclass(frozen=True)
class Rpc:
    """One method of the protocol. `answer` makes of a request its reply, or the stream of them; None: not built yet."""

    method: MethodDescriptor
    answer: Answer | Stream | None

    @property
    def path(self) -> str:
        """Its path over HTTP/2: /lodex.v1.NgramService/Count."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    def parse(self, data: bytes) -> Message:
        """The request from its bytes; InvalidArgumentError for bytes that are none."""
        try:
            return GetMessageClass(self.method.input_type).FromString(data)
        except DecodeError as error:
            raise InvalidArgumentError(f"the message is not a {self.method.input_type.full_name}: {error}") from error

    async def __call__(self, request: Message, call: Call) -> Message:
        """Answer a request and say in the reply what it cost; UnimplementedError where this is not built yet."""
        assert not self.method.server_streaming, "a stream was asked for one reply; this is a bug"
        answer: Any = self._built()
        while True:
            try:
                reply: Message = await answer(request, call)
                break
            except (NotFoundError, DataLossError) as error:
                _give_up_lost(call, error)
        info: Any = getattr(reply, "info", None)
        if info is not None:
            tell_cost(info, call)
        return reply

    async def stream(self, request: Message, call: Call) -> AsyncGenerator[Message, None]:
        """Answer a request with messages as they come; what it cost is said in the one that has its `info` set.

        UnimplementedError where this is not built yet.
        """
        answer: Any = self._built()
        has_begun = has_ended = False
        while not has_ended:
            try:
                async with aclosing(answer(request, call)) as messages:
                    async for message in messages:
                        if message.HasField("info"):
                            tell_cost(message.info, call)
                        has_begun = True
                        yield message
                has_ended = True
            except (NotFoundError, DataLossError) as error:
                _give_up_lost(call, error, is_final=has_begun)

    async def converse(self, requests: Requests, call: Call) -> AsyncGenerator[Message, None]:
        """Answer a stream of messages with another; UnimplementedError where this is not built yet."""
        answer: Any = self._built()
        async with aclosing(answer(requests, call)) as messages:
            async for message in messages:
                yield message

    def _built(self) -> Answer | Stream:
        if self.answer is None:
            raise UnimplementedError(f"{self.path[1:]} is promised by the protocol and not built yet")
        return self.answer


def _give_up_lost(call: Call, error: LodexError, *, is_final: bool = False) -> None:
    """Let a request begin anew that failed because a version was removed while it was read; else raise its error.

    Nobody asked for this one, so the newest is as good: unless the request did, or what it has said `is_final`.
    """
    lost = call.lost_version()
    if lost is None:
        raise error
    if lost.is_pinned or is_final:
        raise NotFoundError(f"version {lost.version} of the store is not kept any more") from error
    call.check()
    call.reads.clear()


def all_rpcs(handlers: Iterable[object]) -> dict[tuple[str, str], Rpc]:
    """Every method by (service, method).

    A handler class is named after its service (NgramHandler) or has its name as `SERVICE`; its methods are those of the
    service in snake case. Several may share a service. A method that no handler has is not built yet. One that streams
    is an asynchronous generator; like the others it awaits nothing but its call, and the requests of its caller.
    """
    by_service: dict[str, list[object]] = {}
    for handler in handlers:
        name = getattr(handler, "SERVICE", type(handler).__name__.removesuffix("Handler") + "Service")
        by_service.setdefault(name, []).append(handler)
    services = SERVICES | {OPERATIONS.full_name: OPERATIONS}
    # Of another interface nothing is promised.
    services |= {service.full_name: service for service in TEI if service.full_name in by_service}
    assert by_service.keys() <= services.keys(), "a handler without a service; this is a bug"
    return {
        (name, method.name): Rpc(method, _method(by_service.get(name, ()), snake_case(method.name)))
        for name, service in services.items()
        for method in service.methods
    }


def _method(handlers: Iterable[object], name: str) -> Any:
    return next((getattr(handler, name) for handler in handlers if hasattr(handler, name)), None)


def snake_case(name: str) -> str:
    """NextTokenDistribution -> next_token_distribution."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
