"""How well an index retrieves: documents ranked by their best passage, scored against judgements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lodex.embed.registry import encoder_folder
from lodex.errors import InvalidArgumentError, MissingExtraError
from lodex.index.build import build_index
from lodex.index.dense import MAX_K, DenseIndex, Match
from lodex.index.dense_build import DenseBuilder
from lodex.index.passages import PassagesBuilder
from lodex.index.store import Store
from lodex.types import Document, Progress

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder

# What is retrieved for each query: as deep as the deepest measure looks.
DEPTH = 100
SENTENCE_TRANSFORMERS = "sentence-transformers"

Run = dict[str, list[str]]
Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """Means over the judged queries; a grade above 0 is relevant for recall and reciprocal rank."""

    ndcg_at_10: float
    recall_at_100: float
    mrr_at_10: float
    queries: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well one way of ranking did. `passages` and `truncated` count what an index holds; None without an index."""

    name: str
    scores: RetrievalScores
    passages: int | None = None
    truncated: int | None = None


def evaluate_index(index: DenseIndex, encoder: TextEncoder, queries: Mapping[str, str], qrels: Qrels) -> Evaluation:
    """Search every query and score the documents found."""
    scores = score_run(retrieve(index, encoder, queries), qrels)
    return Evaluation(index.chunking, scores, index.num_passages, index.num_truncated)


def evaluate_sentence_transformers(
    model: str, documents: Iterable[Document], queries: Mapping[str, str], qrels: Qrels
) -> Evaluation:
    """The same by the sentence-transformers library over whole documents: what Lodex must equal."""
    return Evaluation(SENTENCE_TRANSFORMERS, score_run(_library_run(model, documents, queries, DEPTH), qrels))


def score_run(run: Run, qrels: Qrels) -> RetrievalScores:
    """Score ranked documents as trec_eval does. The order of a ranking counts; a judged query without one scores 0."""
    try:
        import ir_measures
        from ir_measures import RR, R, nDCG
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluation", "eval") from error
    if not qrels:
        raise InvalidArgumentError("there are no judgements", "qrels")
    # trec_eval sorts by score, equal scores by falling document id: ranks keep the order that was answered.
    ranked = {query: {doc_id: -float(rank) for rank, doc_id in enumerate(run.get(query, []))} for query in qrels}
    ndcg, recall, reciprocal = nDCG @ 10, R @ 100, RR @ 10
    means = ir_measures.calc_aggregate([ndcg, recall, reciprocal], qrels, ranked)
    return RetrievalScores(
        ndcg_at_10=means[ndcg], recall_at_100=means[recall], mrr_at_10=means[reciprocal], queries=len(qrels)
    )


def judged(queries: Mapping[str, str], qrels: Qrels) -> dict[str, str]:
    """The queries that have judgements, in their order; InvalidArgumentError for a judgement of no query."""
    missing = qrels.keys() - queries.keys()
    if missing:
        raise InvalidArgumentError(
            f"{len(missing)} judged queries have no text, among them {min(missing)!r}", "queries"
        )
    return {query: text for query, text in queries.items() if query in qrels}


def index_passages(store: Store, chunking: str, encoder: TextEncoder, progress: Progress) -> DenseIndex:
    """A dense index over one chunking of a store, which may have others beside it."""
    name = f"dense-{chunking}"
    build_index(store, chunking, PassagesBuilder(chunking), progress)
    builder = DenseBuilder(chunking, encoder.info, encoder.embed_passages)
    return DenseIndex(build_index(store, name, builder, progress), name)


def retrieve(index: DenseIndex, encoder: TextEncoder, queries: Mapping[str, str], depth: int = DEPTH) -> Run:
    """The best `depth` documents for each query, by the best passage of each."""
    index.check_encoder(encoder.info)
    vectors = encoder.embed_queries(list(queries.values())).vectors
    return dict(zip(queries, rank_documents(index, vectors, depth), strict=True))


def rank_documents(index: DenseIndex, vectors: npt.NDArray[np.float32], depth: int) -> list[list[str]]:
    """Documents in the order of their best passages, at most `depth`; fewer only where there are no more."""
    k = min(4 * depth, MAX_K)
    while True:
        matches = index.nearest(vectors, k)
        rankings = [_first_of_each(index, row)[:depth] for row in matches]
        if min(map(len, rankings), default=depth) == depth or k >= min(index.num_passages, MAX_K):
            return rankings
        k = min(2 * k, MAX_K)


def _first_of_each(index: DenseIndex, matches: Sequence[Match]) -> list[str]:
    return list(dict.fromkeys(index.doc_ids(matches)))


def _library_run(model: str, documents: Iterable[Document], queries: Mapping[str, str], depth: int) -> Run:
    """Its own batches and an exact search over title, a space and text, cut at the length of the model."""
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtraError("the comparison with sentence-transformers", "bench") from error
    library = SentenceTransformer(str(encoder_folder(model)), device="cpu", local_files_only=True)
    corpus = [(document.doc_id, f"{document.title} {document.text}".strip()) for document in documents]
    passages = library.encode([text for _, text in corpus], normalize_embeddings=True, show_progress_bar=False)
    asked = library.encode(list(queries.values()), normalize_embeddings=True, show_progress_bar=False)
    rankings = np.argsort(-(asked @ passages.T), axis=1, kind="stable")[:, :depth]
    return {query: [corpus[i][0] for i in row] for query, row in zip(queries, rankings, strict=True)}
