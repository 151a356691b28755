"""Plans of RetrievalService: passages by meaning, documents and passages by id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lodex.client import codec
from lodex.client.plan import Call, Plan
from lodex.errors import InvalidArgumentError
from lodex.types import Answers, Document, Embeddings, Hit, Passage
from lodex.v1 import common_pb2, retrieval_pb2

SERVICE = "RetrievalService"


def search(
    store: str,
    queries: str | Sequence[str] | None = None,
    *,
    vectors: npt.ArrayLike | Embeddings | None = None,
    k: int = 10,
    index: str | None = None,
    exact: bool = False,
    nprobe: int | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[tuple[Hit, ...]]]:
    """The best `k` passages for each query, best first, equal scores by ascending key.

    Queries are texts, or `vectors` (n, d) or (d,) of the index's own embedder; with `Embeddings` the server checks that
    they are. `exact` compares every vector; `nprobe` visits that many lists of an IVF index instead of its own number.
    """
    request = retrieval_pb2.SearchRequest(
        target=codec.index_ref(store, index, version),
        k=k,
        parameters=retrieval_pb2.SearchParameters(exact=exact, nprobe=nprobe),
    )
    if (queries is None) == (vectors is None):
        raise InvalidArgumentError("a search takes either queries or vectors", "queries")
    if queries is not None:
        request.queries.extend(retrieval_pb2.SearchQuery(text=text) for text in codec.lone_text(queries, "queries"))
    elif isinstance(vectors, Embeddings):
        request.fingerprint = vectors.fingerprint
        request.vectors.CopyFrom(_vectors(vectors.vectors))
    else:
        request.vectors.CopyFrom(_vectors(vectors))
    reply = yield Call(SERVICE, "Search", request, timeout_s)
    return codec.answers(reply, lambda result: tuple(Hit(codec.passage(h.passage), h.score) for h in result.hits))


def get(
    store: str,
    ids: str | Sequence[str],
    *,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Document]]:
    """Documents by their ids, whole."""
    target = codec.store_ref(store, version)
    request = retrieval_pb2.FetchDocumentsRequest(target=target, doc_ids=codec.lone_text(ids, "ids"))
    reply = yield Call(SERVICE, "FetchDocuments", request, timeout_s)
    return codec.answers(reply, lambda result: codec.document(result.document))


def passages(
    store: str,
    ids: str | Sequence[str],
    *,
    chunking: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Passage]]:
    """Passages by their ids. `chunking` numbers them; None is the store's only or default one."""
    request = retrieval_pb2.FetchPassagesRequest(
        target=codec.store_ref(store, version), passage_ids=codec.lone_text(ids, "ids"), chunking=chunking or ""
    )
    reply = yield Call(SERVICE, "FetchPassages", request, timeout_s)
    return codec.answers(reply, lambda result: codec.passage(result.passage))


def _vectors(vectors: npt.ArrayLike | None) -> common_pb2.Tensor:
    xq = np.asarray(vectors)
    if xq.dtype != np.float16:
        xq = xq.astype(np.float32)
    if xq.ndim not in (1, 2):
        raise InvalidArgumentError(f"query vectors have {xq.ndim} dimensions; expected (n, d) or (d,)", "vectors")
    return codec.tensor(np.atleast_2d(xq))
