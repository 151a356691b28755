"""Filters as messages, from values or from what a person wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lodex.client.codec import asked
from lodex.errors import InvalidArgumentError
from lodex.filter_syntax import parse_filter
from lodex.filters import (
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
from lodex.v1 import common_pb2


def filter_message(where: str | Filter, path: str = "where") -> common_pb2.Filter:
    """A filter as a message; text is read as `lodex.filter_syntax` says.

    InvalidArgumentError shows the place in a text that cannot be read, and names by `path` a value that has no place
    in a message.
    """
    return _filter(parse_filter(where) if isinstance(where, str) else where, path)


def _filter(filter_: Filter, path: str) -> common_pb2.Filter:
    match filter_:
        case Condition():
            return common_pb2.Filter(condition=_condition(filter_, path))
        case AllOf(filters):
            return common_pb2.Filter(all_of=_list(filters, path))
        case AnyOf(filters):
            return common_pb2.Filter(any_of=_list(filters, path))
        case NoneOf(filters):
            return common_pb2.Filter(none_of=_list(filters, path))
    raise InvalidArgumentError(f"{path} is {type(filter_).__name__}, expected a filter or its text", path)


def _list(filters: Sequence[Filter], path: str) -> common_pb2.FilterList:
    return common_pb2.FilterList(filters=[_filter(part, f"{path}.filters[{i}]") for i, part in enumerate(filters)])


def _condition(condition: Condition, path: str) -> common_pb2.Condition:
    return asked(common_pb2.Condition, path, field=condition.field, **_test(condition.test, f"{path}.test"))


def _test(test: Test, path: str) -> dict[str, Any]:
    """The one field of a condition that says its test."""
    match test:
        case Texts(values):
            return {"texts": asked(common_pb2.TextList, path, values=values)}
        case TextRange(at_least, below):
            return {"text_range": asked(common_pb2.TextRange, path, at_least=at_least, below=below)}
        case NumberRange(at_least, below):
            return {"number_range": asked(common_pb2.NumberRange, path, at_least=at_least, below=below)}
        case Truth(truth):
            return {"truth": truth}
        case Prefix(text):
            return {"prefix": text}
    raise InvalidArgumentError(f"{path} is {type(test).__name__}, expected a test of a field", path)
