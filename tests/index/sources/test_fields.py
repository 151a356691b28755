"""The mapping from rows to documents."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.fields import Fields, is_iso_date, plain
from lodex.types import Document

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


def fault_of(fields: Fields, row: dict[str, Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        fields.document(row, "file", 1)
    return caught.value


def test_a_beir_row_keeps_its_title_apart_from_its_text() -> None:
    """`_id`, `title` and `text` are found by name, and the rest is metadata."""
    row = {"_id": "7", "title": "T", "text": "body", "metadata": {"pmid": 1}}
    assert Fields().document(row, "corpus.jsonl", 3) == Document(
        "7", "body", source="corpus.jsonl", title="T", metadata={"metadata": {"pmid": 1}}
    )


@pytest.mark.parametrize("name", ["text", "contents", "content", "body"])
def test_the_usual_names_of_the_text_are_known(name: str) -> None:
    """Any of them is taken without a flag."""
    assert Fields().document({name: "x"}, "f", 1).text == "x"


def test_named_fields_win_over_usual_ones() -> None:
    """A usual name that is not asked for stays in the metadata."""
    fields = Fields(id="key", text="abstract", title="headline", url="link", source="from", date="day")
    row = {"key": 12, "abstract": "a", "headline": "h", "link": "u", "from": "s", "day": "2024-05-01", "text": "t"}
    assert fields.document(row, "f", 1) == Document("12", "a", "s", "h", "u", "2024-05-01", {"text": "t"})


def test_a_row_without_an_id_is_called_by_file_and_line() -> None:
    """The default doc_id depends on nothing but the file's name and the line."""
    assert Fields().document({"text": "x"}, "a/b.jsonl", 9).doc_id == "a/b.jsonl:9"


def test_only_the_named_metadata_is_kept() -> None:
    """Metadata fields that a row lacks are no fault; an empty choice keeps none."""
    row = {"text": "x", "a": 1, "b": 2, "title": "T"}
    assert Fields(metadata=("a", "title", "c")).document(row, "f", 1).metadata == {"a": 1, "title": "T"}
    assert Fields(metadata=()).document(row, "f", 1).metadata == {}


@pytest.mark.parametrize(
    ("fields", "row", "kind", "message"),
    [
        (Fields(), {"id": "a"}, Fault.MISSING_FIELD, "no field 'text' or 'contents' or 'content' or 'body'; there are"),
        (Fields(text="abstract"), {"text": "a"}, Fault.MISSING_FIELD, "no field 'abstract'; there are 'text'"),
        (Fields(id="key"), {"text": "a"}, Fault.MISSING_FIELD, "no field 'key'"),
        (Fields(), {"id": "", "text": "a"}, Fault.MISSING_FIELD, "field 'id' is empty"),
        (
            Fields(),
            {"id": None, "text": "a"},
            Fault.WRONG_TYPE,
            "field 'id' must be a string or an integer, not NoneType",
        ),
        (Fields(), {"id": True, "text": "a"}, Fault.WRONG_TYPE, "field 'id' must be a string or an integer, not bool"),
        (Fields(), {"id": 1.5, "text": "a"}, Fault.WRONG_TYPE, "field 'id' must be a string or an integer, not float"),
        (Fields(), {"id": "\ud800", "text": "a"}, Fault.WRONG_TYPE, "field 'id' is not valid Unicode"),
        (Fields(), {"text": ["a"]}, Fault.WRONG_TYPE, "field 'text' must be a string, not list"),
        (Fields(), {"text": None}, Fault.WRONG_TYPE, "field 'text' must be a string, not NoneType"),
        (Fields(), {"text": b"\xff"}, Fault.WRONG_TYPE, "field 'text' holds bytes that are not UTF-8"),
        (Fields(title="title"), {"text": "a", "title": 3}, Fault.WRONG_TYPE, "field 'title' must be a string, not int"),
        (
            Fields(date="date"),
            {"text": "a", "date": "1st May"},
            Fault.WRONG_TYPE,
            "must be an ISO 8601 date, not '1st May'",
        ),
        (Fields(), {"text": "a", "x": float("inf")}, Fault.WRONG_TYPE, "field 'x' is infinite"),
        (Fields(), {"text": "a", "x": {"y": [b"\xff"]}}, Fault.WRONG_TYPE, "field 'x' holds bytes that are not UTF-8"),
        (Fields(), {"text": "a", "x": object()}, Fault.WRONG_TYPE, "field 'x' is of type object"),
    ],
)
def test_faults_name_the_field(fields: Fields, row: dict[str, Any], kind: Fault, message: str) -> None:
    """A missing or wrong field is named, with what was expected and what came."""
    fault = fault_of(fields, row)
    assert fault.kind == kind
    assert message in str(fault)


def test_a_usual_field_of_another_kind_stays_in_the_metadata() -> None:
    """Nobody asked for `date`, `title` or `source`, so a value of another sort is no error and is not lost."""
    row = {"text": "x", "date": "May 1st", "title": ["a", "b"], "source": {"name": "web"}, "url": None}
    document = Fields().document(row, "f", 1)
    assert (document.date, document.title, document.source, document.url) == ("", "", "f", "")
    assert document.metadata == {"date": "May 1st", "title": ["a", "b"], "source": {"name": "web"}}


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("", True),
        ("2024", True),
        ("2024-05", True),
        ("2024-05-01", True),
        ("20240501", True),
        ("2024-05-01T10:00:00Z", True),
        ("2024-05-01 10:00:00.123456+02:00", True),
        ("2024-13", False),
        ("2024-02-30", False),
        ("01.05.2024", False),
        ("yesterday", False),
    ],
)
def test_dates_are_iso_8601(value: str, valid: bool) -> None:
    """Years, months, days and moments are dates; what must be guessed at is not."""
    assert is_iso_date(value) is valid


def test_dates_and_decimals_of_tables_become_text() -> None:
    """Typed values are written as ISO 8601 and in full precision."""
    moment = datetime(2024, 5, 1, 10, tzinfo=UTC)
    document = Fields().document({"text": "x", "date": moment, "day": date(2024, 5, 1), "n": Decimal("0.10")}, "f", 1)
    assert document.date == "2024-05-01T10:00:00+00:00"
    assert document.metadata == {"day": "2024-05-01", "n": "0.10"}


@given(JSON)
def test_json_values_are_kept_as_they_are(value: Any) -> None:
    """Nested metadata is not changed."""
    assert plain(value, "x") == value


def test_nan_becomes_null() -> None:
    """NaN stands for a missing value in data that pandas wrote, and JSON has no NaN; as a title it is no title."""
    document = Fields().document({"text": "x", "title": float("nan"), "a": [float("nan")]}, "f", 1)
    assert document.title == ""
    assert document.metadata == {"a": [None]}


def test_metadata_nested_without_end_is_refused() -> None:
    """A value that could not be read back is not written."""
    value: Any = 1
    for _ in range(100):
        value = [value]
    assert "nested more than 64 levels deep" in str(fault_of(Fields(), {"text": "x", "a": value}))
