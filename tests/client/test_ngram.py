"""The n-gram methods of both clients, against a real server with canned answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from lodex.client import codec
from lodex.errors import InvalidArgumentError
from lodex.filters import Condition, Prefix
from lodex.types import Conjunction, Count, InfgramProbability, Probability, Provenance, Timing
from lodex.v1 import ngram_pb2

Ask = Callable[..., Any]


def counted(*counts: int) -> list[ngram_pb2.CountResult]:
    return [ngram_pb2.CountResult(count=n, variants=[ngram_pb2.NgramVariant(token_ids=[n, 1])]) for n in counts]


def refused(message: str, field: str) -> Status:
    info, request = any_pb2.Any(), any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(domain="lodex", reason="INVALID_ARGUMENT_ERROR"))
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
    request.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return Status(code=3, message=message, details=[info, request])


def test_a_lone_text_is_a_batch_of_one(server: Any, ask: Ask, info: Any) -> None:
    """A text alone is asked as one query, and answered as one item with what it was read from."""
    server.on("NgramService.Count", ngram_pb2.CountResponse(results=counted(5), info=info))
    answers = ask("count", "docs", "the cat", literal=True, index="words", version=7)
    assert list(answers) == [Count(5, ((5, 1),))]
    assert answers.provenance == Provenance("docs", 7, 2, 3, Timing(1, 20, 25))
    (request,) = server.requests
    assert (request.target.store, request.target.index, request.target.version) == ("docs", "words", 7)
    assert [query.text for query in request.queries] == ["the cat"]
    assert request.literal


def test_an_absent_version_asks_for_the_newest(server: Any, ask: Ask, info: Any) -> None:
    """Without a version the field is absent, rather than zero."""
    server.on("NgramService.Count", ngram_pb2.CountResponse(results=counted(5), info=info))
    ask("count", "docs", "the")
    assert not server.requests[0].target.HasField("version")


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        ([1, 2, 3], [[1, 2, 3]]),
        (np.array([1, 2, 3], dtype=np.uint16), [[1, 2, 3]]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ([np.array([1]), (2, 65_535)], [[1], [2, 65_535]]),
        ([np.int64(9)], [[9]]),
        ([[]], [[]]),
        ([], []),
    ],
)
def test_token_queries_are_read_as_batches(server: Any, ask: Ask, info: Any, queries: Any, expected: Any) -> None:
    """Lists of ids and vectors are one query; lists of lists and matrices are many."""
    server.on("NgramService.Count", ngram_pb2.CountResponse(results=counted(*range(len(expected))), info=info))
    assert len(ask("count", "docs", queries)) == len(expected)
    assert [list(query.tokens.ids) for query in server.requests[0].queries] == expected
    assert all(query.WhichOneof("form") == "tokens" for query in server.requests[0].queries)


@pytest.mark.parametrize("bad", [-1, 1.5, 2**32, "x", None])
def test_what_is_no_token_is_refused_by_its_place(ask: Ask, bad: Any) -> None:
    """A query that no message can hold is refused before anything is sent, and named."""
    with pytest.raises(InvalidArgumentError, match=r"queries\[1\]") as caught:
        ask("count", "docs", ["fine", [1, bad]])
    assert caught.value.field == "queries[1]"


def test_one_bad_query_fails_alone(server: Any, ask: Ask, info: Any) -> None:
    """The error of an item is raised where the item is read; the others are there."""
    results = counted(1, 2, 3)
    results[1] = ngram_pb2.CountResult(error=refused("too long", "queries[1].text"))
    server.on("NgramService.Count", ngram_pb2.CountResponse(results=results, info=info))
    answers = ask("count", "docs", ["a", "b", "c"])
    assert (answers[0].count, answers[2].count) == (1, 3)
    with pytest.raises(InvalidArgumentError, match="too long"):
        answers[1]
    assert {i: error.field for i, error in answers.errors.items()} == {1: "queries[1].text"}


def test_an_undefined_probability_is_none(server: Any, ask: Ask, info: Any) -> None:
    """A prompt that never occurs has no probability; one whose continuation never does has zero."""
    results = [ngram_pb2.ProbResult(prompt_count=0), ngram_pb2.ProbResult(probability=0.0, prompt_count=4)]
    server.on("NgramService.Prob", ngram_pb2.ProbResponse(results=results, info=info))
    answers = ask("prob", "docs", ["unseen", "seen"], "x")
    assert list(answers) == [Probability(None, 0, 0), Probability(0.0, 4, 0)]


@pytest.mark.parametrize(
    ("prompts", "continuations", "pairs"),
    [
        ("a", ["x", "y"], [("a", "x"), ("a", "y")]),
        (["a", "b"], "x", [("a", "x"), ("b", "x")]),
        (["a", "b"], ["x", "y"], [("a", "x"), ("b", "y")]),
    ],
)
def test_a_single_prompt_or_continuation_goes_with_all(
    server: Any, ask: Ask, info: Any, prompts: Any, continuations: Any, pairs: Any
) -> None:
    """Prompts and continuations are paired; one of a kind is paired with each of the other."""
    server.on("NgramService.Prob", ngram_pb2.ProbResponse(results=[ngram_pb2.ProbResult()] * len(pairs), info=info))
    ask("prob", "docs", prompts, continuations)
    assert [(q.prompt.text, q.continuation.text) for q in server.requests[0].queries] == pairs


def test_unequal_prompts_and_continuations_are_refused(ask: Ask) -> None:
    """Two prompts cannot be paired with three continuations."""
    with pytest.raises(InvalidArgumentError, match="2 prompts and 3 continuations"):
        ask("infgram_prob", "docs", ["a", "b"], ["x", "y", "z"])


def distribution() -> ngram_pb2.TokenDistribution:
    return ngram_pb2.TokenDistribution(
        token_ids=codec.tensor(np.array([3, 1], dtype=np.uint16)),
        counts=codec.tensor(np.array([5, 2], dtype=np.int64)),
        prompt_count=8,
        distinct=3,
        suffix_length=2,
        texts=[" a", "b"],
    )


@pytest.mark.parametrize(
    ("method", "name"), [("ntd", "NextTokenDistribution"), ("infgram_ntd", "InfgramNextTokenDistribution")]
)
def test_a_distribution_comes_as_arrays(server: Any, ask: Ask, info: Any, method: str, name: str) -> None:
    """Ids and counts are int64 arrays, and the probabilities their shares of the prompt's count."""
    result = getattr(ngram_pb2, f"{name}Result")(distribution=distribution())
    server.on(f"NgramService.{name}", getattr(ngram_pb2, f"{name}Response")(results=[result], info=info))
    answer = ask(method, "docs", "the", top_k=2, texts=True)[0]
    assert (answer.token_ids.dtype, answer.counts.dtype) == (np.int64, np.int64)
    assert (answer.token_ids.tolist(), answer.counts.tolist()) == ([3, 1], [5, 2])
    assert answer.probabilities.tolist() == [5 / 8, 2 / 8]
    assert (answer.prompt_count, answer.distinct, answer.suffix_length, answer.texts) == (8, 3, 2, (" a", "b"))
    (request,) = server.requests
    assert (request.top_k, request.complete, request.with_texts) == (2, False, True)


