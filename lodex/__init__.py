"""Lodex: one datastore of text with three ways into it, behind one gRPC service.

`lodex.open(path)` opens a store in this process; `lodex.Client(address)` and
`lodex.AsyncClient(address)` talk to a server. All three have the same methods.
`lodex.InfiniGramEngine(folder)` searches what infini-gram indexed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lodex.errors import LodexError
from lodex.types import Document

if TYPE_CHECKING:
    from lodex.client import AsyncClient, Client
    from lodex.index.infini_gram.engine import InfiniGramEngine
    from lodex.service.embedded import open_store as open

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "Document", "InfiniGramEngine", "LodexError", "__version__", "open"]

# Imported on first use, so that `import lodex` costs neither grpc nor the engine.
_LAZY = {
    "AsyncClient": ("lodex.client", "AsyncClient"),
    "Client": ("lodex.client", "Client"),
    "InfiniGramEngine": ("lodex.index.infini_gram.engine", "InfiniGramEngine"),
    "open": ("lodex.service.embedded", "open_store"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lodex' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)
