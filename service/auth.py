"""The API key: every request but health checks must carry it."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from lodex.errors import UnauthenticatedError
from lodex.service.adapter import Handler, abort
from lodex.service.status import to_status

# Probes of orchestrators carry no keys.
_OPEN = ("/grpc.health.v1.Health/",)


class ApiKeyInterceptor(grpc.aio.ServerInterceptor):
    """Refuses requests without the metadata `authorization: Bearer KEY`, reflection and unknown paths too."""

    def __init__(self, api_key: str) -> None:
        self._expected = f"Bearer {api_key}".encode()

        async def refuse(request: Any, context: Any) -> None:
            await abort(
                context, to_status(UnauthenticatedError("this server needs an API key: none came, or a wrong one"))
            )

        # A stream handler may refuse whatever kind of RPC it is, before a message is read.
        self._refusal: Handler = grpc.stream_stream_rpc_method_handler(refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Let a request pass, or hand it to a handler that refuses it."""
        if handler_call_details.method.startswith(_OPEN) or self._carries_key(handler_call_details):
            return await continuation(handler_call_details)
        return self._refusal

    def _carries_key(self, details: grpc.HandlerCallDetails) -> bool:
        given = dict(details.invocation_metadata).get("authorization", "")
        return hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._expected)
