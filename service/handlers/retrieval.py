"""RetrievalService: passages by meaning, documents and passages by id."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.config import Limits
from lodex.errors import DimensionMismatchError, FingerprintMismatchError, InvalidArgumentError, UnimplementedError
from lodex.index.dense import DenseIndex
from lodex.service import messages
from lodex.service.batch import Batch
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog, View
from lodex.service.checks import at_most, require_built, short_text, within
from lodex.service.models import Models
from lodex.types import Hit
from lodex.v1 import common_pb2, retrieval_pb2

_SEARCH = frozenset({"target", "queries", "vectors", "k", "parameters", "fingerprint"})
# What an index does not know is ignored, as the protocol says of these.
_PARAMETERS = frozenset({"exact", "nprobe", "ef_search", "refine_factor"})
_DEFAULT_K = 10
# FAISS multiplies many queries at once, and a caller who gave up should not wait for all of them.
_QUERIES_AT_ONCE = 64
_MAX_COMPONENT = 1e10

Vectors = npt.NDArray[np.float32]
_FETCH_DOCUMENTS = frozenset({"target", "doc_ids"})
_FETCH_PASSAGES = frozenset({"target", "passage_ids", "chunking"})


class RetrievalHandler:
    """Searches dense indexes and fetches by id."""

    def __init__(self, catalog: Catalog, models: Models, limits: Limits) -> None:
        self._catalog = catalog
        self._models = models
        self._limits = limits

    async def search(self, request: retrieval_pb2.SearchRequest, call: Call) -> retrieval_pb2.SearchResponse:
        """The best passages for each query: of its vector, or of its text by the embedder of the index."""
        require_built(request, _SEARCH)
        require_built(request.parameters, _PARAMETERS, "parameters")
        k = within(request.k if request.HasField("k") else _DEFAULT_K, 1, self._limits.max_k, "k")
        parameters = request.parameters
        nprobe = within(parameters.nprobe, 1, 2**31 - 1, "parameters.nprobe") if parameters.HasField("nprobe") else None
        view, index = await call.run(self._open_dense, request.target)
        if request.fingerprint not in ("", index.encoder.fingerprint):
            raise FingerprintMismatchError(
                f"the vectors are of {request.fingerprint}, index {index.name!r} holds those of "
                f"{index.encoder.name!r} ({index.encoder.fingerprint})",
                "fingerprint",
            )
        reply = retrieval_pb2.SearchResponse()
        reply.info.sources.append(view.provenance(index.name))
        batch: Batch[Any]
        if request.HasField("vectors"):
            batch = await call.run(self._given_vectors, request, index)
            vectors = np.stack(batch.values) if batch.values else np.empty((0, index.encoder.dimension), np.float32)
        else:
            batch = self._texts(request)
            embeddings = await self._models.embed_queries(index.encoder, batch.values, call)
            vectors = embeddings.vectors
            reply.info.usage.tokens = embeddings.tokens
        reply.info.usage.items = len(batch)

        def answer() -> None:
            hits: list[list[Hit]] = []
            for first in range(0, len(vectors), _QUERIES_AT_ONCE):
                call.check()
                hits += index.search(vectors[first : first + _QUERIES_AT_ONCE], k, nprobe, parameters.exact)
            batch.fill(reply.results, hits, _write_hits)

        await call.run(answer)
        return reply

    def _open_dense(self, target: common_pb2.IndexRef) -> tuple[View, DenseIndex]:
        view = self._catalog.view(target)
        return view, self._catalog.open(view, view.choose("dense", target.index), DenseIndex)

    def _texts(self, request: retrieval_pb2.SearchRequest) -> Batch[str]:
        at_most(request.queries, self._limits.max_batch_items, "queries", "items")

        def text(query: retrieval_pb2.SearchQuery, path: str) -> str:
            form = query.WhichOneof("form")
            if form == "sparse":
                raise UnimplementedError(f"{path}.sparse is promised by the protocol, not built yet")
            if form is None or not query.text.strip():
                raise InvalidArgumentError(f"{path}.text is required", f"{path}.text")
            return short_text(query.text, self._limits.max_text_bytes, f"{path}.text")

        return Batch(request.queries, "queries", text)

    def _given_vectors(self, request: retrieval_pb2.SearchRequest, index: DenseIndex) -> Batch[Vectors]:
        matrix = messages.float_matrix(request.vectors, "vectors")
        at_most(matrix, self._limits.max_batch_items, "vectors", "rows")
        if request.queries and len(request.queries) != len(matrix):
            raise InvalidArgumentError(
                f"{len(matrix)} vectors for {len(request.queries)} queries: row i belongs to query i", "vectors"
            )
        if matrix.shape[1] != index.encoder.dimension:
            raise DimensionMismatchError(
                f"query vectors have d={matrix.shape[1]}, index {index.name!r} was built with "
                f"d={index.encoder.dimension}",
                "vectors",
            )

        def usable(vector: Vectors, path: str) -> Vectors:
            if not (np.abs(vector) <= _MAX_COMPONENT).all():
                raise InvalidArgumentError(
                    f"{path} has a component that is NaN, infinite or above {_MAX_COMPONENT:g}", path
                )
            return vector

        return Batch(list(matrix), "vectors", usable)

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
    result.hits.extend(retrieval_pb2.Hit(passage=messages.passage(hit.passage), score=hit.score) for hit in hits)
