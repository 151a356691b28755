"""Ranks: what find gives is what locate takes, and places that are none fail by themselves."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError, LodexError, NotFoundError
from lodex.types import Occurrence, Rank
from tests.index.ngram_oracle import EOS, Ids, MakeIndex, index_maker, live_corpus, spell


@pytest.fixture
def make_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeIndex:
    """Builds an index over documents, given as texts, in some number of segments."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    return index_maker(tmp_path)


documents = st.lists(st.lists(st.integers(1, 3), max_size=8).map(tuple), min_size=1, max_size=7)
stores = st.tuples(documents, st.integers(1, 5), st.frozensets(st.integers(1, 6), max_size=4))
sequences = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@given(stores, st.lists(sequences, min_size=30, max_size=40))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ranks_of_an_ngram_are_its_places(
    make_index: MakeIndex, store: tuple[list[Ids], int, frozenset[int]], asked: list[Ids]
) -> None:
    """Every rank of every range stands where the oracle finds the n-gram, or in a deleted document."""
    documents, segments, deleted = store
    deleted = deleted & frozenset(range(len(documents)))
    index = make_index([spell(document) for document in documents], segments, deleted=deleted)
    corpus = live_corpus(documents, segments, deleted)
    for ngram, found in zip(asked, index.find([[ids] for ids in asked]), strict=True):
        ranks = [Rank(r.segment_id, rank) for r in found.ranges for rank in range(r.begin, r.end)]
        assert all(r.begin < r.end for r in found.ranges)
        size = max(len(ngram), 1)
        located = [one for one in index.locate(ranks, size, 0) if isinstance(one, Occurrence)]
        starts = corpus.starts(ngram)
        assert len(located) == found.count == len(starts)
        expected = sorted(
            (f"doc-{corpus.names[i]}", spell(tuple(t for t in corpus.documents[i][s : s + size] if t != EOS)))
            for i, s in starts
        )
        assert sorted((o.doc_id, o.match) for o in located) == expected


def test_positions_are_those_of_the_stream(make_index: MakeIndex) -> None:
    """Separators included: the first position is that before the first document, with nothing of it matched."""
    index = make_index(["a b c", "", "d"])
    (found,) = index.find([[()]])
    segment = found.ranges[0].segment_id
    shown = index.locate([Rank(segment, position=i) for i in range(6)], 2, 1)
    assert [(o.doc_id, o.before, o.match, o.after) for o in shown if isinstance(o, Occurrence)] == [
        ("doc-0", "", "a", " b"),
        ("doc-0", "", "a b", " c"),
        ("doc-0", "a ", "b c", ""),
        ("doc-0", "b ", "c", ""),
        ("doc-1", "", "", ""),
        ("doc-2", "", "d", ""),
    ]


def test_places_that_are_none_fail_by_themselves(make_index: MakeIndex) -> None:
    """Deleted documents, unknown segments and places beyond are NOT_FOUND; a rank and a position exclude each other."""
    index = make_index(["a", "b", "c"], deleted=[1])
    segment = index.find([[(1,)]])[0].ranges[0].segment_id
    (b_range,) = index.find([[(2,)]])[0].ranges
    asked = [
        Rank(segment, position=1),
        Rank(segment, b_range.begin),
        Rank(segment, position=3),
        Rank("0" * 32, 0),
        Rank(segment, 6),
        Rank(segment, -1),
        Rank(segment, position=6),
        Rank(segment),
        Rank(segment, 1, 1),
    ]
    first, *errors = index.locate(asked)
    assert isinstance(first, Occurrence)
    kinds: list[type[LodexError]] = [NotFoundError] * 6 + [InvalidArgumentError] * 2
    assert [type(error) for error in errors] == kinds
    assert [error.field for error in errors if isinstance(error, InvalidArgumentError)] == ["ranks[7]", "ranks[8]"]


def test_deleted_documents_keep_their_ranks(make_index: MakeIndex) -> None:
    """The count of `find` has live places alone, its ranges all."""
    index = make_index(["a b", "a c", "a"], deleted=[1])
    (found,) = index.find([[(1,)]])
    assert found.count == 2
    assert [r.end - r.begin for r in found.ranges] == [3]
