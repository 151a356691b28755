"""Scores, matches, traces and ranks of both clients, against a real server with canned answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lodex.client import codec
from lodex.errors import InvalidArgumentError
from lodex.types import Found, Rank, RankRange, SpanRanking
from lodex.v1 import ngram_pb2

Ask = Callable[..., Any]


def test_scores_come_as_arrays(server: Any, ask: Ask, info: Any) -> None:
    """One entry for each token; a text is sent as it is, token ids as they are."""
    result = ngram_pb2.InfgramScoreResult(
        token_ids=codec.tensor(np.array([3, 1], np.uint32)),
        log_probabilities=codec.tensor(np.array([-0.5, -np.inf])),
        suffix_lengths=codec.tensor(np.array([1, 0], np.int32)),
        suffix_counts=codec.tensor(np.array([2, 9], np.int64)),
    )
    server.on("NgramService.InfgramScore", ngram_pb2.InfgramScoreResponse(results=[result, result], info=info))
    scores = ask("infgram_score", "docs", ["a b", [3, 1]], index="words", version=7)[0]
    assert scores.token_ids.tolist() == [3, 1]
    assert scores.log_probabilities.tolist() == [-0.5, -np.inf]
    assert (scores.suffix_lengths.tolist(), scores.suffix_counts.tolist()) == ([1, 0], [2, 9])
    assert scores.suffix_lengths.dtype == scores.suffix_counts.dtype == scores.token_ids.dtype == np.int64
    (request,) = server.requests
    assert (request.target.store, request.target.index, request.target.version) == ("docs", "words", 7)
    assert (request.texts[0].text, list(request.texts[1].tokens.ids)) == ("a b", [3, 1])


def test_longest_matches_come_as_arrays(server: Any, ask: Ask, info: Any) -> None:
    """A lone text is a batch of one."""
    result = ngram_pb2.LongestMatchesResult(
        token_ids=codec.tensor(np.array([3, 1], np.uint32)),
        lengths=codec.tensor(np.array([2, 1], np.int32)),
        counts=codec.tensor(np.array([4, 9], np.int64)),
    )
    server.on("NgramService.LongestMatches", ngram_pb2.LongestMatchesResponse(results=[result], info=info))
    (matches,) = ask("longest_matches", "docs", "a b")
    assert (matches.token_ids.tolist(), matches.lengths.tolist(), matches.counts.tolist()) == ([3, 1], [2, 1], [4, 9])


def traced() -> ngram_pb2.TraceResult:
    occurrence = {"doc_id": "d", "begin": 3, "end": 6, "match": "a b"}
    span = {
        "begin": 1,
        "end": 3,
        "begin_byte": 4,
        "end_byte": 7,
        "text": "a b",
        "count": 2,
        "unigram_log_probability": -9.5,
        "occurrences": [occurrence],
    }
    return ngram_pb2.TraceResult(token_ids=codec.tensor(np.arange(4, dtype=np.uint32)), spans=[span])


def test_a_trace_comes_with_its_documents(server: Any, ask: Ask, info: Any) -> None:
    """Every field of a span, and what is asked for by default."""
    server.on("NgramService.Trace", ngram_pb2.TraceResponse(results=[traced()], info=info))
    (trace,) = ask("trace", "docs", "xyz a b")
    (span,) = trace.spans
    assert trace.token_ids.tolist() == [0, 1, 2, 3]
    assert (span.begin, span.end, span.begin_byte, span.end_byte, span.text) == (1, 3, 4, 7, "a b")
    assert (span.count, span.unigram_log_probability, span.occurrences[0].doc_id) == (2, -9.5, "d")
    (request,) = server.requests
    assert (request.min_length, request.max_count, request.max_density, request.max_documents) == (1, 10, 0.05, 10)
    assert request.ranking == ngram_pb2.SPAN_RANKING_UNIGRAM
    assert not any((request.delimiters, request.undelimited, request.partial_words, request.HasField("filter")))


def test_every_rule_of_a_trace_is_sent(server: Any, ask: Ask, info: Any) -> None:
    """No limit of occurrences is 0, and no delimiters are told from the usual ones."""
    server.on("NgramService.Trace", ngram_pb2.TraceResponse(results=[traced()], info=info))
    ask("trace", "docs", "x", max_count=None, delimiters=(), ranking=SpanRanking.LENGTH, partial_words=True)
    ask("trace", "docs", "x", min_length=2, delimiters=[";", "--"], where='doc_id = "d"', context_tokens=0)
    first, second = server.requests
    assert (first.max_count, first.HasField("max_count"), first.undelimited, first.partial_words) == (
        0,
        True,
        True,
        True,
    )
    assert first.ranking == ngram_pb2.SPAN_RANKING_LENGTH
    assert (list(second.delimiters), second.undelimited, second.min_length) == ([";", "--"], False, 2)
    assert list(second.filter.condition.texts.values) == ["d"]
    assert second.HasField("context_tokens")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"delimiters": "ab"}, "delimiters"),
        ({"delimiters": [1]}, "delimiters[0]"),
        ({"ranking": "length"}, "ranking"),
        ({"min_length": 0.5}, "min_length"),
        ({"max_density": "x"}, "max_density"),
        ({"max_count": 2**63}, "max_count"),
        ({"where": 3}, "where"),
    ],
)
def test_what_is_no_rule_is_refused_by_its_name(ask: Ask, options: dict[str, Any], field: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        ask("trace", "docs", "x", **options)
    assert caught.value.field == field


def test_ranks_are_found(server: Any, ask: Ask, info: Any) -> None:
    """In each segment, with the live count beside them."""
    result = {"count": 3, "ranges": [{"segment_id": "s1", "begin": 4, "end": 6}, {"segment_id": "s2", "end": 2}]}
    server.on("NgramService.Find", ngram_pb2.FindResponse(results=[result], info=info))
    (found,) = ask("find", "docs", "cat", literal=True)
    assert found == Found(3, (RankRange("s1", 4, 6), RankRange("s2", 0, 2)))
    (request,) = server.requests
    assert (request.queries[0].text, request.literal) == ("cat", True)


def test_ranks_and_positions_are_located(server: Any, ask: Ask, info: Any) -> None:
    """One or several; rank 0 is one."""
    result = {"occurrence": {"doc_id": "d", "match": "cat"}}
    server.on("NgramService.Locate", ngram_pb2.LocateResponse(results=[result], info=info))
    assert ask("locate", "docs", Rank("s1", 0), version=7)[0].doc_id == "d"
    ask("locate", "docs", [Rank("s1", rank=2), Rank("s2", position=5)], match_tokens=3, context_tokens=1)
    first, second = server.requests
    assert (first.ranks[0].segment_id, first.ranks[0].WhichOneof("place"), first.target.version) == ("s1", "rank", 7)
    assert [rank.WhichOneof("place") for rank in second.ranks] == ["rank", "position"]
    assert (second.ranks[1].position, second.match_tokens, second.context_tokens) == (5, 3, 1)


@pytest.mark.parametrize(
    ("rank", "field"),
    [
        (Rank("s"), "ranks[1]"),
        (Rank("s", 1, 2), "ranks[1]"),
        (("s", 1), "ranks[1]"),
        (Rank("s", 2**63), "ranks[1].rank"),
        (Rank("s", position="x"), "ranks[1].position"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_rank_is_refused_by_its_place(ask: Ask, rank: Any, field: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        ask("locate", "docs", [Rank("s", 1), rank])
    assert caught.value.field == field
