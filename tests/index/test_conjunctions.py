"""Conjunctions: every count by comparing all places of all clauses, and estimates within their error."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError
from lodex.index import conjunctions
from lodex.index.conjunctions import TokenConjunction, even_sample
from tests.index.ngram_oracle import EOS, Clause, Ids, MakeIndex, index_maker, live_corpus, spell


@pytest.fixture
def make_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeIndex:
    """Builds an index over documents, given as texts, in some number of segments."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    return index_maker(tmp_path)


def conjunction(clauses: list[Clause], distance: int | None = 100, **how: Any) -> TokenConjunction:
    """Clauses as lists; distance None: anywhere in the document."""
    all_of = tuple(tuple(clause) for clause in clauses)
    return TokenConjunction(all_of, distance or 0, same_document=distance is None, **how)


documents = st.lists(st.lists(st.integers(1, 3), max_size=12).map(tuple), min_size=1, max_size=7)
stores = st.tuples(documents, st.integers(1, 5), st.frozensets(st.integers(1, 6), max_size=4))
sequences = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
ngrams = st.lists(sequences, min_size=1, max_size=2)
clauses = st.lists(st.lists(ngrams, min_size=1, max_size=2), min_size=1, max_size=3)
distances = st.sampled_from([0, 1, 2, 5, 100, None])


@given(stores, st.lists(st.tuples(clauses, distances), min_size=40, max_size=50))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_conjunctions_are_counted_as_by_a_double_loop(
    make_index: MakeIndex,
    store: tuple[list[Ids], int, frozenset[int]],
    asked: list[tuple[list[Clause], int | None]],
) -> None:
    """Counts and listed documents are those of comparing all places of all clauses."""
    documents, segments, deleted = store
    deleted = deleted & frozenset(range(len(documents)))
    index = make_index([spell(document) for document in documents], segments, deleted=deleted)
    corpus = live_corpus(documents, segments, deleted)
    queries = [conjunction(*one) for one in asked]
    listed = index.search_docs(queries, page_size=100)
    for one, found, answer in zip(asked, index.count(queries), listed, strict=True):
        places = corpus.conjunction(*one)
        assert (found.count, found.approximate, found.token_ids) == (len(places), False, ())
        first: dict[int, int] = {}
        for i, start in places:
            first.setdefault(i, max(start - 1, 0))
        expected = [(f"doc-{corpus.names[i]}", 2 * begin) for i, begin in sorted(first.items())]
        spans = [(o.doc_id, o.begin) for o in answer.occurrences]
        # At the end of a document there is no space behind the last letter.
        assert [name for name, _ in spans] == [name for name, _ in expected]
        assert all(a - b in (0, 1) for (_, a), (_, b) in zip(expected, spans, strict=True))
        assert (answer.count, answer.documents) == (len(places), len(first))


def test_both_ways_of_looking_beside_an_anchor_agree(make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the windows finds what the places of a frequent clause find."""
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(list("abcd"), 40, p=[0.5, 0.3, 0.15, 0.05])) for _ in range(20)]
    index = make_index(texts, 3)
    queries = [conjunction([[[(4,)]], [[(1, 2)], [(2, 1, EOS)]]], distance) for distance in (0, 1, 2, 7, None)]
    by_cost = index.count(queries)
    monkeypatch.setattr(conjunctions, "_stands_within", conjunctions._by_reading)
    assert index.count(queries) == by_cost
    assert 0 < by_cost[1].count < by_cost[-1].count


def test_alternatives_at_one_place_count_once(make_index: MakeIndex) -> None:
    """A clause is the union of the places of its n-grams, whichever of them is longer."""
    index = make_index(["a b c a b", "a c"])
    either = conjunction([[[(1,)], [(1, 2)], [(1, 2)]]])
    assert index.count([either])[0].count == 3


def test_distance_is_between_starts_within_one_document(make_index: MakeIndex) -> None:
    """Either way, and never across the end of a document, though the streams of two documents touch."""
    index = make_index(["a b b c", "c", "a"])
    near = [conjunction([[[(1,)]], [[(3,)]]], distance) for distance in (2, 3, None)]
    assert [found.count for found in index.count(near)] == [0, 1, 1]
    ends = conjunction([[[(1, EOS)]], [[(EOS, 1)]]], 1)
    assert index.count([ends])[0].count == 1


@pytest.mark.parametrize("deleted", [(), range(0, 200, 3)])
def test_an_estimate_is_flagged_and_within_its_error(make_index: MakeIndex, deleted: Any) -> None:
    """With more anchors than are looked at the count is estimated, near the exact one by its standard error."""
    rng = np.random.default_rng(2)
    texts = [" ".join(rng.choice(list("abcd"), 30)) for _ in range(200)]
    index = make_index(texts, 3, deleted=deleted)
    for distance in (1, 3, None):
        query = [[[(1,)]], [[(2,)]], [[(3,)]]]
        (exact,) = index.count([conjunction(query, distance)])
        (found,) = index.count([conjunction(query, distance, max_clause_count=200)])
        assert found.approximate
        assert 0 < found.standard_error < exact.count
        assert abs(found.count - exact.count) <= 4 * found.standard_error
        assert index.count([conjunction(query, distance, max_clause_count=200)]) == [found]


def test_a_limit_that_is_not_reached_changes_nothing(make_index: MakeIndex) -> None:
    """With as many anchors as are looked at, or fewer, the count is exact."""
    index = make_index(["a b", "b a b"])
    (found,) = index.count([conjunction([[[(1,)]], [[(2,)]]], max_clause_count=2)])
    assert (found.count, found.approximate, found.standard_error) == (2, False, 0.0)


def test_a_sample_without_hits_is_no_proof(make_index: MakeIndex) -> None:
    """Of anchors that all failed, the error still says that others may not."""
    index = make_index(["a " * 500, "b"])
    (found,) = index.count([conjunction([[[(1,)], [(2,)]], [[(2,)], [(1, 1)]]], 0, max_clause_count=50)])
    assert found.approximate
    assert found.standard_error > 0


@pytest.mark.parametrize(("population", "size"), [(1, 1), (10, 10), (10, 3), (10**9, 1000), (7, 0)])
def test_a_sample_is_even_and_without_replacement(population: int, size: int) -> None:
    """So many different numbers in range, ascending, no gap twice another's."""
    for seed in range(20):
        sample = even_sample(population, size, seed)
        assert len(np.unique(sample)) == size
        assert ((sample >= 0) & (sample < population)).all()
        gaps = np.diff(sample)
        assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_what_is_no_conjunction_is_refused_by_its_place(make_index: MakeIndex) -> None:
    """The error names the query, the clause and the n-gram."""
    index = make_index(["a"])
    good: Clause = [[(1,)]]
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: conjunction([]), "all_of"),
        (lambda: conjunction([good, []]), "all_of[1]"),
        (lambda: conjunction([good, [[(1,)], []]]), "all_of[1].any_of[1]"),
        (lambda: conjunction([good, [[()]]]), "all_of[1].any_of[0]"),
        (lambda: conjunction([[[(1, 9)]]]), "all_of[0].any_of[0].tokens[1]"),
        (lambda: conjunction([good], -1), "max_distance"),
        (lambda: conjunction([good], max_clause_count=0), "max_clause_count"),
    ]
    for make, field in calls:
        with pytest.raises(InvalidArgumentError) as caught:
            index.count([[[1]], make()])
        assert caught.value.field == f"queries[1].conjunction.{field}"
