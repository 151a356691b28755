"""What every request about n-grams has in common: the index it names, its limits, what its reply says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any, NamedTuple, TypeVar

from lodex.config import Limits
from lodex.index.ngrams import NgramIndex
from lodex.service.batch import Batch
from lodex.service.call import Call
from lodex.service.catalog import Catalog, View
from lodex.service.checks import at_least, at_most, within
from lodex.service.ngram_queries import Query, QueryReader, num_tokens
from lodex.v1 import common_pb2

Answer = TypeVar("Answer")
Reply = TypeVar("Reply", bound=Any)

_DEFAULT_CONTEXT = 50
# A caller who gave up is noticed after so many queries.
_QUERIES_AT_ONCE = 64


class Support(NamedTuple):
    """What a suffix of a prompt needs to be used: so many occurrences, and at most so many tokens (None: any)."""

    min_support: int
    max_suffix_length: int | None


class NgramAccess:
    """Opens the suffix indexes that requests name, and reads the fields that several of them share."""

    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self.limits = limits
        self._catalog = catalog

    def open(self, target: common_pb2.IndexRef, version: int | None = None) -> tuple[View, NgramIndex]:
        """The suffix index of a target, at `version` or the one that it names, and the view it belongs to."""
        view = self._catalog.view(target, version=version)
        return view, self._catalog.open(view, view.choose("suffix", target.index), NgramIndex)

    def reader(self, index: NgramIndex, request: Any) -> QueryReader:
        """What reads the n-grams of a request, literally where it says so."""
        return QueryReader(index, self.limits, request.literal)

    def check_size(self, items: Sized, path: str) -> None:
        """InvalidArgumentError for more items than a batch may have."""
        at_most(items, self.limits.max_batch_items, path, "items")

    def context_tokens(self, request: Any) -> int:
        """Tokens of text on each side of a match."""
        asked = request.context_tokens if request.HasField("context_tokens") else _DEFAULT_CONTEXT
        return within(asked, 0, self.limits.max_context_tokens, "context_tokens")


def read_support(request: Any) -> Support:
    """What a request says of the suffixes that are used."""
    support = request.min_support if request.HasField("min_support") else 1
    length = request.max_suffix_length if request.HasField("max_suffix_length") else None
    return Support(
        at_least(support, 1, "min_support"),
        None if length is None else at_least(length, 0, "max_suffix_length"),
    )


def in_steps(call: Call, ask: Callable[..., list[Answer]], *columns: Sequence[Any]) -> list[Answer]:
    """The answers of `ask` to columns of equal length, asked for some rows at a time while the caller still waits."""
    answers: list[Answer] = []
    for first in range(0, len(columns[0]), _QUERIES_AT_ONCE):
        call.check()
        answers += ask(*(column[first : first + _QUERIES_AT_ONCE] for column in columns))
    return answers


def with_usage(reply: Reply, batch: Batch[Any], queries: Iterable[Query]) -> Reply:
    """The reply with what was worked on: items, and tokens of all variants."""
    reply.info.usage.items = len(batch)
    reply.info.usage.tokens = sum(map(num_tokens, queries))
    return reply
