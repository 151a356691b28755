"""Searching a dense index as a SearchRequest says, for Search itself and for what begins with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.config import Limits
from lodex.errors import DimensionMismatchError, FingerprintMismatchError, InvalidArgumentError, UnimplementedError
from lodex.index.dense import DenseIndex
from lodex.index.query_vectors import MAX_COMPONENT
from lodex.service import messages
from lodex.service.batch import Batch
from lodex.service.call import Call
from lodex.service.catalog import Catalog, View
from lodex.service.checks import at_most, require_built, short_text, within
from lodex.service.models import Models
from lodex.types import Hit
from lodex.v1 import common_pb2, retrieval_pb2

_SEARCH = frozenset({"target", "queries", "vectors", "k", "parameters", "fingerprint"})
# What an index does not know is ignored, as the protocol says of these.
PARAMETERS = frozenset({"exact", "nprobe", "ef_search", "refine_factor"})
_DEFAULT_K = 10
# FAISS multiplies many queries at once, and a caller who gave up should not wait for all of them.
_QUERIES_AT_ONCE = 64

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The hits (best first) of each good query of `batch`, from where they are, and the tokens that were embedded."""

    batch: Batch[Any]
    hits: Sequence[list[Hit]]
    source: common_pb2.Provenance
    tokens: int


class PassageSearch:
    """Finds passages by vectors, or by texts and the embedder of the index."""

    def __init__(self, catalog: Catalog, models: Models, limits: Limits) -> None:
        self._catalog = catalog
        self._models = models
        self._limits = limits

    async def run(
        self, request: retrieval_pb2.SearchRequest, call: Call, texts: Batch[str] | None = None, path: str = ""
    ) -> Found:
        """The best passages for `texts`, else for the queries or vectors of the request.

        `path` stands before the names of fields: "search." where the request is a field of another.
        """
        require_built(request, _SEARCH, path.rstrip("."))
        parameters = request.parameters
        k = within(request.k if request.HasField("k") else _DEFAULT_K, 1, self._limits.max_k, f"{path}k")
        nprobe = read_nprobe(parameters, f"{path}parameters")
        view, index = await call.run(self._open, request.target, f"{path}target")
        if request.fingerprint not in ("", index.encoder.fingerprint):
            raise FingerprintMismatchError(
                f"the vectors are of {request.fingerprint}, index {index.name!r} holds those of "
                f"{index.encoder.name!r} ({index.encoder.fingerprint})",
                f"{path}fingerprint",
            )
        tokens = 0
        batch: Batch[Any]
        if texts is None and request.HasField("vectors"):
            batch = await call.run(self._given_vectors, request, index)
            vectors = np.stack(batch.values) if batch.values else np.empty((0, index.encoder.dimension), np.float32)
        else:
            batch = self._texts(request) if texts is None else texts
            embeddings = await self._models.embed_queries(index.encoder, batch.values, call)
            vectors, tokens = embeddings.vectors, embeddings.tokens

        def answer() -> list[list[Hit]]:
            hits: list[list[Hit]] = []
            for first in range(0, len(vectors), _QUERIES_AT_ONCE):
                call.check()
                hits += index.search(vectors[first : first + _QUERIES_AT_ONCE], k, nprobe, parameters.exact)
            return hits

        return Found(batch, await call.run(answer), view.provenance(index.name), tokens)

    def _open(self, target: common_pb2.IndexRef, path: str) -> tuple[View, DenseIndex]:
        view = self._catalog.view(target, path)
        return view, self._catalog.open(view, view.choose("dense", target.index, path), DenseIndex)

    def _texts(self, request: retrieval_pb2.SearchRequest) -> Batch[str]:
        at_most(request.queries, self._limits.max_batch_items, "queries", "items")

        def text(query: retrieval_pb2.SearchQuery, path: str) -> str:
            form = query.WhichOneof("form")
            if form == "sparse":
                raise UnimplementedError(f"{path}.sparse is promised by the protocol, not built yet")
            return required_text(query.text, self._limits.max_text_bytes, f"{path}.text")

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
            if not (np.abs(vector) <= MAX_COMPONENT).all():
                raise InvalidArgumentError(
                    f"{path} has a component that is NaN, infinite or above {MAX_COMPONENT:g}", path
                )
            return vector

        return Batch(list(matrix), "vectors", usable)


def read_nprobe(parameters: retrieval_pb2.SearchParameters, path: str) -> int | None:
    """The lists to visit, None for the index's own number; refuses parameters that are not built."""
    require_built(parameters, PARAMETERS, path)
    return within(parameters.nprobe, 1, 2**31 - 1, f"{path}.nprobe") if parameters.HasField("nprobe") else None


def required_text(text: str, limit: int, path: str) -> str:
    """A text with something in it, of at most `limit` bytes; InvalidArgumentError for another."""
    if not text.strip():
        raise InvalidArgumentError(f"{path} is required", path)
    return short_text(text, limit, path)
