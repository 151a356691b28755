"""Every RPC of `lodex.v1`, read from its descriptors: those that are built, and those that are only promised."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from lodex.errors import InvalidArgumentError, UnimplementedError
from lodex.service.call import Call
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
        reply: Message = await answer(request, call)
        info: Any = getattr(reply, "info", None)
        if info is not None:
            _tell_cost(info, call)
        return reply

    async def stream(self, request: Message, call: Call) -> AsyncGenerator[Message, None]:
        """Answer a request with messages as they come; what it cost is said in the one that has its `info` set.

        UnimplementedError where this is not built yet, and for every RPC whose requests are a stream.
        """
        answer: Any = self._built()
        async with aclosing(answer(request, call)) as messages:
            async for message in messages:
                if message.HasField("info"):
                    _tell_cost(message.info, call)
                yield message

    def _built(self) -> Answer | Stream:
        if self.answer is None or self.method.client_streaming:
            raise UnimplementedError(f"{self.path[1:]} is promised by the protocol and not built yet")
        return self.answer


def _tell_cost(info: Any, call: Call) -> None:
    timing = info.timing
    timing.queue_ns, timing.compute_ns, timing.total_ns = call.queue_ns, call.compute_ns, call.elapsed_ns


def all_rpcs(handlers: Iterable[object]) -> dict[tuple[str, str], Rpc]:
    """Every method by (service, method).

    A handler class is named after its service (NgramHandler), its methods in snake case after those of the service;
    a method that no handler has is not built yet. One that streams is an asynchronous generator; like the others it
    awaits nothing but its call.
    """
    by_service = {type(handler).__name__.removesuffix("Handler") + "Service": handler for handler in handlers}
    assert by_service.keys() <= SERVICES.keys(), "a handler without a service; this is a bug"
    return {
        (service.name, method.name): Rpc(method, getattr(by_service.get(service.name), snake_case(method.name), None))
        for service in SERVICES.values()
        for method in service.methods
    }


def snake_case(name: str) -> str:
    """NextTokenDistribution -> next_token_distribution."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
