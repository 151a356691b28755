"""Every RPC of `lodex.v1`, read from its descriptors: those that are built, and those that are only promised."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
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

_FILES = (embedding_pb2, retrieval_pb2, ngram_pb2, language_model_pb2, rerank_pb2, datastore_pb2, admin_pb2)
SERVICES: dict[str, ServiceDescriptor] = {
    name: service for file in _FILES for name, service in file.DESCRIPTOR.services_by_name.items()
}
"""The seven services by their short names."""


@dataclass(frozen=True)
class Rpc:
    """One method of the protocol. `answer` turns a request into a reply; None where it is not built yet."""

    method: MethodDescriptor
    answer: Answer | None

    @property
    def path(self) -> str:
        """Its path over HTTP/2: /lodex.v1.NgramService/Count."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def is_streaming(self) -> bool:
        """Whether either side sends more than one message."""
        return bool(self.method.client_streaming or self.method.server_streaming)

    def parse(self, data: bytes) -> Message:
        """The request from its bytes; InvalidArgumentError for bytes that are none."""
        try:
            return GetMessageClass(self.method.input_type).FromString(data)
        except DecodeError as error:
            raise InvalidArgumentError(f"the message is not a {self.method.input_type.full_name}: {error}") from error

    async def __call__(self, request: Message, call: Call) -> Message:
        """Answer a request and say in the reply what it cost; UnimplementedError where this is not built yet."""
        if self.answer is None:
            raise UnimplementedError(f"{self.path[1:]} is promised by the protocol and not built yet")
        reply = await self.answer(request, call)
        info: Any = getattr(reply, "info", None)
        if info is not None:
            timing = info.timing
            timing.queue_ns, timing.compute_ns, timing.total_ns = call.queue_ns, call.compute_ns, call.elapsed_ns
        return reply


def all_rpcs(handlers: Iterable[object]) -> dict[tuple[str, str], Rpc]:
    """Every method by (service, method).

    A handler class is named after its service (NgramHandler), its methods in snake case after those of the service;
    a method that no handler has is not built yet.
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
