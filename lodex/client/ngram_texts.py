"""Plans of NgramService about whole texts and single places: scores, longest matches, traces, ranks.

A text is taken literally, as text or as token ids. A lone text or list of ids is a batch of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lodex.client import codec
from lodex.client.filters import filter_message
from lodex.client.plan import Call, Plan
from lodex.errors import InvalidArgumentError
from lodex.filters import Filter
from lodex.types import (
    Answers,
    Found,
    InfgramScores,
    LongestMatches,
    NgramQuery,
    Occurrence,
    Rank,
    RankRange,
    SpanRanking,
    Trace,
    TraceSpan,
)
from lodex.v1 import ngram_pb2

SERVICE = "NgramService"
_RANKINGS = {
    SpanRanking.UNIGRAM: ngram_pb2.SPAN_RANKING_UNIGRAM,
    SpanRanking.LENGTH: ngram_pb2.SPAN_RANKING_LENGTH,
}


def infgram_score(
    store: str,
    texts: NgramQuery | Sequence[NgramQuery],
    *,
    min_support: int = 1,
    max_suffix_length: int | None = None,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[InfgramScores]]:
    """The ∞-gram log-probability of every token of each text, in one sweep.

    Each token is looked for after the longest suffix, of those before it, that occurs `min_support` times; its length
    is at most `max_suffix_length` tokens, None for no limit.
    """
    request = codec.asked(
        ngram_pb2.InfgramScoreRequest,
        target=codec.index_ref(store, index, version),
        texts=codec.texts(texts, "texts"),
        min_support=min_support,
        max_suffix_length=max_suffix_length,
    )
    reply = yield Call(SERVICE, "InfgramScore", request, timeout_s)
    return codec.answers(reply, _scores)


def longest_matches(
    store: str,
    texts: NgramQuery | Sequence[NgramQuery],
    *,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[LongestMatches]]:
    """How far each text can be read in the corpus from each of its tokens, and how often that stands there."""
    request = ngram_pb2.LongestMatchesRequest(
        target=codec.index_ref(store, index, version), texts=codec.texts(texts, "texts")
    )
    reply = yield Call(SERVICE, "LongestMatches", request, timeout_s)
    return codec.answers(reply, _matches)


def trace(
    store: str,
    texts: NgramQuery | Sequence[NgramQuery],
    *,
    min_length: int = 1,
    max_count: int | None = 10,
    max_density: float = 0.05,
    ranking: SpanRanking = SpanRanking.UNIGRAM,
    max_documents: int = 10,
    context_tokens: int | None = None,
    delimiters: Sequence[str] | None = None,
    partial_words: bool = False,
    where: str | Filter | None = None,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Trace]]:
    """The longest spans of each text that stand in the corpus word by word, each with documents it stands in.

    Spans of fewer than `min_length` tokens, or of more than `max_count` occurrences (None: no limit), are left out. Of
    the others `max_density` times the text's tokens are kept, 1 for all, the first by `ranking`. A token that holds one
    of `delimiters` ends a span: None stands for line ends and full stops, () for none. Unless `partial_words`, spans
    begin and end with words. Of the documents for which the filter `where` is true, `max_documents` are shown for each
    span, with `context_tokens` of text on each side.
    """
    if isinstance(delimiters, str):
        raise InvalidArgumentError("delimiters is a text, expected a sequence of texts", "delimiters")
    if ranking not in _RANKINGS:
        raise InvalidArgumentError(f"ranking is {ranking!r}, expected a SpanRanking", "ranking")
    request = codec.asked(
        ngram_pb2.TraceRequest,
        target=codec.index_ref(store, index, version),
        texts=codec.texts(texts, "texts"),
        min_length=min_length,
        max_count=0 if max_count is None else max_count,
        max_density=max_density,
        ranking=_RANKINGS[ranking],
        max_documents=max_documents,
        context_tokens=context_tokens,
        delimiters=codec.lone_text(delimiters or (), "delimiters"),
        partial_words=partial_words,
        filter=None if where is None else filter_message(where),
        undelimited=delimiters is not None and not len(delimiters),
    )
    reply = yield Call(SERVICE, "Trace", request, timeout_s)
    return codec.answers(reply, _trace)


def find(
    store: str,
    queries: NgramQuery | Sequence[NgramQuery],
    *,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Found]]:
    """The ranks of each n-gram in the suffix array of each segment. They mean something at this one version."""
    request = ngram_pb2.FindRequest(
        target=codec.index_ref(store, index, version),
        queries=codec.searches(queries, "queries"),
        literal=literal,
    )
    reply = yield Call(SERVICE, "Find", request, timeout_s)
    return codec.answers(reply, _found)


def locate(
    store: str,
    ranks: Rank | Sequence[Rank],
    *,
    match_tokens: int = 1,
    context_tokens: int | None = None,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Occurrence]]:
    """The document at each rank, or position, of a segment, with `match_tokens` of it as the match.

    Pin the `version` that `find` answered from. A place in a deleted document fails its item with NotFoundError.
    """
    batch = [ranks] if isinstance(ranks, Rank) else ranks
    request = codec.asked(
        ngram_pb2.LocateRequest,
        target=codec.index_ref(store, index, version),
        ranks=[_rank(rank, f"ranks[{i}]") for i, rank in enumerate(batch)],
        match_tokens=match_tokens,
        context_tokens=context_tokens,
    )
    reply = yield Call(SERVICE, "Locate", request, timeout_s)
    return codec.answers(reply, lambda r: codec.occurrence(r.occurrence))


def _rank(value: Any, field: str) -> ngram_pb2.Rank:
    if not isinstance(value, Rank):
        raise InvalidArgumentError(f"{field} is {type(value).__name__}, expected a Rank", field)
    if (value.rank is None) == (value.position is None):
        raise InvalidArgumentError(f"{field} has either a rank or a position", field)
    return codec.asked(ngram_pb2.Rank, field, segment_id=value.segment_id, rank=value.rank, position=value.position)


def _scores(result: ngram_pb2.InfgramScoreResult) -> InfgramScores:
    return InfgramScores(
        token_ids=codec.array(result.token_ids).astype(np.int64),
        log_probabilities=codec.array(result.log_probabilities),
        suffix_lengths=codec.array(result.suffix_lengths).astype(np.int64),
        suffix_counts=codec.array(result.suffix_counts).astype(np.int64),
    )


def _matches(result: ngram_pb2.LongestMatchesResult) -> LongestMatches:
    return LongestMatches(
        token_ids=codec.array(result.token_ids).astype(np.int64),
        lengths=codec.array(result.lengths).astype(np.int64),
        counts=codec.array(result.counts).astype(np.int64),
    )


def _trace(result: ngram_pb2.TraceResult) -> Trace:
    return Trace(codec.array(result.token_ids).astype(np.int64), tuple(map(_span, result.spans)))


def _span(message: ngram_pb2.TraceSpan) -> TraceSpan:
    return TraceSpan(
        begin=message.begin,
        end=message.end,
        begin_byte=message.begin_byte,
        end_byte=message.end_byte,
        text=message.text,
        count=message.count,
        unigram_log_probability=message.unigram_log_probability,
        occurrences=tuple(map(codec.occurrence, message.occurrences)),
    )


def _found(result: ngram_pb2.FindResult) -> Found:
    return Found(result.count, tuple(RankRange(one.segment_id, one.begin, one.end) for one in result.ranges))
