"""Filters as people write them: every filter can be written, and what cannot be read is pointed at."""

import contextlib
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError
from lodex.filter_syntax import MAX_DEPTH, parse_filter
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


def equal(field: str, number: float) -> Condition:
    return Condition(field, NumberRange(number, math.nextafter(number, math.inf)))


BOOKS = Condition("source", Texts(("books",)))
DRAFT = Condition("metadata.draft", Truth(True))
OLD = Condition("date", TextRange(below="2020"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('source = "books"', BOOKS),
        ("source=='books'", BOOKS),
        ('source != "books"', NoneOf((BOOKS,))),
        ('date < "2020"', OLD),
        ('date <= "2020"', Condition("date", TextRange(below="2020\0"))),
        ('date > "2020"', Condition("date", TextRange("2020\0"))),
        ('date >= "2020"', Condition("date", TextRange("2020"))),
        ("metadata.n < 3", Condition("metadata.n", NumberRange(below=3))),
        ("metadata.n <= 3", Condition("metadata.n", NumberRange(below=math.nextafter(3, 4)))),
        ("metadata.n > -1.5e1", Condition("metadata.n", NumberRange(math.nextafter(-15, 0)))),
        ("metadata.n >= +3", Condition("metadata.n", NumberRange(3))),
        ("metadata.n = 0.1", equal("metadata.n", 0.1)),
        ("metadata.draft = TRUE", DRAFT),
        ("metadata.draft != false", NoneOf((Condition("metadata.draft", Truth(False)),))),
        ("url ^= 'https://a'", Condition("url", Prefix("https://a"))),
        ("url STARTSWITH 'https://a'", Condition("url", Prefix("https://a"))),
        ('metadata.lang in ("en", "de")', Condition("metadata.lang", Texts(("en", "de")))),
        ('title not in ("a")', NoneOf((Condition("title", Texts(("a",))),))),
        (
            'metadata.draft in ("1", 1, true)',
            AnyOf((Condition("metadata.draft", Texts(("1",))), equal("metadata.draft", 1), DRAFT)),
        ),
        ("metadata.a.b-c.0 = true", Condition("metadata.a.b-c.0", Truth(True))),
        ("metadata.'my key'.\"\\\"\" = true", Condition('metadata.my key."', Truth(True))),
        ("metadata.größe = true", Condition("metadata.größe", Truth(True))),
        (r"""title = 'it\'s \\ "so"\n'""", Condition("title", Texts(('it\'s \\ "so"\n',)))),
        ('source = "books" and metadata.draft = true', AllOf((BOOKS, DRAFT))),
        ('source = "books" OR metadata.draft = true', AnyOf((BOOKS, DRAFT))),
        (
            'metadata.draft = true or source = "books" and date < "2020" and not metadata.draft = true',
            AnyOf((DRAFT, AllOf((BOOKS, OLD, NoneOf((DRAFT,)))))),
        ),
        (
            '(metadata.draft = true or source = "books") and date < "2020"',
            AllOf((AnyOf((DRAFT, BOOKS)), OLD)),
        ),
        ("not not metadata.draft = true", NoneOf((NoneOf((DRAFT,)),))),
        ("not (metadata.draft = true) and metadata.draft = true", AllOf((NoneOf((DRAFT,)), DRAFT))),
        ('\n ( ( source\t= "books" ) ) ', BOOKS),
    ],
)  # fmt: skip
def test_a_text_says_a_filter(text: str, expected: Filter) -> None:
    """Operators, values, keys, and what binds closer."""
    assert parse_filter(text) == expected


def written(filter_: Filter) -> str:
    """One way to write a filter that has no empty list and no bound that the syntax has no number for."""
    match filter_:
        case AllOf(filters):
            return "(" + " and ".join(map(written, filters)) + ")"
        case AnyOf(filters):
            return "(" + " or ".join(map(written, filters)) + ")"
        case NoneOf(filters):
            return "not " + written(filters[0])
        case Condition(field, test):
            return written_field(field) + written_test(test)


def written_field(field: str) -> str:
    column, *keys = field.split(".")
    return column + "".join("." + quoted(key) for key in keys)


def written_test(test) -> str:
    match test:
        case Texts(values):
            return f" in ({','.join(map(quoted, values))})"
        case TextRange(low, None):
            return f">= {quoted(low)}"
        case TextRange(None, high):
            return f"<{quoted(high)}"
        case NumberRange(low, None):
            return f">= {low!r}"
        case NumberRange(None, high):
            return f"< {high!r}"
        case Truth(truth):
            return f"= {str(truth).lower()}"
        case Prefix(text):
            return f" startswith {quoted(text)}"
    raise AssertionError(test)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.text("'\"\\n.,() ", max_size=4)
