"""NgramService over a store that grows while the server runs."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lodex.client import Client
from lodex.config import Limits
from lodex.errors import CancelledError, InvalidArgumentError
from lodex.index.ngrams import NgramIndex
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.service.application import Application
from lodex.service.call import Call
from lodex.service.catalog import Catalog
from lodex.service.embedded import run_inline
from lodex.service.indexing import build_suffix_index, update_indexes
from lodex.service.models import Models
from lodex.service.server import Server
from lodex.service.variants import search_variants
from lodex.types import Document
from lodex.v1 import common_pb2, ngram_pb2


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


def occurrences(tokenizer: Tokenizer, documents: tuple[Document, ...], texts: tuple[str, ...]) -> int:
    """How often any of the texts stands in the documents, token by token; a place counts once."""
    wanted = {tuple(ids.tolist()) for ids in tokenizer.encode_batch(texts)}
    found = 0
    for document in documents:
        tokens = tokenizer.encode(document.text).tolist()
        found += sum(any(tuple(tokens[:end])[-len(ids) :] == ids for ids in wanted) for end in range(len(tokens) + 1))
    return found


@pytest.mark.parametrize("text", ["cat", "the cat", "Cat sat", " cat", "THE", "東京", "file", "missing words"])
def test_a_text_is_counted_with_its_variants(
    client: Client, tokenizer: Tokenizer, documents: tuple[Document, ...], text: str
) -> None:
    """All of a person's variants together, over all segments as one corpus, equal a naive count."""
    (answer,) = client.count("docs", text)
    assert answer.count == occurrences(tokenizer, documents, search_variants(text))
    assert {tuple(ids.tolist()) for ids in tokenizer.encode_batch(search_variants(text))} >= set(answer.token_ids)


def test_a_literal_text_is_counted_as_written(
    client: Client, tokenizer: Tokenizer, documents: tuple[Document, ...]
) -> None:
    """One sequence, and fewer places."""
    (answer,) = client.count("docs", " cat", literal=True)
    assert answer.count == occurrences(tokenizer, documents, (" cat",))
    assert len(answer.token_ids) == 1
    assert answer.count < client.count("docs", "cat")[0].count


def test_a_continuation_means_its_variants_too(client: Client) -> None:
    """("the", "cat") and ("the", " cat") ask the same of these texts; literally only the latter occurs."""
    plain, spaced = client.prob("docs", "the", ["cat", " cat"])
    assert plain.continuation_count == spaced.continuation_count > 0
    assert plain.prompt_count == client.count("docs", "the")[0].count
    literal, literal_spaced = client.prob("docs", "the", ["cat", " cat"], literal=True)
    assert literal.continuation_count == 0 < literal_spaced.continuation_count


def test_the_white_space_at_the_end_of_a_prompt_is_dropped(client: Client) -> None:
    """Unless the prompt is literal: the tokens that follow bring their own space."""
    bare, trailing = client.ntd("docs", ["the", "the "])
    assert bare.token_ids.tolist() == trailing.token_ids.tolist()
    assert client.ntd("docs", "the ", literal=True)[0].prompt_count == 0


def test_a_context_is_taken_as_it_is_written(client: Client) -> None:
    """The longest suffix of a prompt wins; it is not looked for in other cases."""
    (lower,) = client.infgram_ntd("docs", "a purple the cat")
    (upper,) = client.infgram_ntd("docs", "A PURPLE THE CAT")
    assert lower.suffix_length == 2
    assert upper.suffix_length < 2


def test_tokens_are_decoded_on_request(client: Client) -> None:
    """One by one, in the order of the distribution."""
    (answer,) = client.ntd("docs", "the cat", texts=True)
    assert " the" in answer.texts
    assert len(answer.texts) == len(answer.token_ids)
    assert client.ntd("docs", "the cat")[0].texts == ()


def test_top_k_and_complete_exclude_each_other(client: Client) -> None:
    """A request that says both is refused."""
    request = ngram_pb2.NextTokenDistributionRequest(top_k=3, complete=True)
    request.target.store = "docs"
    with pytest.raises(InvalidArgumentError) as caught:
        client.transport.unary("NgramService", "NextTokenDistribution", request, 10)
    assert caught.value.field == "top_k"


def test_a_query_without_a_form_fails_alone(client: Client) -> None:
    """It is named; the other items are answered."""
    request = ngram_pb2.CountRequest(target=common_pb2.IndexRef(store="docs"), queries=[{"text": "cat"}, {}])
    reply = client.transport.unary("NgramService", "Count", request, 10)
    assert [result.HasField("error") for result in reply.results] == [False, True]
    assert reply.results[1].error.message == "queries[1] is neither text nor tokens"


def test_pages_follow_one_another(client: Client) -> None:
    """Each document once, in the order of the corpus, until there is no further page."""
    whole = client.search_docs("docs", "cat", page_size=100)[0]
    paged: list[str] = []
    token = None
    while token != "":
        (page,) = client.search_docs("docs", "cat", page_size=1, page_token=token or "")
        paged += [occurrence.doc_id for occurrence in page.occurrences]
        token = page.next_page_token
    assert paged == [occurrence.doc_id for occurrence in whole.occurrences]
    assert sorted(paged) == ["animals", "repeat", "unicode"]


