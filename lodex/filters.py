"""Filters: predicates over the fields of a document, as plain values.

Filter
├── Condition(field, test)   one field: Texts, TextRange, NumberRange, Truth or Prefix
├── AllOf(filters)           true where all are true; true when empty
├── AnyOf(filters)           true where at least one is true; false when empty
└── NoneOf(filters)          true where all are false; true when empty

A field that a document lacks fails every test, so it passes the negation of every test. A document lacks a source,
title, url or date that is "", and a path of its metadata that leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from lodex.errors import InvalidArgumentError

COLUMNS = ("doc_id", "source", "title", "url", "date")
"""The fields that hold one text each."""

METADATA = "metadata."
"""What begins the name of a field in the metadata."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The value is one of these texts."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextRange:
    """The value is a text from `at_least` on and before `below`, by code points; None is no bound."""

    at_least: str | None = None
    below: str | None = None


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The value is a number from `at_least` on and before `below`; None is no bound. Truths are no numbers."""

    at_least: float | None = None
    below: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The value is true, or is false."""

    value: bool


@dataclass(frozen=True, slots=True)
class Prefix:
    """The value is a text that begins so; every text begins with ""."""

    text: str


Test: TypeAlias = Texts | TextRange | NumberRange | Truth | Prefix


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one field: one of `COLUMNS`, or "metadata." and the dotted path of a value in the metadata.

    Each dot goes one object down, so a key that has a dot in it cannot be named, and what is in a list cannot either.
    Another field raises InvalidArgumentError.
    """

    field: str
    test: Test

    def __post_init__(self) -> None:
        if self.field not in COLUMNS and not (self.field.startswith(METADATA) and all(self.path)):
            raise InvalidArgumentError(
                f"no field {self.field[:80]!r}: fields are {', '.join(COLUMNS)} and {METADATA}KEY", "field"
            )

    @property
    def path(self) -> tuple[str, ...]:
        """The keys that lead to the value in the metadata; () for a field of `COLUMNS`."""
        return tuple(self.field.split(".")[1:])


@dataclass(frozen=True, slots=True)
class AllOf:
    """True where all are true; true when empty."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where at least one is true; false when empty."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """True where all are false; true when empty."""

    filters: tuple[Filter, ...]


Filter: TypeAlias = Condition | AllOf | AnyOf | NoneOf
