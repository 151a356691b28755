"""gRPC on one side, coroutines over messages on the other: bytes, deadlines, cancellation and statuses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
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
            # None of these is built yet. A stream handler may refuse before it has read a message.
            async def refuse(messages: AsyncIterator[bytes], context: Any) -> None:
                await self._stream(rpc, b"", context)

            return grpc.stream_stream_rpc_method_handler(refuse)

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

    async def _attend(self, rpc: Rpc, context: Any, answer: Callable[[ServedCall], Awaitable[T]]) -> T:
        """Do what `answer` does with a call, while somebody waits; abort with the status of its error."""
        remaining_s = context.time_remaining()
        patience_s = self._settings.limits.default_deadline_s if remaining_s is None else remaining_s
        call = ServedCall(self._workers, time.monotonic() + patience_s)
        self._at_work += 1
        try:
            if self._at_work > self._settings.limits.max_concurrent_requests:
                raise ResourceExhaustedError(f"the server is at work on {self._at_work - 1} requests, its limit")
            # grpc itself cancels what outlives the deadline of a client.
            async with asyncio.timeout(patience_s if remaining_s is None else None):
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


async def abort(context: Any, status: status_pb2.Status) -> NoReturn:
    """End an RPC with a status and its details."""
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(_CODES[status.code], status.message, details)
    raise AssertionError("abort returned; this is a bug of grpc")