@pytest.mark.parametrize(
    ("method", "name"), [("ntd", "NextTokenDistribution"), ("infgram_ntd", "InfgramNextTokenDistribution")]
)
def test_the_whole_distribution_is_asked_for_by_none(server: Any, ask: Ask, info: Any, method: str, name: str) -> None:
    """`top_k=None` asks for the complete distribution and sends no top_k."""
    server.on(f"NgramService.{name}", getattr(ngram_pb2, f"{name}Response")(info=info))
    ask(method, "docs", [[1, 2]], top_k=None)
    (request,) = server.requests
    assert request.complete
    assert not request.HasField("top_k")


def test_an_infgram_probability_says_how_much_was_used(server: Any, ask: Ask, info: Any) -> None:
    """The answer carries the length of the suffix beside the counts."""
    result = ngram_pb2.InfgramProbResult(probability=0.25, prompt_count=4, continuation_count=1, suffix_length=3)
    server.on("NgramService.InfgramProb", ngram_pb2.InfgramProbResponse(results=[result], info=info))
    assert ask("infgram_prob", "docs", [1, 2, 3, 4], [5])[0] == InfgramProbability(0.25, 4, 1, 3)


def test_a_listing_is_continued_by_its_token(server: Any, ask: Ask, info: Any) -> None:
    """Documents come page by page; the token of one page asks for the next."""
    found = {"doc_id": "a", "begin": 3, "end": 6, "before": "xx ", "match": "cat", "after": "!", "title": "A"}
    result = {"occurrences": [found], "next_page_token": "p2", "count": 9}
    server.on("NgramService.SearchDocs", ngram_pb2.SearchDocsResponse(results=[result], info=info))
    page = ask("search_docs", "docs", "cat", page_size=1, page_token="p1", context_tokens=4)[0]
    assert (page.count, page.next_page_token) == (9, "p2")
    assert (page.occurrences[0].doc_id, page.occurrences[0].match, page.occurrences[0].title) == ("a", "cat", "A")
    (request,) = server.requests
    assert (request.page_size, request.context_tokens, request.queries[0].page_token) == (1, 4, "p1")


def test_a_page_token_continues_one_query_only(ask: Ask) -> None:
    """A token belongs to one n-gram, so it is refused with two."""
    with pytest.raises(InvalidArgumentError, match="page token"):
        ask("search_docs", "docs", ["a", "b"], page_token="p1")


