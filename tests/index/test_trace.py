"""Traces: every span by trying all of them, and the documents that hold it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError
from lodex.filters import Condition, Texts
from lodex.index import spans as spans_module
from lodex.index.tokenizer import Tokenizer
from lodex.types import SpanRanking
from tests.index.ngram_oracle import Ids, MakeIndex, index_maker, live_corpus, spell


@pytest.fixture
def make_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeIndex:
    """Builds an index over documents, given as texts, in some number of segments."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    return index_maker(tmp_path)


documents = st.lists(st.lists(st.integers(1, 3), max_size=10).map(tuple), min_size=1, max_size=8)
stores = st.tuples(documents, st.integers(1, 5), st.frozensets(st.integers(1, 7), max_size=5))
texts = st.lists(st.integers(0, 4), max_size=14).map(tuple)
rules = st.fixed_dictionaries(
    {
        "min_length": st.integers(1, 3),
        "max_count": st.sampled_from([0, 0, 1, 2, 5]),
        "max_density": st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        "ranking": st.sampled_from(SpanRanking),
    }
)
delimiters = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple), max_size=2)
word_starts = st.one_of(st.none(), st.frozensets(st.integers(1, 4)))
asked = st.tuples(texts, rules, delimiters, word_starts, st.integers(0, 3))


@given(stores, st.lists(asked, min_size=20, max_size=30))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spans_are_those_of_trying_all(
    make_index: MakeIndex,
    store: tuple[list[Ids], int, frozenset[int]],
    asked: list[tuple[Ids, dict[str, Any], list[Ids], frozenset[int] | None, int]],
) -> None:
    """Spans, counts, log-probabilities and documents equal the oracle's, whatever the rules."""
    documents, segments, deleted = store
    deleted = deleted & frozenset(range(len(documents)))
    index = make_index([spell(document) for document in documents], segments, deleted=deleted)
    corpus = live_corpus(documents, segments, deleted)
    for text, how, breaks, starts, shown in asked:
        mask = None if starts is None else np.array([i in starts for i in range(6)])
        (found,) = index.trace([text], **how, delimiters=breaks, is_word_start=mask, max_documents=shown)
        by_length = how["ranking"] is SpanRanking.LENGTH
        expected = corpus.spans(
            text, how["min_length"], how["max_count"], how["max_density"], by_length, breaks, starts
        )
        assert found.token_ids.tolist() == list(text)
        assert [(span.begin, span.end, span.count) for span in found.spans] == expected
        for span in found.spans:
            ids = text[span.begin : span.end]
            assert abs(span.unigram_log_probability - corpus.unigrams(ids)) < 1e-9
            first: dict[int, int] = {}
            for i, start in sorted(corpus.starts(ids)):
                first.setdefault(i, 2 * (start - 1))
            places = [(f"doc-{corpus.names[i]}", begin) for i, begin in first.items()][:shown]
            assert [(o.doc_id, o.begin) for o in span.occurrences] == places
            assert all(o.match == spell(ids) for o in span.occurrences)


def test_documents_of_frequent_spans_are_found_beyond_the_first_ranks(
    make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many places of one document or of deleted ones come first, as many documents are shown as there are."""
    monkeypatch.setattr(spans_module, "_FIRST_RANKS", 1)
    monkeypatch.setattr(spans_module, "_GROWTH", 2)
    index = make_index(["a " * 300, "b a b", "a b", *["a c"] * 20, "b b a"], 2, deleted=range(3, 15))
    for shown in (1, 2, 5, 12, 40):
        (found,) = index.trace([[1]], max_count=0, max_density=1.0, max_documents=shown)
        (span,) = found.spans
        names = [o.doc_id for o in span.occurrences]
        assert len(set(names)) == len(names) == min(shown, 12)
        assert all(o.match == "a" for o in span.occurrences)


def test_documents_are_filtered_and_spans_are_not(make_index: MakeIndex) -> None:
    """A span that no document of the filter holds is there, without documents."""
    index = make_index(["a b", "a c", "a b"])
    (found,) = index.trace([[1, 3]], max_density=1.0, where=Condition("source", Texts(("s0",))))
    assert [(span.count, span.occurrences) for span in found.spans] == [(1, ())]
    (found,) = index.trace([[1, 2]], max_density=1.0, where=Condition("source", Texts(("s0",))))
    assert [o.doc_id for o in found.spans[0].occurrences] == ["doc-0", "doc-2"]


def test_words_are_whole_and_bytes_those_of_the_text(make_index: MakeIndex) -> None:
    """With byte-level tokens, delimiters joined to others, and a text whose bytes are known."""
    tokenizer = Tokenizer.load()
    corpus = "The naïve catalogue of ships, said Homer. It went on for years."
    index = make_index([corpus, "nothing of this"], 2, tokenizer)
    text = "A naïve catalogue of shipsters said Homer. It went on for year"
    breaks = index.delimiter_tokens([".", "\n"])
    (found,) = index.trace(
        [tokenizer.encode(text)],
        max_density=1.0,
        max_count=1,
        min_length=2,
        delimiters=breaks,
        is_word_start=index.word_starts,
        strings=[text],
    )
    spans = [span.text for span in found.spans]
    assert spans == [" naïve catalogue of", " said Homer.", " It went on for"]
    data = text.encode()
    assert [data[span.begin_byte : span.end_byte].decode() for span in found.spans] == spans
    assert [o.doc_id for o in found.spans[1].occurrences] == ["doc-0"]
    (plain,) = index.trace([tokenizer.encode(text)], max_density=1.0, max_count=1, min_length=2)
    assert any(" Homer. It went on" in span.text for span in plain.spans)
    assert {(span.begin_byte, span.end_byte) for span in plain.spans} == {(0, 0)}


def test_arguments_are_checked(make_index: MakeIndex) -> None:
    """Each refusal names its field."""
    index = make_index(["a"])
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: index.trace([[1], [9]]), "texts[1].tokens[0]"),
        (lambda: index.trace([[1]], min_length=0), "min_length"),
        (lambda: index.trace([[1]], max_count=-1), "max_count"),
        (lambda: index.trace([[1]], max_density=1.5), "max_density"),
        (lambda: index.trace([[1]], max_documents=-1), "max_documents"),
        (lambda: index.trace([[1]], context_tokens=-1), "context_tokens"),
        (lambda: index.trace([[1]], delimiters=[[1], []]), "delimiters"),
        (lambda: index.trace([[1]], delimiters=[[1], [9]]), "delimiters[1].tokens[0]"),
        (lambda: index.trace([[1]], is_word_start=np.ones(5, np.bool_)), "is_word_start"),
        (lambda: index.trace([[1]], strings=[]), "strings"),
    ]
    for call, field in calls:
        with pytest.raises(InvalidArgumentError) as caught:
            call()
        assert caught.value.field == field
