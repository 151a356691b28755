"""Transports carry calls to whoever answers them: over gRPC, blocking or awaiting, or to handlers in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Protocol

from google.protobuf.message import Message


class Transport(Protocol):
    """Carries calls and blocks. `service` and `method` are names of the contract: "NgramService", "Count".

    A service of another package goes by its full name: "google.longrunning.Operations".

    Failures are raised as subclasses of `LodexError`.
    """

    def unary(self, service: str, method: str, request: Message, timeout_s: float) -> Message:
        """Carry a request and return its reply."""
        ...

    def stream(
        self, service: str, method: str, request: Message | Iterator[Message], timeout_s: float | None
    ) -> Generator[Message, None, None]:
        """Carry a request, or a stream of them, and yield the replies. Closing the iterator cancels the call."""
        ...

    def close(self) -> None:
        """Let go of what the transport holds."""
        ...


class AsyncTransport(Protocol):
    """Carries calls and awaits; otherwise as `Transport`."""

    async def unary(self, service: str, method: str, request: Message, timeout_s: float) -> Message:
        """Carry a request and return its reply."""
        ...

    def stream(
        self, service: str, method: str, request: Message | AsyncIterator[Message], timeout_s: float | None
    ) -> AsyncGenerator[Message, None]:
        """Carry a request, or a stream of them, and yield the replies. Closing the iterator cancels the call."""
        ...

    async def close(self) -> None:
        """Let go of what the transport holds."""
        ...
