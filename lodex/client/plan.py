"""Plans: what a method asks of a server, written once for every way of asking.

A plan is a generator. It yields calls, is sent their replies, and returns the result:

    def stores() -> Plan[...]:
        reply = yield Call("DatastoreService", "ListStores", ListStoresRequest())
        return tuple(store_info(store) for store in reply.stores)

A method that streams has a `StreamPlan`: a single call, and what each message of its stream means.

Clients only differ in how they carry a call: they block, await, or hand it to the same handlers in process.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

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


@dataclass(frozen=True, slots=True)
class StreamPlan(Generic[R]):
    """A call that is answered by a stream, and `read`, which makes a value of each message of it."""

    call: Call
    read: Callable[[Any], R]
