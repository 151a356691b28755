"""Conjunctions over a store of several segments with deleted documents, against looking at every document."""

from itertools import product
from typing import Any

import pytest

from lodex.client import Client
from lodex.errors import InvalidArgumentError
from lodex.service.ngram_queries import MAX_CLAUSES, MAX_DISTANCE, MAX_NGRAMS
from lodex.service.variants import search_variants
from lodex.types import Conjunction
from lodex.v1 import common_pb2, ngram_pb2
from tests.service.tales import Tales, places


def variants(tales: Tales, ngram: str | list[int], literal: bool) -> list[list[int]]:
    """The sequences of an n-gram, without those that end with another."""
    if not isinstance(ngram, str):
        return [ngram]
    found = [tales.ids(text) for text in ((ngram,) if literal else search_variants(ngram))]
    return [tokens for tokens in found if not any(tokens != other == tokens[-len(other) :] for other in found)]


def holding(tales: Tales, query: Conjunction, literal: bool = False) -> list[int]:
    """In how many places of each document the rarest clause stands where all others hold."""
    clauses = [[tokens for ngram in clause for tokens in variants(tales, ngram, literal)] for clause in query.all_of]
    found = [[list(places(stream, clause)) for clause in clauses] for stream in tales.streams]
    totals = [sum(len(document[i]) for document in found) for i in range(len(clauses))]
    rarest = totals.index(min(totals))
    reach = 10**9 if query.same_document else query.max_distance
    return [
        sum(all(any(abs(p - q) <= reach for q in other) for other in document) for p in document[rarest])
        for document in found
    ]


QUERIES = (
    Conjunction((("cat",), ("dog",)), max_distance=3),
    Conjunction((("cat",), ("dog",)), max_distance=0),
    Conjunction((("the cat", "the dog"), ("sat", "ran"), ("hill",)), max_distance=8),
    Conjunction((("grapes",), ("東京", "naïve")), same_document=True),
    Conjunction((("cat", "Cat", "the cat"),)),
    Conjunction((("cat",), ("nowhere",))),
)


@pytest.mark.parametrize(("query", "literal"), [*product(QUERIES, (False, True))])
def test_a_conjunction_is_counted_exactly(ask_tales: Client, tales: Tales, query: Conjunction, literal: bool) -> None:
    """Its n-grams with their variants, over all segments, deleted documents left out."""
    plain, answer = ask_tales.count("tales", ["cat", query], literal=literal)
    assert (answer.count, answer.approximate, answer.token_ids) == (sum(holding(tales, query, literal)), False, ())
    assert plain.token_ids


def test_token_ids_stand_for_themselves(ask_tales: Client, tales: Tales) -> None:
    """In one clause with texts."""
    query = Conjunction(((tuple(tales.ids(" cat")), "dog"), ("hill",)), max_distance=9)
    as_lists = Conjunction(((tales.ids(" cat"), "dog"), ("hill",)), max_distance=9)
    (answer,) = ask_tales.count("tales", query)
    assert answer.count == sum(holding(tales, as_lists)) > 0


def test_documents_of_a_conjunction_are_listed(ask_tales: Client, tales: Tales) -> None:
    """Each in which it holds once, page by page."""
    query = QUERIES[2]
    expected = holding(tales, query)
    listed, token = [], ""
    while True:
        (page,) = ask_tales.search_docs("tales", query, page_size=2, page_token=token)
        assert (page.count, page.documents) == (sum(expected), sum(map(bool, expected)))
        listed += [place.doc_id for place in page.occurrences]
        token = page.next_page_token
        if not token:
            break
    assert sorted(listed) == sorted(d.doc_id for d, n in zip(tales.documents, expected, strict=True) if n)
    assert len(listed) > 2


def test_a_sample_is_said_to_be_one(ask_tales: Client, tales: Tales) -> None:
    """With its standard error; where it would see all places, the count is exact."""
    exact = sum(holding(tales, QUERIES[0]))
    small, large = (Conjunction(QUERIES[0].all_of, max_distance=3, max_clause_count=n) for n in (10, 10_000))
    estimate, whole = ask_tales.count("tales", [small, large])
    assert estimate.approximate
    assert estimate.standard_error > 0
    assert abs(estimate.count - exact) <= 4 * estimate.standard_error
    assert (whole.count, whole.approximate, whole.standard_error) == (exact, False, 0)


def ngram(text: str = "cat", **tokens: Any) -> dict[str, Any]:
    return {"tokens": tokens} if tokens else {"text": text}


CAT = {"any_of": [ngram()]}


@pytest.mark.parametrize(
    ("conjunction", "field"),
    [
        ({}, "all_of"),
        ({"all_of": [CAT] * (MAX_CLAUSES + 1)}, "all_of"),
        ({"all_of": [CAT, {}]}, "all_of[1].any_of"),
        ({"all_of": [{"any_of": [ngram()] * (MAX_NGRAMS + 1)}]}, "all_of[0].any_of"),
        ({"all_of": [{"any_of": [ngram(), {}]}]}, "all_of[0].any_of[1]"),
        ({"all_of": [{"any_of": [ngram("")]}]}, "all_of[0].any_of[0]"),
        ({"all_of": [{"any_of": [{"tokens": {}}]}]}, "all_of[0].any_of[0]"),
        ({"all_of": [{"any_of": [ngram(ids=[1, 2**32 - 1])]}]}, "all_of[0].any_of[0].tokens[1]"),
        ({"all_of": [{"any_of": [ngram(ids=[1] * 5000)]}]}, "all_of[0].any_of[0]"),
        ({"all_of": [CAT], "max_distance": -1}, "max_distance"),
        ({"all_of": [CAT], "max_distance": MAX_DISTANCE + 1}, "max_distance"),
        ({"all_of": [CAT], "max_clause_count": 0}, "max_clause_count"),
        ({"all_of": [CAT], "max_clause_count": -(2**63)}, "max_clause_count"),
    ],
)
@pytest.mark.parametrize("method", ["Count", "SearchDocs"])
def test_a_hostile_conjunction_fails_its_item_alone(
    ask_tales: Client, method: str, conjunction: dict[str, Any], field: str
) -> None:
    """And names what is wrong with it; the other items are answered."""
    queries: list[Any] = [{"conjunction": conjunction}, {"text": "cat"}]
    path = f"queries[0].conjunction.{field}"
    if method == "SearchDocs":
        queries, path = [{"query": query} for query in queries], f"queries[0].query.conjunction.{field}"
    request = getattr(ngram_pb2, f"{method}Request")(target=common_pb2.IndexRef(store="tales"), queries=queries)
    reply: Any = ask_tales.transport.unary("NgramService", method, request, 10)
    bad, good = reply.results
    assert good.count > 0
    assert bad.error.code == 3
    assert path in (violation := _field(bad.error)), violation


def _field(status: Any) -> str:
    from lodex.client.status import error_of

    error = error_of(status)
    assert isinstance(error, InvalidArgumentError)
    return error.field
