"""Conjunctions as people type them: n-grams with AND and OR between them, as infini-gram writes them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from lodex.cli.queries import read_query
from lodex.errors import InvalidArgumentError
from lodex.types import Conjunction, NgramQuery

ExpressionFlag = Annotated[
    bool,
    typer.Option(
        "--expression", help='Read AND and OR between n-grams, OR binding tighter: "tea OR coffee AND milk or cream".'
    ),
]
WithinOption = Annotated[
    int | None,
    typer.Option("--within", min=0, help="Of an --expression: tokens from start to start, at most.  [default: 100]"),
]
SameDocumentFlag = Annotated[
    bool, typer.Option("--same-document", help="Of an --expression: anywhere in the same document.")
]
SampleOption = Annotated[
    int | None,
    typer.Option(
        "--sample",
        min=1,
        help="Of an --expression: look at so many places of its rarest clause, and estimate the count.",
    ),
]


def read_search(
    text: str,
    tokens: bool,
    field: str,
    expression: bool,
    within: int | None = None,
    same_document: bool = False,
    sample: int | None = None,
) -> NgramQuery | Conjunction:
    """An n-gram, or with `expression` the conjunction that a text spells; InvalidArgumentError says what is wrong."""
    if not expression:
        given = {"--within": within is not None, "--same-document": same_document, "--sample": sample is not None}
        for flag in (flag for flag, is_given in given.items() if is_given):
            raise InvalidArgumentError(f"{flag} is of conjunctions: it goes with --expression", flag.strip("-"))
        return read_query(text, tokens, field)
    clauses = tuple(
        tuple(_term(term, tokens, field, text) for term in _split("OR", clause)) for clause in _split("AND", text)
    )
    distance = {} if within is None else {"max_distance": within}
    return Conjunction(clauses, same_document=same_document, max_clause_count=sample, **distance)


def _split(word: str, text: str) -> list[str]:
    """The parts between a word in capitals that stands alone, without white space at their ends."""
    return [part.strip() for part in re.split(rf"(?<!\S){word}(?!\S)", text)]


def _term(term: str, tokens: bool, field: str, text: str) -> NgramQuery:
    if not term:
        raise InvalidArgumentError(f"an n-gram is missing beside an AND or OR of {text!r}", field)
    return read_query(term, tokens, field)
