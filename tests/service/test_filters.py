"""Filters in requests: both ways without loss, and each fault and limit by the path of its field."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodex.client.filters import filter_message
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
    TextRange,
    Texts,
    Truth,
)
from lodex.service.filters import MAX_DEPTH, MAX_LIST, MAX_TEXTS, read_filter
from lodex.v1 import common_pb2

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
numbers = st.none() | st.floats(allow_nan=False)
tests = st.one_of(
    st.lists(texts, max_size=3).map(lambda values: Texts(tuple(values))),
    st.builds(TextRange, st.none() | texts, st.none() | texts),
    st.builds(NumberRange, numbers, numbers),
    st.builds(Truth, st.booleans()),
    st.builds(Prefix, texts),
)
conditions = st.builds(Condition, st.sampled_from((*COLUMNS, "metadata.a", "metadata.a.é b")), tests)
filters = st.recursive(
    conditions,
    lambda inner: st.builds(
        lambda kind, parts: kind(tuple(parts)), st.sampled_from((AllOf, AnyOf, NoneOf)), st.lists(inner, max_size=3)
    ),
    max_leaves=6,
)


@given(filters)
def test_a_filter_survives_its_message(filter_: Filter) -> None:
    """Empty texts, empty lists and absent bounds stay what they are."""
    sent = filter_message(filter_).SerializeToString()
    assert read_filter(common_pb2.Filter.FromString(sent)) == filter_


def test_a_written_filter_is_sent_as_what_it_says() -> None:
    """Text and value make the same message."""
    assert filter_message('source = "a"') == filter_message(Condition("source", Texts(("a",))))


OPEN = {"field": "source", "prefix": ""}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "filter.predicate"),
        ({"condition": {"field": "source"}}, "filter.condition.test"),
        ({"condition": {"field": "text", "prefix": ""}}, "filter.condition.field"),
        ({"condition": {"prefix": ""}}, "filter.condition.field"),
        ({"condition": {"field": "metadata.", "prefix": ""}}, "filter.condition.field"),
        ({"all_of": {"filters": [{"condition": OPEN}, {}]}}, "filter.all_of.filters[1].predicate"),
        (
            {"any_of": {"filters": [{"none_of": {"filters": [{"condition": {"field": "source"}}]}}]}},
            "filter.any_of.filters[0].none_of.filters[0].condition.test",
        ),
        (
            {"condition": {"field": "metadata.n", "number_range": {"below": math.nan}}},
            "filter.condition.number_range.below",
        ),
        (
            {"condition": {"field": "source", "texts": {"values": ["a"] * (MAX_TEXTS + 1)}}},
            "filter.condition.texts.values",
        ),
        ({"all_of": {"filters": [{"condition": OPEN}] * (MAX_LIST + 1)}}, "filter.all_of.filters"),
    ],
)
def test_a_fault_is_named_by_its_path(message: dict, field: str) -> None:
    """What is missing, unknown or too long stands at a path of the request."""
    with pytest.raises(InvalidArgumentError) as caught:
        read_filter(common_pb2.Filter(**message))
    assert caught.value.field == field
    assert field in str(caught.value)


def test_what_is_just_within_the_limits_is_read() -> None:
    """As many texts, as many filters and as deep lists as the contract says; one list more is too deep."""
    filter_: Filter = Condition("doc_id", Texts(tuple(map(str, range(MAX_TEXTS)))))
    filter_ = AllOf((filter_, *[Condition("source", Prefix(""))] * (MAX_LIST - 1)))
    for _ in range(MAX_DEPTH - 1):
        filter_ = NoneOf((filter_,))
    assert read_filter(filter_message(filter_)) == filter_
    with pytest.raises(InvalidArgumentError, match="8 deep") as caught:
        read_filter(filter_message(AnyOf((filter_,))))
    assert caught.value.field == "filter.any_of" + ".filters[0].none_of" * 7 + ".filters[0].all_of"


@pytest.mark.parametrize(
    ("filter_", "field"),
    [
        (Condition("source", Prefix("\ud800")), "where.prefix"),
        (Condition("metadata.\ud800", Truth(True)), "where.field"),
        (AllOf((Condition("source", Texts(("\ud800",))),)), "where.filters[0].test.values"),
        (Condition("source", TextRange(below=3)), "where.test.below"),  # type: ignore[arg-type]
        (Condition("metadata.n", NumberRange("3")), "where.test.at_least"),  # type: ignore[arg-type]
        (Condition("source", "books"), "where.test"),  # type: ignore[arg-type]
        (NoneOf((3,)), "where.filters[0]"),  # type: ignore[arg-type]
        (3, "where"),
    ],
)
def test_a_value_without_a_place_in_a_message_is_named(filter_: Filter, field: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgumentError) as caught:
        filter_message(filter_)
    assert caught.value.field == field
