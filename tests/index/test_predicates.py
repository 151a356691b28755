"""Filters over documents answer as a plain reading of each document does."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError
from lodex.filters import (
    COLUMNS,
    AllOf,
    AnyOf,
    Condition,
    Filter,
    NoneOf,
    NumberRange,
    Prefix,
    Test,
    TextRange,
    Texts,
    Truth,
)
from lodex.index import segment as segments
from lodex.index.deletions import Deletions
from lodex.index.predicates import matching_batches, matching_documents, matching_rows
from lodex.index.segment import Segment
from lodex.index.store import Store
from lodex.types import Document

# Astral and private characters tell the order of code points from that of UTF-16; quotes and colons look like JSON.
WORDS = ("", "a", "a\0", "ab", "b", "é", "\uffff", "\U0001f600", 'x":', '"a":1', "2020", "2020-01-01", "日本")
KEYS = ("a", "b", 'x"', "é", "\\", "\n")


def is_true(filter_: Filter, document: Document) -> bool:
    """The filter as its definition reads, for one document."""
    match filter_:
        case AllOf(filters):
            return all(is_true(part, document) for part in filters)
        case AnyOf(filters):
            return any(is_true(part, document) for part in filters)
        case NoneOf(filters):
            return not any(is_true(part, document) for part in filters)
    if filter_.field in COLUMNS:
        text = getattr(document, filter_.field)
        return text != "" and passes(filter_.test, text)
    value: Any = document.metadata
    for key in filter_.field.removeprefix("metadata.").split("."):
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return passes(filter_.test, value)


def passes(test: Test, value: Any) -> bool:
    """One test of one value."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match test:
        case Texts(values):
            return any(isinstance(value, str) and value == text for text in values)
        case TextRange(low, high):
            return isinstance(value, str) and (low is None or value >= low) and (high is None or value < high)
        case NumberRange(low, high):
            return is_number and (low is None or value >= low) and (high is None or value < high)
        case Truth(truth):
            return isinstance(value, bool) and value == truth
        case Prefix(text):
            return isinstance(value, str) and value[: len(text)] == text


words = st.sampled_from(WORDS)
numbers = st.sampled_from([-1.5, -0.0, 0, 1, 1.0, 2**53 + 1, 1e300])
values = st.recursive(
    st.none() | st.booleans() | words | numbers,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2),
    max_leaves=4,
)
bounds = st.none() | st.sampled_from([-2.0, -1.5, 0.0, 1.0, 2.0**53, float("inf"), float("-inf"), float("nan")])
tests = st.one_of(
    st.lists(words, max_size=3).map(lambda texts: Texts(tuple(texts))),
    st.builds(TextRange, st.none() | words, st.none() | words),
    st.builds(NumberRange, bounds, bounds),
    st.builds(Truth, st.booleans()),
    st.builds(Prefix, words),
)
paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(lambda keys: "metadata." + ".".join(keys))
conditions = st.builds(Condition, st.sampled_from(COLUMNS) | paths, tests)
lists_of = {kind: lambda inner, kind=kind: st.lists(inner, max_size=3).map(lambda parts: kind(tuple(parts)))
            for kind in (AllOf, AnyOf, NoneOf)}  # fmt: skip
filters = st.recursive(conditions, lambda inner: st.one_of(*(make(inner) for make in lists_of.values())), max_leaves=6)
fields = st.tuples(words, words, words, words, st.dictionaries(st.sampled_from(KEYS), values, max_size=3))


