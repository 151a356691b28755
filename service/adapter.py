"""gRPC on one side, coroutines over messages on the other: bytes, deadlines, cancellation and statuses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, NoReturn, Self, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import status_pb2

from lodex.config import ServeSettings
from lodex.errors import DataLossError, DeadlineExceededError, ResourceExhaustedError
from lodex.service.call import ServedCall
from lodex.service.rpc import Rpc
from lodex.service.status import to_status
from lodex.service.workers import Workers

logger = logging.getLogger(__name__)

T = TypeVar("T")
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_CODES: dict[Any, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class Adapter(grpc.GenericRpcHandler):
    """Serves RPCs by their paths.

    Messages are parsed and written here rather than by grpc, which answers UNKNOWN to bytes that are no message.
    """

    def __init__(self, rpcs: Iterable[Rpc], workers: Workers, settings: ServeSettings) -> None:
        self._workers = workers
        self._settings = settings
        self._at_work = 0
        self._handlers = {rpc.path: self._handler(rpc) for rpc in rpcs}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler of a path, None where there is none."""
        return self._handlers.get(handler_call_details.method)

    def _handler(self, rpc: Rpc) -> Handler:
        if rpc.method.client_streaming:

            async def converse(messages: AsyncIterator[bytes], context: Any) -> None:
                await self._converse(rpc, context)

            return grpc.stream_stream_rpc_method_handler(converse)

        if rpc.method.server_streaming:

            async def stream(data: bytes, context: Any) -> None:
                await self._stream(rpc, data, context)

            return grpc.unary_stream_rpc_method_handler(stream)

        async def serve(data: bytes, context: Any) -> bytes:
            return await self._serve(rpc, data, context)

        return grpc.unary_unary_rpc_method_handler(serve)

    async def _serve(self, rpc: Rpc, data: bytes, context: Any) -> bytes:
        """Answer bytes with bytes, or abort with the status of the error."""

        async def answer(call: ServedCall) -> bytes:
            return self._within_limit((await rpc(rpc.parse(data), call)).SerializeToString())

        return await self._attend(rpc, context, answer)

    async def _stream(self, rpc: Rpc, data: bytes, context: Any) -> None:
        """Write the messages of a stream as they come; an error ends it with its status, after what was written."""

        # Written by hand: grpc would leave a generator suspended where the caller cancels.
        async def answer(call: ServedCall) -> None:
            async with aclosing(rpc.stream(rpc.parse(data), call)) as messages:
                async for message in messages:
                    await context.write(self._within_limit(message.SerializeToString()))

        await self._attend(rpc, context, answer)

    async def _converse(self, rpc: Rpc, context: Any) -> None:
        """Read the messages of a caller and write those of the answer; the caller may be slow, but not silent."""
        idle_s = self._settings.limits.default_deadline_s

        async def answer(call: ServedCall) -> None:
            incoming = IncomingMessages(rpc, context, idle_s)
            async with incoming as requests, aclosing(rpc.converse(requests, call)) as messages:
                async for message in messages:
                    await context.write(self._within_limit(message.SerializeToString()))

        await self._attend(rpc, context, answer, may_last=True)

    async def _attend(
        self, rpc: Rpc, context: Any, answer: Callable[[ServedCall], Awaitable[T]], *, may_last: bool = False
    ) -> T:
        """Do what `answer` does with a call, while somebody waits; abort with the status of its error.

        A call without a deadline gets that of the server, unless it `may_last`.
        """
        remaining_s = context.time_remaining()
        patience_s = self._settings.limits.default_deadline_s if remaining_s is None else remaining_s
        is_endless = may_last and remaining_s is None
        call = ServedCall(self._workers, None if is_endless else time.monotonic() + patience_s)
        self._at_work += 1
        try:
            if self._at_work > self._settings.limits.max_concurrent_requests:
                raise ResourceExhaustedError(f"the server is at work on {self._at_work - 1} requests, its limit")
            # grpc itself cancels what outlives the deadline of a client.
            async with asyncio.timeout(patience_s if remaining_s is None and not may_last else None):
                return await answer(call)
        except asyncio.CancelledError:
            call.give_up()
            raise
        except TimeoutError:
            call.give_up()
            status = to_status(DeadlineExceededError(f"no answer within {patience_s} s, the deadline of this server"))
        except Exception as error:  # noqa: BLE001  # every error becomes a status; a defect is logged there
            if isinstance(error, DataLossError):
                logger.error("%s: %s", rpc.path, error)
            status = to_status(error)
        finally:
            self._at_work -= 1
        return await abort(context, status)

    def _within_limit(self, reply: bytes) -> bytes:
        limit = self._settings.limits.max_message_bytes
        if len(reply) > limit:
            raise ResourceExhaustedError(
                f"the reply has {len(reply)} bytes, a message has at most {limit}: ask for fewer items at once"
            )
        return reply


class IncomingMessages:
    """The messages of a caller who streams. One who is silent for `idle_s` is not waited for any longer."""

    def __init__(self, rpc: Rpc, context: Any, idle_s: float) -> None:
        self._rpc = rpc
        self._context = context
        self._idle_s = idle_s
        self._heard = time.monotonic()
        self._reading: asyncio.Future[Any] | None = None

    async def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message, None at the end; TimeoutError, or DeadlineExceededError for one who is silent too long."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._context.read())
        left_s = self._heard + self._idle_s - time.monotonic()
        # A read that is given up would lose its message, so it goes on until the next call.
        done, _ = await asyncio.wait({self._reading}, timeout=left_s if timeout_s is None else min(timeout_s, left_s))
        if not done:
            if time.monotonic() - self._heard >= self._idle_s:
                raise DeadlineExceededError(f"no message came for {self._idle_s} s")
            raise TimeoutError
        data = self._reading.result()
        self._reading = None
        self._heard = time.monotonic()
        return None if data is grpc.aio.EOF else self._rpc.parse(data)

    def forgive_silence(self) -> None:
        """The caller was waiting for us: only from now on is it silent."""
        self._heard = time.monotonic()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})


async def abort(context: Any, status: status_pb2.Status) -> NoReturn:
    """End an RPC with a status and its details."""
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(_CODES[status.code], status.message, details)
    raise AssertionError("abort returned; this is a bug of grpc")
