"""What answers: the handlers of every service over one catalog; the server and the embedded handle are its faces."""

from __future__ import annotations

from typing import cast

from lodex.config import Limits
from lodex.service.bulk_models import BulkModels
from lodex.service.catalog import Catalog
from lodex.service.handlers.admin import AdminHandler
from lodex.service.handlers.datastore import DatastoreHandler
from lodex.service.handlers.embedding import EmbeddingHandler
from lodex.service.handlers.jobs import JobsHandler
from lodex.service.handlers.language_model import LanguageModelHandler
from lodex.service.handlers.names import NamesHandler
from lodex.service.handlers.ngram import NgramHandler
from lodex.service.handlers.ngram_places import NgramPlacesHandler
from lodex.service.handlers.ngram_texts import NgramTextsHandler
from lodex.service.handlers.operations import OperationsHandler
from lodex.service.handlers.rerank import RerankHandler
from lodex.service.handlers.retrieval import RetrievalHandler
from lodex.service.handlers.stores import StoresHandler
from lodex.service.handlers.tei import TeiEmbedHandler, TeiInfoHandler
from lodex.service.handlers.writing import WritingHandler
from lodex.service.language_models import LanguageModels
from lodex.service.maintenance import Maintenance
from lodex.service.models import Models
from lodex.service.operations import Operations
from lodex.service.passage_search import PassageSearch
from lodex.service.rerankers import Rerankers
from lodex.service.rpc import Rpc, all_rpcs
from lodex.service.server_state import ServerState
from lodex.service.writing import WriteAccess, WritePolicy


class Application:
    """Every RPC by (service, method), over the stores of `catalog` and the models of each sort.

    `models` are the embedders; language models and rerankers are those that are packaged unless others are given.
    `policy` says what may be written: unless it is given, every store of the catalog. Clients of
    text-embeddings-inference are answered where a `tei_prompt` is given, see `TeiEmbedHandler`. `close` ends the jobs.
    """

    def __init__(
        self,
        catalog: Catalog,
        models: Models,
        limits: Limits,
        language_models: LanguageModels | None = None,
        rerankers: Rerankers | None = None,
        policy: WritePolicy | None = None,
        tei_prompt: str | None = None,
    ) -> None:
        self.catalog = catalog
        self.models = models
        self.language_models = language_models or LanguageModels()
        self.rerankers = rerankers or Rerankers()
        self.state = ServerState()
        self.access = WriteAccess(catalog, policy or WritePolicy())
        self.operations = Operations()
        self.access.on_dropped.append(self.operations.drop_store)
        # Builders ask of it what they ask of Models.
        self._index_models = cast(Models, BulkModels(models))
        self.maintenance: Maintenance | None = None
        search = PassageSearch(catalog, models, limits)
        tei: tuple[object, ...] = ()
        if tei_prompt is not None:
            tei = (TeiInfoHandler(models, limits), TeiEmbedHandler(models, limits, tei_prompt))
        self.rpcs: dict[tuple[str, str], Rpc] = all_rpcs(
            (
                *tei,
                AdminHandler(catalog, models, self.language_models, self.rerankers, limits, self.state, self.access),
                DatastoreHandler(catalog, limits, self.access),
                StoresHandler(self.access),
                NamesHandler(self.access, limits),
                WritingHandler(self.access, limits, self.state),
                JobsHandler(self.access, self.operations, self._index_models, self.language_models, limits),
                OperationsHandler(self.operations, limits),
                EmbeddingHandler(catalog, models, limits),
                LanguageModelHandler(catalog, self.language_models, search, limits),
                NgramHandler(catalog, limits),
                NgramPlacesHandler(catalog, limits),
                NgramTextsHandler(catalog, limits),
                RerankHandler(catalog, self.rerankers, limits),
                RetrievalHandler(catalog, search, limits),
            )
        )

    def maintain(self, interval_s: float) -> None:
        """Look after the stores from now on."""
        self.maintenance = Maintenance(self.access, self._index_models, self.language_models, interval_s)
        self.state.maintaining = True
        self.maintenance.start()

    def close(self) -> None:
        """Cancel the jobs and what looks after the stores, and wait until they have stopped; embedders stop last."""
        self.operations.close()
        if self.maintenance is not None:
            self.maintenance.close()
        self.models.close()