@settings(max_examples=40, deadline=None)
@given(contents=st.lists(fields, max_size=12), asked=st.lists(filters, min_size=1, max_size=12), data=st.data())
def test_a_filter_is_true_for_the_rows_that_its_definition_says(tmp_path_factory, contents, asked, data):
    """Any filter over any documents, from any row on, in record batches of three rows and without deleted rows."""
    documents = [Document(f"{WORDS[i % 6 or 1]}{i}".replace("\0", "_"), "t", *rest) for i, rest in enumerate(contents)]
    store = Store.create(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_ROWS_PER_BATCH", 3)
        store.add(documents)
    snapshot = store.snapshot()
    for filter_ in asked:
        expected = [i for i, document in enumerate(documents) if is_true(filter_, document)]
        found = matching_documents(snapshot, filter_)
        assert [row for rows in found.values() for row in rows.tolist()] == expected
    for segment in snapshot.segments:
        gone = data.draw(st.sets(st.integers(0, len(documents) - 1)))
        deletions = Deletions(np.array(sorted(gone), np.uint32), len(documents))
        rows = matching_rows(segment, asked[-1], deletions)
        assert rows.dtype == np.uint32
        assert rows.tolist() == [row for row in expected if row not in gone]
        first = data.draw(st.integers(0, len(documents)))
        later = [row for batch in matching_batches(segment, asked[-1], first_row=first) for row in batch.tolist()]
        assert later == [row for row in expected if row >= first]


def one_segment(path: Path, documents: list[Document]) -> Segment:
    store = Store.create(path)
    store.add(documents)
    (segment,) = store.snapshot().segments
    return segment


EVERY_VALUE = (*WORDS, -1.5, -0.0, 0, 1, 1.0, 2**53 + 1, True, False, None, [], {}, {"é": "a"})
EVERY_TEST = (
    Truth(True),
    Truth(False),
    Texts(()),
    Texts(WORDS[::2]),
    *(Prefix(word) for word in WORDS),
    *(TextRange(low, high) for low in (None, *WORDS[:8]) for high in (None, *WORDS[:8])),
    *(NumberRange(low, high) for low in (None, -1.5, 0, 1) for high in (None, 0, 1, 2.0**53)),
)


def test_every_test_of_every_kind_of_value(tmp_path: Path) -> None:
    """Each bound met exactly, in columns, in metadata, and below a key that JSON escapes or not."""
    documents = [
        Document(f"d{i}", "", value if isinstance(value, str) else "", metadata={key: value, "b": {key: value}})
        for i, (value, key) in enumerate(product(EVERY_VALUE, KEYS))
    ]
    segment = one_segment(tmp_path / "s", documents)
    fields = ["source", "doc_id", *(f"metadata.{key}" for key in KEYS), *(f"metadata.b.{key}" for key in KEYS)]
    for condition in (Condition(field, test) for field in fields for test in EVERY_TEST):
        expected = [i for i, document in enumerate(documents) if is_true(condition, document)]
        assert matching_rows(segment, condition).tolist() == expected, condition


def test_each_condition_reads_the_metadata_that_the_others_left(tmp_path: Path) -> None:
    """Rows parsed for one path are right for the next one, those that were not yet are parsed then."""
    documents = [Document(f"d{i}", "", metadata={"ab"[i % 2]: i, "c": i % 3}) for i in range(12)]
    segment = one_segment(tmp_path / "s", documents)
    a, b, c = (Condition(f"metadata.{key}", NumberRange(1, 10)) for key in "abc")
    for filter_ in (AnyOf((a, b)), AnyOf((a, c)), AllOf((AnyOf((a, b)), c)), NoneOf((b, c))):
        expected = [i for i, document in enumerate(documents) if is_true(filter_, document)]
        assert 0 < len(expected) < 12
        assert matching_rows(segment, filter_).tolist() == expected


def test_an_empty_field_is_a_lacking_one(tmp_path: Path) -> None:
    """A document without a date is neither old nor new, but not old and not new; an empty text in metadata is one."""
    segment = one_segment(tmp_path / "s", [Document("a", "", metadata={"x": ""}), Document("b", "", date="2020")])
    old, new = Condition("date", TextRange(below="2021")), Condition("date", TextRange("2021"))
    assert matching_rows(segment, AnyOf((old, new))).tolist() == [1]
    assert matching_rows(segment, NoneOf((old, new))).tolist() == [0]
    assert matching_rows(segment, Condition("date", Texts(("",)))).tolist() == []
    assert matching_rows(segment, Condition("metadata.x", Texts(("",)))).tolist() == [0]


def test_values_of_other_kinds_do_not_pass(tmp_path: Path) -> None:
    """A truth is no 1, "1" is no number, null and lists are nothing; whole numbers are compared exactly."""
    values = [1, 1.0, True, "1", None, [1], {"y": 1}, 2**53 + 1]
    segment = one_segment(tmp_path / "s", [Document(str(i), "", metadata={"x": x}) for i, x in enumerate(values)])
    assert matching_rows(segment, Condition("metadata.x", NumberRange())).tolist() == [0, 1, 7]
    assert matching_rows(segment, Condition("metadata.x", Truth(True))).tolist() == [2]
    assert matching_rows(segment, Condition("metadata.x", Prefix(""))).tolist() == [3]
    assert matching_rows(segment, Condition("metadata.x.y", NumberRange(1, 2))).tolist() == [6]
    assert matching_rows(segment, Condition("metadata.x", NumberRange(2**53, 2**53 + 2))).tolist() == [7]
    assert matching_rows(segment, Condition("metadata.x", NumberRange(below=2.0**53))).tolist() == [0, 1]


def test_a_lone_surrogate_has_its_place_among_code_points(tmp_path: Path) -> None:
    """No document has one, and a filter that does is answered like any other."""
    segment = one_segment(
        tmp_path / "s", [Document("a", "", "\ud7ff", metadata={"x": "é"}), Document("b", "", "\ue000")]
    )
    for test in (Texts(("\ud800", "\ue000")), TextRange("\ud800")):
        assert matching_rows(segment, Condition("source", test)).tolist() == [1]
    assert matching_rows(segment, Condition("source", Prefix("\ud800"))).tolist() == []
    assert matching_rows(segment, Condition("metadata.\ud800", Prefix(""))).tolist() == []


@pytest.mark.parametrize(
    "field", ["", "text", "metadata", "metadata.", "metadata.a..b", "metadata.a.", "lang", "Doc_id"]
)
def test_a_field_that_no_document_has_is_refused(field: str) -> None:
    """Misspelt names are told from fields that are not set."""
    with pytest.raises(InvalidArgumentError, match="fields are doc_id, source, title, url, date and metadata"):
        Condition(field, Truth(True))
