"""Plans: what a method asks of a server, written once for every way of asking.

A plan is a generator. It yields calls, is sent their replies, and returns the result:

    def stores() -> Plan[...]:
        reply = yield Call("DatastoreService", "ListStores", ListStoresRequest())
        return tuple(store_info(store) for store in reply.stores)

Clients only differ in how they carry a call: they block, await, or hand it to the same handlers in process.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from google.protobuf.message import Message

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC by the names of the contract, its request, and its deadline (None: the client's own)."""

    service: str
    method: str
    request: Message
    timeout_s: float | None = None


Plan: TypeAlias = Generator[Call, Any, R]
