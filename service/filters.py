"""Filters as they come in requests: messages to values, within the limits of the contract."""

from __future__ import annotations

from lodex.errors import InvalidArgumentError
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
from lodex.service.checks import at_most
from lodex.v1 import common_pb2

MAX_LIST = 64
MAX_DEPTH = 8
MAX_TEXTS = 10_000

_LISTS: dict[str, type[AllOf | AnyOf | NoneOf]] = {"all_of": AllOf, "any_of": AnyOf, "none_of": NoneOf}


def read_filter(message: common_pb2.Filter, path: str = "filter") -> Filter:
    """The filter that a message says, at `path` in its request.

    InvalidArgumentError names what is missing, unknown, without order (NaN) or beyond a limit.
    """
    return _filter(message, path, 0)


def _filter(message: common_pb2.Filter, path: str, depth: int) -> Filter:
    kind = message.WhichOneof("predicate")
    if kind is None:
        raise InvalidArgumentError(f"{path}.predicate is required", f"{path}.predicate")
    if kind == "condition":
        return _condition(message.condition, f"{path}.condition")
    inner = f"{path}.{kind}"
    if depth == MAX_DEPTH:
        raise InvalidArgumentError(f"{inner} is a list in {depth} lists, the limit is {MAX_DEPTH} deep", inner)
    parts: common_pb2.FilterList = getattr(message, kind)
    at_most(parts.filters, MAX_LIST, f"{inner}.filters", "filters")
    filters = (_filter(part, f"{inner}.filters[{i}]", depth + 1) for i, part in enumerate(parts.filters))
    return _LISTS[kind](tuple(filters))


def _condition(message: common_pb2.Condition, path: str) -> Condition:
    test = _test(message, path)
    try:
        return Condition(message.field, test)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{path}.field: {error}", f"{path}.field") from error


def _test(message: common_pb2.Condition, path: str) -> Test:
    match message.WhichOneof("test"):
        case "texts":
            at_most(message.texts.values, MAX_TEXTS, f"{path}.texts.values", "texts")
            return Texts(tuple(message.texts.values))
        case "text_range":
            texts = message.text_range
            return TextRange(
                texts.at_least if texts.HasField("at_least") else None,
                texts.below if texts.HasField("below") else None,
            )
        case "number_range":
            return NumberRange(
                _bound(message.number_range, "at_least", f"{path}.number_range"),
                _bound(message.number_range, "below", f"{path}.number_range"),
            )
        case "truth":
            return Truth(message.truth)
        case "prefix":
            return Prefix(message.prefix)
    raise InvalidArgumentError(f"{path}.test is required", f"{path}.test")


def _bound(message: common_pb2.NumberRange, name: str, path: str) -> float | None:
    if not message.HasField(name):
        return None
    bound: float = getattr(message, name)
    if bound != bound:
        raise InvalidArgumentError(f"{path}.{name} is NaN, expected a number", f"{path}.{name}")
    return bound
