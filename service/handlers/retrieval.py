"""RetrievalService: passages by meaning, documents and passages by id."""

from __future__ import annotations

from lodex.config import Limits
from lodex.service import messages
from lodex.service.batch import Batch
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog
from lodex.service.checks import at_most, require_built
from lodex.service.passage_search import PassageSearch
from lodex.types import Hit
from lodex.v1 import retrieval_pb2

_FETCH_DOCUMENTS = frozenset({"target", "doc_ids"})
_FETCH_PASSAGES = frozenset({"target", "passage_ids", "chunking"})


class RetrievalHandler:
    """Searches dense indexes and fetches by id."""

    def __init__(self, catalog: Catalog, search: PassageSearch, limits: Limits) -> None:
        self._catalog = catalog
        self._search = search
        self._limits = limits

    async def search(self, request: retrieval_pb2.SearchRequest, call: Call) -> retrieval_pb2.SearchResponse:
        """The best passages for each query: of its vector, or of its text by the embedder of the index."""
        found = await self._search.run(request, call)
        reply = retrieval_pb2.SearchResponse()
        reply.info.sources.append(found.source)
        reply.info.usage.items = len(found.batch)
        reply.info.usage.tokens = found.tokens
        await call.run(found.batch.fill, reply.results, found.hits, _write_hits)
        return reply

    @looks_up
    def fetch_documents(
        self, request: retrieval_pb2.FetchDocumentsRequest, call: Call
    ) -> retrieval_pb2.FetchDocumentsResponse:
        """Documents by their ids, whole."""
        require_built(request, _FETCH_DOCUMENTS)
        at_most(request.doc_ids, self._limits.max_batch_items, "doc_ids", "items")
        view = self._catalog.view(request.target)
        batch = Batch(request.doc_ids, "doc_ids", lambda doc_id, path: view.snapshot.get(doc_id))
        reply = retrieval_pb2.FetchDocumentsResponse()
        batch.fill(
            reply.results, batch.values, lambda found, result: result.document.CopyFrom(messages.document(found))
        )
        reply.info.sources.append(view.provenance())
        reply.info.usage.items = len(request.doc_ids)
        return reply

    @looks_up
    def fetch_passages(
        self, request: retrieval_pb2.FetchPassagesRequest, call: Call
    ) -> retrieval_pb2.FetchPassagesResponse:
        """Passages by their ids, under a chunking."""
        require_built(request, _FETCH_PASSAGES)
        at_most(request.passage_ids, self._limits.max_batch_items, "passage_ids", "items")
        view = self._catalog.view(request.target)
        chunking = view.choose("passages", request.chunking)
        batch = Batch(request.passage_ids, "passage_ids", lambda id, path: view.snapshot.passage(id, chunking))
        reply = retrieval_pb2.FetchPassagesResponse()
        batch.fill(reply.results, batch.values, lambda found, result: result.passage.CopyFrom(messages.passage(found)))
        reply.info.sources.append(view.provenance(chunking))
        reply.info.usage.items = len(request.passage_ids)
        return reply


def _write_hits(hits: list[Hit], result: retrieval_pb2.SearchResult) -> None:
    result.hits.extend(map(messages.hit, hits))