def test_a_page_token_belongs_to_its_query(client: Client) -> None:
    """Going on with another query, or literally, would skip and repeat."""
    token = client.search_docs("docs", "cat", page_size=1)[0].next_page_token
    for query, literal in (("the", False), ("cat", True)):
        answers = client.search_docs("docs", query, page_token=token, literal=literal)
        with pytest.raises(InvalidArgumentError) as caught:
            answers[0]
        assert caught.value.field == "queries[0].page_token"


ITEMS = {
    "Count": ("count", {"queries": [{"conjunction": {"all_of": [{"any_of": [{"text": "cat"}]}]}}] * 2}),
    "SearchDocs": ("search_docs", {"queries": [{"query": {"text": "cat"}}] * 2}),
    "InfgramScore": ("infgram_score", {"texts": [{"text": "cat"}] * 2}),
    "LongestMatches": ("longest_matches", {"texts": [{"text": "cat"}] * 2}),
    "Trace": ("trace", {"texts": [{"text": "cat"}] * 2}),
    "Locate": ("locate", {"ranks": [{"segment_id": "x", "rank": 0}] * 2}),
    "Find": ("find", {"queries": [{"text": "cat"}] * 65}),
    "InfgramProb": ("infgram_prob", {"queries": [{"prompt": {"text": "a"}, "continuation": {"text": "b"}}] * 65}),
}


@pytest.mark.parametrize("method", ITEMS)
def test_work_ends_where_the_caller_gave_up(store_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Between two items, or so many of them as are quick together."""
    name, items = ITEMS[method]
    ask, asked = getattr(NgramIndex, name), []

    def give_up(index: NgramIndex, *args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        call.give_up()
        return ask(index, *args, **kwargs)

    monkeypatch.setattr(NgramIndex, name, give_up)
    application, call = Application(Catalog({"docs": Store.open(store_path)}), Models(), Limits()), Call()
    request = getattr(ngram_pb2, f"{method}Request")(target=common_pb2.IndexRef(store="docs"), **items)
    with pytest.raises(CancelledError):
        run_inline(application.rpcs["NgramService", method](request, call))
    # The n-grams of a Count are counted together, before its conjunctions: here there are none.
    assert len(asked) == 1


class TestWhileTheStoreGrows:
    """A server follows new versions, and every answer is of one of them."""

    @pytest.fixture
    def store(self, tmp_path: Path, byte_tokenizer: Path) -> Store:
        """One document, indexed."""
        store = Store.create(tmp_path / "growing")
        store.add([Document("first", "one fish two fish")])
        build_suffix_index(store, str(byte_tokenizer))
        return store

    @pytest.fixture
    def client(self, serve: Callable[..., Server], store: Store) -> Iterator[Client]:
        """A client of a server over that store."""
        with Client(serve({"growing": store.path}).address) as connected:
            yield connected

    def test_a_new_segment_is_counted_once_it_is_built(self, client: Client, store: Store) -> None:
        """Before, the reply says that a segment is missing; a pinned version stays what it was."""
        before = client.count("growing", "fish")
        assert (before[0].count, before.provenance.segments_ok, before.provenance.segments_total) == (2, 1, 1)
        store.add([Document("second", "red fish blue fish")])
        between = client.count("growing", "fish")
        assert (between[0].count, between.provenance.segments_ok, between.provenance.segments_total) == (2, 1, 2)
        update_indexes(store)
        after = client.count("growing", "fish")
        assert (after[0].count, after.provenance.segments_ok, after.provenance.segments_total) == (4, 2, 2)
        pinned = client.count("growing", "fish", version=before.version)
        assert (pinned[0].count, pinned.version) == (2, before.version)

    def test_a_listing_goes_on_where_it_began(self, client: Client, store: Store) -> None:
        """Its pages are of the version of the first one, and documents that came since are not in it."""
        store.add([Document("second", "red fish")])
        update_indexes(store)
        first = client.search_docs("growing", "fish", page_size=1)
        store.add([Document("third", "blue fish")])
        update_indexes(store)
        second = client.search_docs("growing", "fish", page_size=5, page_token=first[0].next_page_token)
        assert second.version == first.version
        assert [occurrence.doc_id for occurrence in second[0].occurrences] == ["second"]
        assert client.search_docs("growing", "fish")[0].count == 4

    def test_no_query_is_dropped_or_mixed(self, client: Client, store: Store) -> None:
        """Under constant load, a version's answer is always the same, and versions never go back."""

        def ask(_: int) -> tuple[int, int, int]:
            answers = client.count("growing", ["fish", "fish"])
            return answers.version, answers[0].count, answers[1].count

        with ThreadPoolExecutor(4) as pool:
            asked = pool.map(ask, range(200))
            for i in range(5):
                store.add([Document(f"more-{i}", "fish " * (i + 1))])
                update_indexes(store)
            answers = [*asked, ask(0)]
        counts: dict[int, set[tuple[int, int]]] = {}
        for version, first, second in answers:
            counts.setdefault(version, set()).add((first, second))
        assert all(len(seen) == 1 and len(set(*seen)) == 1 for seen in counts.values())
        assert answers[-1][1:] == (17, 17)