numbers = st.floats(-(2.0**52), 2.0**52)
text_tests = st.one_of(
    st.lists(texts, min_size=1, max_size=3).map(lambda values: Texts(tuple(values))),
    st.builds(TextRange, texts),
    st.builds(TextRange, below=texts),
    st.builds(Prefix, texts),
)
other_tests = st.builds(NumberRange, numbers) | st.builds(NumberRange, below=numbers) | st.builds(Truth, st.booleans())
keys = texts.filter(lambda key: key and "." not in key)
metadata = st.lists(keys, min_size=1, max_size=3).map(lambda path: "metadata." + ".".join(path))
conditions = st.builds(Condition, st.sampled_from(COLUMNS), text_tests) | st.builds(
    Condition, metadata, text_tests | other_tests
)
filters = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(lambda part: NoneOf((part,))),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(filters)
def test_what_is_written_is_read_back(filter_: Filter) -> None:
    """Any texts, keys and numbers survive their quotes and escapes."""
    assert parse_filter(written(filter_)) == filter_


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "expected a field, got the end"),
        ("   ", 4, "expected a field, got the end"),
        ("source", 7, "expected a comparison, got the end"),
        ("source = ", 10, "expected a text in quotes, a number, true or false, got the end"),
        ("source = books", 10, "expected a text in quotes, a number, true or false, got 'books'"),
        ("source = 'a", 10, "a text without its closing quote"),
        (r"source = 'a\'", 10, "a text without its closing quote"),
        (r"source = 'a\x'", 12, "no escape"),
        ("lang = 'en'", 1, "no field 'lang': fields are doc_id, source"),
        ("text = 'en'", 1, "no field 'text'"),
        ("Source = 'en'", 1, "no field 'Source'"),
        ("'source' = 'a'", 1, "expected a field"),
        ("metadata = 'a'", 1, "metadata needs a key"),
        ("metadata. = 'a'", 10, "expected a key"),
        ("metadata.a. = 'a'", 12, "expected a key"),
        ("metadata.'a.b' = 'a'", 10, "has a dot"),
        ("metadata.'' = 'a'", 10, "is empty"),
        ("date > 2020", 8, "date is a text"),
        ("date in ('2020', 2021)", 18, "date is a text"),
        ("date > '2020' - 1", 15, "unexpected '-'"),
        ("date > 2020-01-01", 8, "unexpected '2': texts and dates stand in quotes"),
        ("metadata.n > 2020-01-01", 14, "texts and dates stand in quotes"),
        ("metadata.n = 1.2.3", 14, "texts and dates stand in quotes"),
        ("metadata.n = 9007199254740992", 14, "not below 2^53"),
        ("metadata.n = 1e999", 14, "not below 2^53"),
        ("metadata.n = ٣", 14, "unexpected"),
        ("metadata.n > true", 14, "have no order"),
        ("metadata.n ^= 1", 15, "expected a text in quotes"),
        ("metadata.n in ()", 16, "expected a text in quotes, a number"),
        ("metadata.n in 1", 15, "expected '('"),
        ("metadata.n in (1", 17, "expected ')', got the end"),
        ("metadata.n in (1,)", 18, "expected a text in quotes, a number"),
        ("metadata.n not 1", 16, "expected 'in'"),
        ("not", 4, "expected a field"),
        ("(source = 'a'", 14, "expected ')', got the end"),
        ("source = 'a')", 13, "expected 'and', 'or' or the end, got ')'"),
        ("source = 'a' source = 'b'", 14, "expected 'and', 'or' or the end"),
        ("source = 'a' && source = 'b'", 14, "unexpected '&'"),
        ("source = 'a' and", 17, "expected a field"),
        ("source = 'a' or or", 17, "no field 'or'"),
        ("a < b < c", 1, "no field 'a'"),
    ],
)
def test_a_fault_is_shown_where_it_is(text: str, column: int, reason: str) -> None:
    """The message names the column, and a caret stands below it."""
    with pytest.raises(InvalidArgumentError) as caught:
        parse_filter(text)
    message, line, caret = str(caught.value).split("\n")
    assert reason in message
    assert message.endswith(f", at column {column} of the filter")
    assert line == "  " + text
    assert caret == "  " + " " * (column - 1) + "^"
    assert caught.value.field == "where"


def test_a_fault_in_a_long_text_is_shown_with_what_is_around_it() -> None:
    """The line of the fault, without control characters, cut on both sides; the caret stays below the fault."""
    clause = "source = 'a' or\n" * 100 + "source = 'a' or " * 100 + "\0" + " or source = 'a'" * 100
    with pytest.raises(InvalidArgumentError) as caught:
        parse_filter(clause)
    message, line, caret = str(caught.value).split("\n")
    assert message == "unexpected '\\x00', at line 101, column 1601 of the filter"
    assert len(line) < 130
    assert line[caret.index("^") - 4 :].startswith(" or   or source")


@pytest.mark.parametrize("opening", ["(", "not ", "not ("])
def test_nesting_has_a_bound(opening: str) -> None:
    """Neither parentheses nor negations exhaust the stack; up to the bound they are read."""
    deep = MAX_DEPTH // (len(opening.split()) if opening != "(" else 1)
    closing = ")" * opening.count("(")
    parse_filter(opening * deep + "source = 'a'" + closing * deep)
    with pytest.raises(InvalidArgumentError, match="64 parentheses and negations"):
        parse_filter(opening * 100_000 + "source = 'a'" + closing * 100_000)


def test_a_long_filter_is_read_in_one_pass() -> None:
    """A hundred thousand texts and as many conditions are lists, not nests."""
    many = ", ".join(f"'{i}'" for i in range(100_000))
    assert parse_filter(f"doc_id in ({many})") == Condition("doc_id", Texts(tuple(map(str, range(100_000)))))
    assert len(parse_filter(" or ".join(["source = 'a'"] * 20_000)).filters) == 20_000


PIECES = [
    "source", "metadata", ".", "a", "'", '"', "\\", "(", ")", " ", "not", "in", "and", "=", "<", "^=", ",", "1", "-",
    "e", "true", "\n", "é", "\U0001f600",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(max_size=20))
@example("metadata.\ud800 = 'a'")
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other error than the one that shows a place within the text."""
    with contextlib.suppress(InvalidArgumentError):
        parse_filter(text)
