"""Clients of a Lodex server: `Client` blocks, `AsyncClient` awaits; both have the same methods.

They need grpcio, grpcio-status, protobuf and numpy, and nothing of the engine.
"""

from lodex.client.client import AsyncClient, AsyncStoreView, Client, StoreView
from lodex.client.transport import AsyncTransport, Transport

__all__ = ["AsyncClient", "AsyncStoreView", "AsyncTransport", "Client", "StoreView", "Transport"]
