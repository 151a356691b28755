"""Filters as people write them.

    source = "books" and date >= "2020" and metadata.lang in ("en", "de") and not metadata.draft = true

    filter  = both { "or" both }
    both    = single { "and" single }
    single  = "not" single | "(" filter ")" | test
    test    = field ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ) value
            | field ( "^=" | "startswith" ) text
            | field [ "not" ] "in" "(" value { "," value } ")"
    field   = "doc_id" | "source" | "title" | "url" | "date" | "metadata" "." key { "." key }
    key     = letters, digits, "_" and "-" | text
    value   = text | number | "true" | "false"
    text    = in '...' or "...", where a backslash stands before a quote, a backslash, n, r or t

Words are read in any case. `a != b` is `not a = b`, so it holds where the field is missing. Texts are ordered by code
points: `date <= "2020-12-31"` leaves out "2020-12-31T12:00", `date < "2021"` does not. Numbers are below 2^53, where
every one of them is told from its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

from lodex.filter_tokens import Tokenizer, refuse
from lodex.filters import (
    COLUMNS,
    METADATA,
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

MAX_DEPTH = 64
"""Parentheses and negations within each other."""

_ORDERED = ("<", "<=", ">", ">=")
_PREFIXED = ("^=", "startswith")
_OPERATORS = ("=", "==", "!=", *_ORDERED, *_PREFIXED)


def parse_filter(text: str) -> Filter:
    """The filter that a text says; InvalidArgumentError shows the place that cannot be read."""
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over the grammar above, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokenizer = Tokenizer(text)
        self._token = self._tokenizer.next()
        self._depth = 0

    def parse(self) -> Filter:
        filter_ = self._any()
        if self._token.kind != "end":
            self._expected("'and', 'or' or the end")
        return filter_

    def _any(self) -> Filter:
        return self._joined(self._all, "or", AnyOf)

    def _all(self) -> Filter:
        return self._joined(self._single, "and", AllOf)

    def _joined(self, part: Callable[[], Filter], word: str, kind: type[AllOf | AnyOf]) -> Filter:
        parts = [part()]
        while self._accept(word):
            parts.append(part())
        return kind(tuple(parts)) if len(parts) > 1 else parts[0]

    def _single(self) -> Filter:
        begin = self._token.begin
        if self._accept("not"):
            return NoneOf((self._nested(self._single, begin),))
        if self._accept("("):
            filter_ = self._nested(self._any, begin)
            self._require(")")
            return filter_
        return self._test()

    def _nested(self, part: Callable[[], Filter], begin: int) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            refuse(self._text, begin, f"more than {MAX_DEPTH} parentheses and negations within each other")
        filter_ = part()
        self._depth -= 1
        return filter_

    def _test(self) -> Filter:
        field = self._field()
        negated = self._accept("not")
        if self._accept("in"):
            return self._negated(self._membership(field), negated)
        if negated:
            self._expected("'in'")
        operator = next((operator for operator in _OPERATORS if self._accept(operator)), "")
        if not operator:
            self._expected("a comparison")
        return Condition(field, self._prefix()) if operator in _PREFIXED else self._comparison(field, operator)

    def _field(self) -> str:
        token = self._token
        if token.kind == "word":
            known = ", ".join(COLUMNS)
            refuse(self._text, token.begin, f"no field {str(token.value)[:40]!r}: fields are {known} and {METADATA}KEY")
        if token.kind != "field":
            self._expected("a field")
        self._token = self._tokenizer.next()
        return str(token.value)

    @staticmethod
    def _negated(filter_: Filter, negated: bool) -> Filter:
        return NoneOf((filter_,)) if negated else filter_

    def _membership(self, field: str) -> Filter:
        """One of a list: its texts as one condition, every other value as one of its own."""
        self._require("(")
        values = [self._value(field)]
        while self._accept(","):
            values.append(self._value(field))
        self._require(")")
        texts = tuple(value for value in values if isinstance(value, str))
        conditions = [Condition(field, Texts(texts))] if texts else []
        conditions += [_equal(field, value) for value in values if not isinstance(value, str)]
        return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))

    def _prefix(self) -> Prefix:
        token = self._token
        if token.kind != "text":
            self._expected("a text in quotes")
        self._token = self._tokenizer.next()
        return Prefix(str(token.value))

    def _comparison(self, field: str, operator: str) -> Filter:
        begin = self._token.begin
        value = self._value(field)
        if operator not in _ORDERED:
            return self._negated(_equal(field, value), operator == "!=")
        if isinstance(value, bool):
            refuse(self._text, begin, f"true and false have no order, they cannot follow {operator!r}")
        # The bound that includes or excludes a value is the value, or what comes right after it.
        if isinstance(value, str):
            text = value + "\0" if operator in ("<=", ">") else value
            return Condition(field, TextRange(text) if operator[0] == ">" else TextRange(below=text))
        number = math.nextafter(value, math.inf) if operator in ("<=", ">") else value
        return Condition(field, NumberRange(number) if operator[0] == ">" else NumberRange(below=number))

    def _value(self, field: str) -> str | float | bool:
        token = self._token
        word = str(token.value).lower()
        value: str | float | bool
        if token.kind in ("text", "number"):
            value = token.value
        elif token.kind == "word" and word in ("true", "false"):
            value = word == "true"
        else:
            self._expected("a text in quotes, a number, true or false")
        if field in COLUMNS and not isinstance(value, str):
            refuse(self._text, token.begin, f"{field} is a text: put what it is compared with in quotes")
        self._token = self._tokenizer.next()
        return value

    def _accept(self, word: str) -> bool:
        """Step over a symbol or word if it comes next."""
        comes = self._token.kind in ("symbol", "word") and str(self._token.value).lower() == word
        if comes:
            self._token = self._tokenizer.next()
        return comes

    def _require(self, symbol: str) -> None:
        if not self._accept(symbol):
            self._expected(f"{symbol!r}")

    def _expected(self, what: str) -> NoReturn:
        token = self._token
        came = "the end" if token.kind == "end" else repr(token.value)[:40]
        refuse(self._text, token.begin, f"expected {what}, got {came}")


def _equal(field: str, value: str | float | bool) -> Condition:
    if isinstance(value, bool):
        return Condition(field, Truth(value))
    if isinstance(value, str):
        return Condition(field, Texts((value,)))
    return Condition(field, NumberRange(value, math.nextafter(value, math.inf)))
