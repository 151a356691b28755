"""What answers: the handlers of every service over one catalog; the server and the embedded handle are its faces."""

from __future__ import annotations

from lodex.config import Limits
from lodex.service.catalog import Catalog
from lodex.service.handlers.admin import AdminHandler, ServerState
from lodex.service.handlers.datastore import DatastoreHandler
from lodex.service.handlers.embedding import EmbeddingHandler
from lodex.service.handlers.language_model import LanguageModelHandler
from lodex.service.handlers.ngram import NgramHandler
from lodex.service.handlers.rerank import RerankHandler
from lodex.service.handlers.retrieval import RetrievalHandler
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.passage_search import PassageSearch
from lodex.service.rerankers import Rerankers
from lodex.service.rpc import Rpc, all_rpcs


class Application:
    """Every RPC by (service, method), over the stores of `catalog` and the models of each sort.

    `models` are the embedders; language models and rerankers are those that are packaged unless others are given.
    """

    def __init__(
        self,
        catalog: Catalog,
        models: Models,
        limits: Limits,
        language_models: LanguageModels | None = None,
        rerankers: Rerankers | None = None,
    ) -> None:
        self.catalog = catalog
        self.models = models
        self.language_models = language_models or LanguageModels()
        self.rerankers = rerankers or Rerankers()
        self.state = ServerState()
        search = PassageSearch(catalog, models, limits)
        self.rpcs: dict[tuple[str, str], Rpc] = all_rpcs(
            (
                AdminHandler(catalog, models, self.language_models, self.rerankers, limits, self.state),
                DatastoreHandler(catalog, limits),
                EmbeddingHandler(catalog, models, limits),
                LanguageModelHandler(catalog, self.language_models, search, limits),
                NgramHandler(catalog, limits),
                RerankHandler(catalog, self.rerankers, limits),
                RetrievalHandler(catalog, search, limits),
            )
        )
