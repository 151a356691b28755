"""Documents that are drawn and filtered, and ranks, over a store with deleted documents."""

from typing import Any

import pytest

from lodex.client import Client
from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.service.variants import search_variants
from lodex.types import Conjunction, Rank
from lodex.v1 import common_pb2, ngram_pb2
from tests.service.tales import Tales


def holders(tales: Tales, text: str) -> list[str]:
    """The documents that hold any variant of a text."""
    sought = [tales.ids(form) for form in search_variants(text)]

    def holds(ids: list[int]) -> bool:
        return any(ids[i : i + len(tokens)] == tokens for tokens in sought for i in range(len(ids)))

    return [document.doc_id for document in tales.documents if holds(tales.ids(document.text))]


def listed(client: Client, query: Any, **options: Any) -> tuple[list[str], set[int | None]]:
    """The documents of all pages, of three each, and what the pages say of their number."""
    found: list[str] = []
    numbers = set()
    token = ""
    while True:
        (page,) = client.search_docs("tales", query, page_size=3, page_token=token, **options)
        found += [place.doc_id for place in page.occurrences]
        numbers.add(page.documents)
        assert not page.documents_approximate
        token = page.next_page_token
        if not token:
            return found, numbers


def test_the_number_of_documents_is_exact(ask_tales: Client, tales: Tales) -> None:
    """And the same on every page."""
    expected = holders(tales, "cat")
    assert listed(ask_tales, "cat") == (expected, {len(expected)})


def test_a_seed_draws_each_document_once(ask_tales: Client, tales: Tales) -> None:
    """In the same order again for the same seed, in another one for another."""
    expected = holders(tales, "the")
    first, again, other = (listed(ask_tales, "the", seed=seed)[0] for seed in (7, 7, 2**64 - 1))
    assert first == again != other
    assert sorted(first) == sorted(other) == sorted(expected)
    assert first != expected


@pytest.mark.parametrize("seed", [None, 3])
def test_a_filter_chooses_the_documents(ask_tales: Client, tales: Tales, seed: int | None) -> None:
    """They are listed and numbered; the count stays that of the whole corpus."""
    sources = {document.doc_id: (document.source, document.date) for document in tales.documents}
    expected = [doc_id for doc_id in holders(tales, "dog") if sources[doc_id] >= ("b", "2006")]
    found, numbers = listed(ask_tales, "dog", seed=seed, where='source = "b" and date >= "2006"')
    assert (sorted(found), numbers) == (sorted(expected), {len(expected)})
    (page,) = ask_tales.search_docs("tales", "dog", where='source = "none"')
    assert (page.occurrences, page.documents, page.count) == ((), 0, ask_tales.count("tales", "dog")[0].count)


def test_a_filter_goes_with_a_conjunction(ask_tales: Client) -> None:
    """Of the documents in which it holds."""
    query = Conjunction((("cat",), ("dog",)), same_document=True)
    whole, chosen = listed(ask_tales, query)[0], listed(ask_tales, query, where='source = "a"')[0]
    assert 0 < len(chosen) < len(whole)
    assert set(chosen) < set(whole)


@pytest.mark.parametrize("change", [{"seed": 8}, {"where": 'source = "a"'}, {"seed": None}])
def test_a_page_token_belongs_to_its_seed_and_filter(ask_tales: Client, change: dict[str, Any]) -> None:
    """Another order, or other documents, would skip and repeat."""
    (page,) = ask_tales.search_docs("tales", "the", page_size=1, seed=7)
    (_,) = ask_tales.search_docs("tales", "the", page_size=2, seed=7, context_tokens=1, page_token=page.next_page_token)
    answers = ask_tales.search_docs("tales", "the", page_token=page.next_page_token, **{"seed": 7, **change})
    with pytest.raises(InvalidArgumentError, match="another request"):
        answers[0]


def test_a_filter_that_cannot_be_read_is_refused(ask_tales: Client) -> None:
    """For all items, by its place."""
    request = ngram_pb2.SearchDocsRequest(target=common_pb2.IndexRef(store="tales"), queries=[{"query": {"text": "a"}}])
    request.filter.condition.field = "color"
    with pytest.raises(InvalidArgumentError) as caught:
        ask_tales.transport.unary("NgramService", "SearchDocs", request, 10)
    assert caught.value.field.startswith("filter.condition")


