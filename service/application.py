"""What answers: the handlers of every service over one catalog; the server and the embedded handle are its faces."""

from __future__ import annotations

from lodex.config import Limits
from lodex.service.catalog import Catalog
from lodex.service.handlers.admin import AdminHandler, ServerState
from lodex.service.handlers.datastore import DatastoreHandler
from lodex.service.handlers.embedding import EmbeddingHandler
from lodex.service.handlers.ngram import NgramHandler
from lodex.service.handlers.retrieval import RetrievalHandler
from lodex.service.models import Models
from lodex.service.rpc import Rpc, all_rpcs


class Application:
    """Every RPC by (service, method), over the stores of `catalog` and the embedders of `models`."""

    def __init__(self, catalog: Catalog, models: Models, limits: Limits) -> None:
        self.catalog = catalog
        self.models = models
        self.state = ServerState()
        self.rpcs: dict[tuple[str, str], Rpc] = all_rpcs(
            (
                AdminHandler(catalog, models, limits, self.state),
                DatastoreHandler(catalog, limits),
                EmbeddingHandler(catalog, models, limits),
                NgramHandler(catalog, limits),
                RetrievalHandler(catalog, models, limits),
            )
        )
