"""The transports over gRPC, built from the descriptors of the contract rather than from generated stubs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from lodex.client.status import error_of_rpc

# Retried by gRPC itself, with its own cap on attempts; nothing else is, since another answer would be the same.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
# The server states and enforces its own limits; gRPC's 4 MiB would cut complete distributions.
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
]


class _Methods:
    """The methods of a channel, made once each."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._made: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, method: str) -> Any:
        if (service, method) not in self._made:
            self._made[service, method] = self._make(service, method)
        return self._made[service, method]

    def _make(self, service: str, method: str) -> Any:
        pool = descriptor_pool.Default()
        owner = service if "." in service else f"lodex.v1.{service}"
        described = pool.FindMethodByName(f"{owner}.{method}")
        sends = "stream" if described.client_streaming else "unary"
        answers = "stream" if described.server_streaming else "unary"
        return getattr(self._channel, f"{sends}_{answers}")(
            f"/{owner}/{method}",
            request_serializer=message_factory.GetMessageClass(described.input_type).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
        )


class GrpcTransport:
    """A `Transport` over one channel. `tls` False is plain text, True trusts the system's roots."""

    def __init__(self, address: str, *, api_key: str | None, tls: bool | grpc.ChannelCredentials) -> None:
        self._address = address
        self._metadata = _metadata(api_key)
        credentials = grpc.ssl_channel_credentials() if tls is True else tls
        self._channel = (
            grpc.secure_channel(address, credentials, options=_OPTIONS)
            if credentials
            else grpc.insecure_channel(address, options=_OPTIONS)
        )
        self._methods = _Methods(self._channel)

    def unary(self, service: str, method: str, request: Message, timeout_s: float) -> Message:
        """Carry a request and return its reply."""
        try:
            reply: Message = self._methods(service, method)(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of_rpc(error, self._address) from error
        return reply

    def stream(
        self, service: str, method: str, request: Message | Iterator[Message], timeout_s: float | None
    ) -> Generator[Message, None, None]:
        """Carry a request, or a stream of them, and yield the replies."""
        call = self._methods(service, method)(request, timeout=timeout_s, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise error_of_rpc(error, self._address) from error
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class AsyncGrpcTransport:
    """An `AsyncTransport` over one channel, which belongs to the event loop of the first call."""

    def __init__(self, address: str, *, api_key: str | None, tls: bool | grpc.ChannelCredentials) -> None:
        self._address = address
        self._metadata = _metadata(api_key)
        self._credentials = grpc.ssl_channel_credentials() if tls is True else tls
        self._channel: grpc.aio.Channel | None = None
        self._methods: _Methods | None = None

    async def unary(self, service: str, method: str, request: Message, timeout_s: float) -> Message:
        """Carry a request and return its reply."""
        try:
            reply: Message = await self._method(service, method)(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of_rpc(error, self._address) from error
        return reply

    async def stream(
        self, service: str, method: str, request: Message | AsyncIterator[Message], timeout_s: float | None
    ) -> AsyncGenerator[Message, None]:
        """Carry a request, or a stream of them, and yield the replies."""
        call = self._method(service, method)(request, timeout=timeout_s, metadata=self._metadata)
        try:
            async for reply in call:
                yield reply
        except grpc.RpcError as error:
            raise error_of_rpc(error, self._address) from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()

    def _method(self, service: str, method: str) -> Any:
        if self._methods is None:
            self._channel = (
                grpc.aio.secure_channel(self._address, self._credentials, options=_OPTIONS)
                if self._credentials
                else grpc.aio.insecure_channel(self._address, options=_OPTIONS)
            )
            self._methods = _Methods(self._channel)
        return self._methods(service, method)


def _metadata(api_key: str | None) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {api_key}"),) if api_key else ()