@pytest.mark.parametrize("text", ["cat", "the cat", "東京", "nowhere"])
def test_every_place_is_found_and_located(ask_tales: Client, tales: Tales, text: str) -> None:
    """Ranks of live documents show the n-gram in them, the others are NOT_FOUND, and no place is missing."""
    (found,) = ask_tales.find("tales", f" {text}", literal=True)
    assert found.count == tales.count(tales.ids(f" {text}"))
    ranks = [Rank(one.segment_id, rank) for one in found.ranges for rank in range(one.begin, one.end)]
    located = ask_tales.locate("tales", ranks, match_tokens=len(tales.ids(f" {text}")), context_tokens=2)
    assert len(ranks) - len(located.errors) == found.count
    texts = {document.doc_id: document.text.encode() for document in tales.documents}
    for i, place in enumerate(located.items):
        if i in located.errors:
            assert isinstance(place, NotFoundError)
            assert str(place).startswith(f"ranks[{i}]")
        else:
            assert place.match == f" {text}"  # type: ignore[union-attr]  # it is no error
            assert texts[place.doc_id][place.begin : place.end].decode() == place.match  # type: ignore[union-attr]


def test_the_variants_of_a_text_are_found_together(ask_tales: Client) -> None:
    """As they are counted."""
    assert ask_tales.find("tales", "cat")[0].count == ask_tales.count("tales", "cat")[0].count


def test_a_position_is_a_place_in_the_stream(ask_tales: Client, tales: Tales) -> None:
    """Position 0 is the separator before the first document of a segment, 1 its first token."""
    (found,) = ask_tales.find("tales", [tales.tokenizer.eos_id])
    _, second, *_ = dict.fromkeys(one.segment_id for one in found.ranges)
    places = [ask_tales.locate("tales", Rank(second, position=at), context_tokens=0)[0] for at in (1, 2)]
    assert [place.doc_id for place in places] == ["tale-6", "tale-6"]
    (text,) = [document.text for document in tales.documents if document.doc_id == "tale-6"]
    assert text.encode()[: places[1].end].decode() == places[0].match + places[1].match


@pytest.mark.parametrize(
    ("rank", "error", "said"),
    [
        ({}, InvalidArgumentError, "ranks[0].segment_id"),
        ({"segment_id": "x"}, InvalidArgumentError, "ranks[0]"),
        ({"segment_id": "x", "rank": 0}, NotFoundError, "ranks[0]"),
        ({"segment_id": "x", "rank": -1}, InvalidArgumentError, "ranks[0].rank"),
        ({"segment_id": "REAL", "rank": 2**63 - 1}, NotFoundError, "ranks[0]"),
        ({"segment_id": "REAL", "position": 2**63 - 1}, NotFoundError, "ranks[0]"),
        ({"segment_id": "REAL", "position": -(2**63)}, InvalidArgumentError, "ranks[0].position"),
    ],
)
def test_a_hostile_rank_fails_its_item_alone(
    ask_tales: Client, rank: dict[str, Any], error: type[Exception], said: str
) -> None:
    """By its place in the request; the other items are answered."""
    from lodex.client.status import error_of

    real = ask_tales.find("tales", "cat")[0].ranges[0].segment_id
    ranks: list[Any] = [rank, {"segment_id": "REAL", "position": 1}]
    ranks = [{**one, "segment_id": real} if one.get("segment_id") == "REAL" else one for one in ranks]
    request = ngram_pb2.LocateRequest(target=common_pb2.IndexRef(store="tales"), ranks=ranks)
    reply: Any = ask_tales.transport.unary("NgramService", "Locate", request, 10)
    bad, good = reply.results
    assert good.occurrence.doc_id
    found = error_of(bad.error)
    assert type(found) is error
    assert said in str(found)


@pytest.mark.parametrize(
    ("method", "fields", "field"),
    [
        ("Locate", {"match_tokens": 0}, "match_tokens"),
        ("Locate", {"match_tokens": 4097}, "match_tokens"),
        ("Locate", {"context_tokens": -1}, "context_tokens"),
        ("Locate", {"context_tokens": 1001}, "context_tokens"),
        ("Locate", {"ranks": [{}] * 1025}, "ranks"),
        ("Find", {"queries": [{}] * 1025}, "queries"),
        ("SearchDocs", {"page_size": -1}, "page_size"),
        ("SearchDocs", {"context_tokens": 1001}, "context_tokens"),
    ],
)
def test_a_request_beyond_its_limits_is_refused(
    ask_tales: Client, method: str, fields: dict[str, Any], field: str
) -> None:
    """As a whole, by the name of the field."""
    request = getattr(ngram_pb2, f"{method}Request")(target=common_pb2.IndexRef(store="tales"), **fields)
    with pytest.raises(InvalidArgumentError) as caught:
        ask_tales.transport.unary("NgramService", method, request, 10)
    assert caught.value.field == field


def test_ranks_are_those_of_n_grams_alone(ask_tales: Client) -> None:
    """A conjunction has none, and no tokens are no n-gram."""
    answers = ask_tales.find("tales", [Conjunction((("a",),)), "", "cat"])  # type: ignore[list-item]  # on purpose
    assert answers[2].count > 0
    assert {i: getattr(error, "field", "") for i, error in answers.errors.items()} == {
        0: "queries[0].conjunction",
        1: "queries[1]",
    }
