"""Clients of a Lodex server: `Client` blocks, `AsyncClient` awaits; both have the same methods.

They need grpcio, grpcio-status, protobuf and numpy, and nothing of the engine.
"""

from lodex.client.client import AsyncClient, AsyncStoreView, Client, StoreView
from lodex.client.operation import AsyncOperation, Operation
from lodex.client.results import DeleteResult, EmbeddedBatch, IngestResult
from lodex.client.transport import AsyncTransport, Transport

__all__ = [
    "AsyncClient",
    "AsyncOperation",
    "AsyncStoreView",
    "AsyncTransport",
    "Client",
    "DeleteResult",
    "EmbeddedBatch",
    "IngestResult",
    "Operation",
    "StoreView",
    "Transport",
]
