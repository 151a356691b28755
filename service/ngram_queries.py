"""n-grams of a request as token sequences, each refusal naming its field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lodex.config import Limits
from lodex.errors import InvalidArgumentError, UnimplementedError
from lodex.index.ngrams import NgramIndex
from lodex.service.checks import short_text
from lodex.service.variants import literal_variants, search_variants
from lodex.types import TokenQuery
from lodex.v1 import ngram_pb2

Sequences = tuple[TokenQuery, ...]
"""The variants of one n-gram."""
Variants = Callable[[str], tuple[str, ...]]


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
                sequences = (self._known(list(query.tokens.ids), path),)
            elif form is None:
                raise InvalidArgumentError(f"{path} is neither text nor tokens", path)
            else:
                raise UnimplementedError(f"{path}.{form} is promised by the protocol, not built yet")
        except InvalidArgumentError as error:
            # A tokenizer does not know by what name the request calls its text.
            field = error.field if error.field.startswith(path) else path
            raise InvalidArgumentError(str(error), field) from error
        longest = max(map(len, sequences))
        if longest > self._limits.max_ngram_tokens:
            limit = self._limits.max_ngram_tokens
            raise InvalidArgumentError(f"{path} has {longest} tokens, the limit is {limit}", path)
        return sequences

    def _known(self, ids: list[int], path: str) -> list[int]:
        """The ids, which the index would refuse for the whole batch were one of them outside its vocabulary."""
        if ids and max(ids) >= self._index.vocabulary.size:
            self._index.vocabulary.encode(ids, path)
        return ids

    def read_search(self, query: ngram_pb2.NgramQuery, path: str) -> Sequences:
        """What is counted or looked for: one token or more."""
        return _not_empty(self.read(query, search_variants, path), path)

    def read_pair(self, query: ngram_pb2.Continuation, prompt: Variants, path: str) -> tuple[Sequences, Sequences]:
        """A prompt, which may be empty, and what follows it, which may not."""
        continuation = self.read(query.continuation, search_variants, f"{path}.continuation")
        return self.read(query.prompt, prompt, f"{path}.prompt"), _not_empty(continuation, f"{path}.continuation")


def _not_empty(sequences: Sequences, path: str) -> Sequences:
    if not all(map(len, sequences)):
        raise InvalidArgumentError(f"{path} has no tokens", path)
    return sequences
