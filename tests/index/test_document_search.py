"""Listings of documents: random orders, filters, page tokens, and n-grams too frequent to follow to every place."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError
from lodex.filters import Condition, Filter, NoneOf, Texts
from lodex.index import document_search
from lodex.index.ngrams import NgramIndex
from lodex.types import Occurrence, Occurrences
from tests.index.ngram_oracle import EOS, Corpus, Ids, MakeIndex, index_maker, live_corpus, spell, without_endings


@pytest.fixture
def make_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeIndex:
    """Builds an index over documents, given as texts, in some number of segments."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    return index_maker(tmp_path)


def listing(index: NgramIndex, ngram: list[Ids], size: int, **how: Any) -> tuple[list[Occurrence], list[Occurrences]]:
    """All documents over all pages, and the pages."""
    pages, token = [], ""
    while not pages or token:
        (page,) = index.search_docs([ngram], size, [token], **how)
        pages.append(page)
        token = page.next_page_token
    assert all(len(page.occurrences) == size for page in pages[:-1])
    return [occurrence for page in pages for occurrence in page.occurrences], pages


EVEN: Filter = Condition("source", Texts(("s0",)))
FILTERS: dict[Filter | None, Any] = {
    None: lambda name: True,
    EVEN: lambda name: name % 2 == 0,
    NoneOf((EVEN,)): lambda name: name % 2 == 1,
    Condition("doc_id", Texts(("doc-2", "doc-3", "doc-99"))): lambda name: name in (2, 3),
}


def expected(corpus: Corpus, ngram: list[Ids], where: Filter | None) -> list[tuple[str, int]]:
    """Each document that holds an n-gram, in order, with the token of the first place."""
    first: dict[int, int] = {}
    variants = [ids or (EOS,) for ids in without_endings(ngram)]
    for i, start in sorted(place for ids in variants for place in corpus.starts(ids)):
        if FILTERS[where](corpus.names[i]):
            first.setdefault(i, max(start - 1, 0))
    return [(f"doc-{corpus.names[i]}", begin) for i, begin in first.items()]


documents = st.lists(st.lists(st.integers(1, 3), max_size=8).map(tuple), min_size=1, max_size=12)
stores = st.tuples(documents, st.integers(1, 5), st.frozensets(st.integers(1, 11), max_size=6))
sequences = st.lists(st.integers(0, 3), max_size=3).map(tuple)
# Where one of several variants is empty or EOS alone, the oracle does not tell their places apart.
longer = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(lambda s: (EOS, 1) if s == [EOS] else tuple(s))
ngrams = st.one_of(st.lists(sequences, min_size=1, max_size=1), st.lists(longer, min_size=2, max_size=3))
seeds = st.one_of(st.none(), st.integers(0, 2**64 - 1))
asked = st.tuples(ngrams, st.integers(1, 4), seeds, st.sampled_from(list(FILTERS)))


@pytest.mark.parametrize("many", [1_000_000, 0])
@given(stores, st.lists(asked, min_size=20, max_size=25))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_document_is_listed_once_in_any_order(
    make_index: MakeIndex,
    monkeypatch: pytest.MonkeyPatch,
    many: int,
    store: tuple[list[Ids], int, frozenset[int]],
    asked: list[tuple[list[Ids], int, int | None, Filter | None]],
) -> None:
    """Over pages of any size, seeded or not, filtered or not, the documents are the oracle's with their first places.

    So they are where documents are read one after the other because the n-gram is frequent.
    """
    monkeypatch.setattr(document_search, "MANY_OCCURRENCES", many)
    documents, segments, deleted = store
    deleted = deleted & frozenset(range(len(documents)))
    index = make_index([spell(document) for document in documents], segments, deleted=deleted)
    corpus = live_corpus(documents, segments, deleted)
    for ngram, size, seed, where in asked:
        shown, pages = listing(index, ngram, size, seed=seed, where=where, context_tokens=0)
        wanted = expected(corpus, ngram, where)
        if seed is not None:
            shown.sort(key=lambda o: next(i for i, (name, _) in enumerate(wanted) if name == o.doc_id))
        assert [o.doc_id for o in shown] == [name for name, _ in wanted]
        # A match of no text behind the last letter begins where that ends.
        assert all(2 * begin - o.begin in (0, 1) for o, (_, begin) in zip(shown, wanted, strict=True))
        is_many = corpus.count([ids or (EOS,) for ids in ngram]) > many
        assert {page.documents_approximate for page in pages} == {is_many}
        assert {page.count for page in pages} == {corpus.count(ngram)}
        if not is_many:
            assert {page.documents for page in pages} == {len(wanted)}


def test_a_seed_gives_an_order_of_its_own(make_index: MakeIndex) -> None:
    """The same seed lists alike whatever the page size, another one differently, and none as the corpus is."""
    index = make_index(["a b"] * 40, 3)

    def names(seed: int | None, size: int) -> list[str]:
        return [o.doc_id for o in listing(index, [(1,)], size, seed=seed)[0]]

    assert names(7, 3) == names(7, 11)
    assert len({tuple(names(seed, 40)) for seed in (None, 0, 1, 2)}) == 4
    firsts = [names(seed, 40)[0] for seed in range(200)]
    assert len(set(firsts)) > 30


def test_a_page_token_belongs_to_its_seed_and_filter(make_index: MakeIndex) -> None:
    """Under another seed or filter it would skip documents, so it is refused."""
    index = make_index(["a"] * 9, 2)
    (page,) = index.search_docs([[(1,)]], 2, seed=1, where=EVEN)
    token = page.next_page_token
    assert index.search_docs([[(1,)]], 2, [token], seed=1, where=EVEN)[0].occurrences
    for how in ({"seed": 2, "where": EVEN}, {"where": EVEN}, {"seed": 1}, {"seed": 1, "where": NoneOf((EVEN,))}):
        with pytest.raises(InvalidArgumentError) as caught:
            index.search_docs([[(1,)]], 2, [token], **how)  # type: ignore[arg-type]
        assert caught.value.field == "page_tokens[0]"


@pytest.mark.parametrize("where", [None, EVEN])
@pytest.mark.parametrize("deleted", [(), range(0, 300, 4)])
def test_the_number_of_documents_is_estimated_without_bias(
    make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch, where: Filter | None, deleted: Any
) -> None:
    """Of a frequent n-gram in documents of very different lengths the estimate is near, and flagged."""
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(list("ab"), rng.integers(1, 60))) for _ in range(297)] + ["a " * 900] * 3
    index = make_index(texts, 3, deleted=deleted)
    (exact,) = index.search_docs([[(1,)]], where=where)
    monkeypatch.setattr(document_search, "MANY_OCCURRENCES", 100)
    (found,) = index.search_docs([[(1,)]], where=where)
    assert exact.documents is not None
    assert found.documents is not None
    assert found.documents_approximate
    assert not exact.documents_approximate
    assert abs(found.documents - exact.documents) < 0.2 * exact.documents
