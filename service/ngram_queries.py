"""n-grams and conjunctions of a request as token sequences, each refusal naming its field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from lodex.config import Limits
from lodex.errors import InvalidArgumentError
from lodex.index.conjunctions import TokenConjunction
from lodex.index.ngram_queries import Ngram
from lodex.index.ngrams import NgramIndex
from lodex.service.checks import at_least, at_most, require_built, short_text, within
from lodex.service.variants import literal_variants, search_variants
from lodex.types import TokenQuery
from lodex.v1 import common_pb2, ngram_pb2

Sequences: TypeAlias = tuple[TokenQuery, ...]
"""The variants of one n-gram."""
Query: TypeAlias = Sequences | TokenConjunction
Variants = Callable[[str], tuple[str, ...]]

MAX_CLAUSES = 16
MAX_NGRAMS = 64
MAX_DISTANCE = 1000
_DEFAULT_DISTANCE = 100
_CONJUNCTION = frozenset({"all_of", "max_distance", "same_document", "max_clause_count"})


class QueryReader:
    """Reads the n-grams of one request for one index: texts by their variants, tokens as they are."""

    def __init__(self, index: NgramIndex, limits: Limits, literal: bool) -> None:
        self._index = index
        self._limits = limits
        self._literal = literal

    def read(self, query: Any, variants: Variants, path: str) -> Sequences:
        """The sequences of an NgramQuery or a TextOrTokens; InvalidArgumentError names what is wrong with it."""
        form = query.WhichOneof("form")
        try:
            if form == "text":
                text = short_text(query.text, self._limits.max_text_bytes, f"{path}.text")
                forms = literal_variants if self._literal else variants
                sequences: Sequences = tuple(self._index.tokenizer.encode_batch(forms(text)))
            elif form == "tokens":
                sequences = (known_ids(self._index, query.tokens, path),)
            elif form is None:
                raise InvalidArgumentError(f"{path} is neither text nor tokens", path)
            else:
                raise InvalidArgumentError(f"{path} is a {form}, expected an n-gram: text or tokens", f"{path}.{form}")
        except InvalidArgumentError as error:
            # A tokenizer does not know by what name the request calls its text.
            field = error.field if error.field.startswith(path) else path
            raise InvalidArgumentError(str(error), field) from error
        longest = max(map(len, sequences))
        if longest > self._limits.max_ngram_tokens:
            limit = self._limits.max_ngram_tokens
            raise InvalidArgumentError(f"{path} has {longest} tokens, the limit is {limit}", path)
        return sequences

    def read_ngram(self, query: Any, path: str) -> Sequences:
        """What is looked for by itself: one token or more."""
        return _not_empty(self.read(query, search_variants, path), path)

    def read_search(self, query: ngram_pb2.NgramQuery, path: str) -> Query:
        """What is counted or listed: an n-gram of one token or more, or several in a conjunction."""
        if query.WhichOneof("form") == "conjunction":
            return self._conjunction(query.conjunction, f"{path}.conjunction")
        return self.read_ngram(query, path)

    def read_pair(self, query: ngram_pb2.Continuation, prompt: Variants, path: str) -> tuple[Sequences, Sequences]:
        """A prompt, which may be empty, and what follows it, which may not."""
        continuation = self.read_ngram(query.continuation, f"{path}.continuation")
        return self.read(query.prompt, prompt, f"{path}.prompt"), continuation

    def _conjunction(self, message: ngram_pb2.Conjunction, path: str) -> TokenConjunction:
        require_built(message, _CONJUNCTION, path)
        distance = message.max_distance if message.HasField("max_distance") else _DEFAULT_DISTANCE
        clause_count = message.max_clause_count if message.HasField("max_clause_count") else None
        if clause_count is not None:
            at_least(clause_count, 1, f"{path}.max_clause_count")
        _some(message.all_of, MAX_CLAUSES, f"{path}.all_of", "clauses")
        return TokenConjunction(
            all_of=tuple(self._clause(clause, f"{path}.all_of[{i}]") for i, clause in enumerate(message.all_of)),
            max_distance=within(distance, 0, MAX_DISTANCE, f"{path}.max_distance"),
            same_document=message.same_document,
            max_clause_count=clause_count,
        )

    def _clause(self, message: ngram_pb2.Disjunction, path: str) -> tuple[Sequences, ...]:
        """The n-grams of which one must stand there, all variants of each together."""
        _some(message.any_of, MAX_NGRAMS, f"{path}.any_of", "n-grams")
        return tuple(self.read_ngram(ngram, f"{path}.any_of[{i}]") for i, ngram in enumerate(message.any_of))


def known_ids(index: NgramIndex, tokens: common_pb2.TokenIds, path: str) -> list[int]:
    """The ids, which the index would refuse for the whole batch were one of them outside its vocabulary."""
    ids = list(tokens.ids)
    if ids and max(ids) >= index.vocabulary.size:
        index.vocabulary.encode(ids, path)
    return ids


def num_tokens(query: Ngram | TokenConjunction) -> int:
    """The tokens of all variants of an n-gram or a conjunction."""
    if isinstance(query, TokenConjunction):
        return sum(num_tokens(ngram) for clause in query.all_of for ngram in clause)
    return sum(len(tokens) for tokens in query)


def _some(items: Any, limit: int, path: str, unit: str) -> None:
    """InvalidArgumentError for no item, or for more than the limit."""
    if not len(items):
        raise InvalidArgumentError(f"{path} has no {unit}, expected 1 to {limit}", path)
    at_most(items, limit, path, unit)


def _not_empty(sequences: Sequences, path: str) -> Sequences:
    if not all(map(len, sequences)):
        raise InvalidArgumentError(f"{path} has no tokens", path)
    return sequences