def test_a_conjunction_is_asked_clause_by_clause(server: Any, ask: Ask, info: Any) -> None:
    """Texts and token ids stand beside n-grams of a batch; the estimate comes with its error."""
    result = ngram_pb2.CountResult(count=40, approximate=True, standard_error=2.5)
    server.on("NgramService.Count", ngram_pb2.CountResponse(results=[*counted(1), result], info=info))
    near = Conjunction((("tea", [1, 2]), (np.array([3]),)), max_distance=7, max_clause_count=50)
    assert list(ask("count", "docs", ["milk", near])) == [Count(1, ((1, 1),)), Count(40, (), True, 2.5)]
    plain, asked = server.requests[0].queries
    assert plain.text == "milk"
    first, second = asked.conjunction.all_of
    assert (first.any_of[0].text, list(first.any_of[1].tokens.ids)) == ("tea", [1, 2])
    assert [list(ngram.tokens.ids) for ngram in second.any_of] == [[3]]
    assert (asked.conjunction.max_distance, asked.conjunction.max_clause_count) == (7, 50)
    assert not asked.conjunction.same_document


def test_a_lone_conjunction_is_a_batch_of_one(server: Any, ask: Ask, info: Any) -> None:
    """It counts all places unless a sample is asked for."""
    server.on("NgramService.Count", ngram_pb2.CountResponse(results=counted(1), info=info))
    ask("count", "docs", Conjunction((("a",), ("b",)), same_document=True))
    (query,) = server.requests[0].queries
    assert query.conjunction.same_document
    assert not query.conjunction.HasField("max_clause_count")


@pytest.mark.parametrize(
    ("conjunction", "field"),
    [
        (Conjunction((("a",), ([1, -2],))), "queries[0].conjunction.all_of[1].any_of[0]"),
        (Conjunction((("a", 3),)), "queries[0].conjunction.all_of[0].any_of[1]"),  # type: ignore[arg-type]
        (Conjunction((("a", Conjunction((("b",),))),)), "queries[0].conjunction.all_of[0].any_of[1]"),  # type: ignore[arg-type]
        (Conjunction((3,)), "queries[0].conjunction.all_of[0]"),  # type: ignore[arg-type]
        (Conjunction(("ab",)), "queries[0].conjunction.all_of[0]"),  # type: ignore[arg-type]
        (Conjunction((("a",),), max_distance=2**31), "queries[0].conjunction.max_distance"),
        (Conjunction((("a",),), max_clause_count=1.5), "queries[0].conjunction.max_clause_count"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_conjunction_is_refused_by_its_place(ask: Ask, conjunction: Conjunction, field: str) -> None:
    """Before anything is sent; a text in the place of a clause is not read letter by letter."""
    with pytest.raises(InvalidArgumentError) as caught:
        ask("count", "docs", conjunction)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("method", "name", "arguments"),
    [
        ("infgram_prob", "InfgramProb", ("the", "cat")),
        ("infgram_ntd", "InfgramNextTokenDistribution", ("the",)),
        ("infgram_score", "InfgramScore", ("the cat",)),
    ],
)
def test_the_support_of_a_suffix_is_asked_for(
    server: Any, ask: Ask, info: Any, method: str, name: str, arguments: tuple[str, ...]
) -> None:
    """One occurrence and any length unless said otherwise; a number that has no place is refused by its name."""
    server.on(f"NgramService.{name}", getattr(ngram_pb2, f"{name}Response")(info=info))
    ask(method, "docs", *arguments)
    ask(method, "docs", *arguments, min_support=3, max_suffix_length=0)
    usual, chosen = server.requests
    assert (usual.min_support, usual.HasField("max_suffix_length")) == (1, False)
    assert (chosen.min_support, chosen.HasField("max_suffix_length"), chosen.max_suffix_length) == (3, True, 0)
    for option in ({"min_support": 2**63}, {"max_suffix_length": "x"}):
        with pytest.raises(InvalidArgumentError) as caught:
            ask(method, "docs", *arguments, **option)
        assert caught.value.field == next(iter(option))


def test_documents_are_drawn_and_filtered(server: Any, ask: Ask, info: Any) -> None:
    """A seed and a filter go with the request; how many documents there are comes back, or that it was not counted."""
    results = [{"count": 9, "documents": 4, "documents_approximate": True}, {"count": 9}]
    server.on("NgramService.SearchDocs", ngram_pb2.SearchDocsResponse(results=results, info=info))
    answers = ask("search_docs", "docs", ["a", Conjunction((("b",),))], seed=0, where='source ^= "x"')
    assert [(page.documents, page.documents_approximate) for page in answers] == [(4, True), (None, False)]
    ask("search_docs", "docs", ["a", "b"], where=Condition("source", Prefix("x")))
    first, second = server.requests
    assert first.HasField("seed")
    assert first.filter == second.filter
    assert (first.filter.condition.field, first.filter.condition.prefix) == ("source", "x")
    assert not second.HasField("seed")


@pytest.mark.parametrize(("option", "field"), [({"seed": -1}, "seed"), ({"page_size": 1.5}, "page_size")])
def test_options_that_no_message_holds_are_named(ask: Ask, option: dict[str, Any], field: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        ask("search_docs", "docs", "a", **option)
    assert caught.value.field == field
