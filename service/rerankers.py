"""The rerankers of the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.rerank.registry import DEFAULT_RERANKER, PACKAGED, load_reranker
from lodex.service.named_models import NamedModels

if TYPE_CHECKING:
    from lodex.rerank.first import FirstReranker


class Rerankers(NamedModels["FirstReranker"]):
    """Rerankers by name."""

    def __init__(self, folders: Mapping[str, Path] | None = None, default: str = DEFAULT_RERANKER) -> None:
        super().__init__("reranker", load_reranker, PACKAGED, folders, default, "reranker")

    def load(self, name: str) -> FirstReranker:
        """The reranker of a name, which is read at the first call."""
        return super().load(name)
