"""NgramService, the part that reads whole texts: their scores, their longest matches, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.config import Limits
from lodex.errors import InvalidArgumentError
from lodex.index.ngrams import NgramIndex
from lodex.index.spans import delimiter_tokens
from lodex.index.tokenizer import Tokenizer
from lodex.service import ngram_results as results
from lodex.service.batch import Batch
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog
from lodex.service.checks import at_least, at_most, require_built, short_text, within
from lodex.service.filters import read_filter
from lodex.service.ngram_access import NgramAccess, Reply, read_support
from lodex.service.ngram_queries import known_ids
from lodex.service.word_starts import word_starts
from lodex.types import SpanRanking
from lodex.v1 import common_pb2, ngram_pb2

_TEXTS = frozenset({"target", "texts"})
_SCORE = _TEXTS | {"min_support", "max_suffix_length"}
_TRACE = _TEXTS | {
    "min_length",
    "max_count",
    "max_density",
    "ranking",
    "max_documents",
    "context_tokens",
    "delimiters",
    "partial_words",
    "filter",
    "undelimited",
}
_RANKINGS = {
    ngram_pb2.SPAN_RANKING_UNSPECIFIED: SpanRanking.UNIGRAM,
    ngram_pb2.SPAN_RANKING_UNIGRAM: SpanRanking.UNIGRAM,
    ngram_pb2.SPAN_RANKING_LENGTH: SpanRanking.LENGTH,
}
_DEFAULT_COUNT = 10
_DEFAULT_DENSITY = 0.05
_DEFAULT_DOCUMENTS = 10
_LINES_AND_SENTENCES = ("\n", "\r", ".", "。")
_DELIMITER_SETS = 64
_MAX_DELIMITERS = 64
_MAX_DELIMITER_BYTES = 64
# Each is read from its document: a thousand take a tenth of a second.
_MAX_LISTED = 1 << 18


@dataclass(frozen=True, slots=True)
class _Text:
    """A text by its tokens, and as it was written, None where it came as tokens."""

    ids: npt.NDArray[Any]
    written: str | None


class NgramTextsHandler:
    """Reads literal texts against suffix indexes, one after the other."""

    SERVICE = "NgramService"

    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self._access = NgramAccess(catalog, limits)

    @looks_up
    def infgram_score(self, request: ngram_pb2.InfgramScoreRequest, call: Call) -> ngram_pb2.InfgramScoreResponse:
        """The ∞-gram log-probability of every token of each text."""
        require_built(request, _SCORE)
        min_support, max_suffix_length = read_support(request)
        reply = ngram_pb2.InfgramScoreResponse()

        def answer(index: NgramIndex, text: _Text, result: ngram_pb2.InfgramScoreResult) -> None:
            (found,) = index.infgram_score(
                [text.ids], min_support=min_support, max_suffix_length=max_suffix_length, check=call.check
            )
            results.write_scores(found, result)

        return self._read(request, reply, call, answer)

    @looks_up
    def longest_matches(self, request: ngram_pb2.LongestMatchesRequest, call: Call) -> ngram_pb2.LongestMatchesResponse:
        """The longest match in the corpus from each token of each text."""
        require_built(request, _TEXTS)
        reply = ngram_pb2.LongestMatchesResponse()

        def answer(index: NgramIndex, text: _Text, result: ngram_pb2.LongestMatchesResult) -> None:
            (found,) = index.longest_matches([text.ids], check=call.check)
            results.write_longest_matches(found, result)

        return self._read(request, reply, call, answer)

    @looks_up
    def trace(self, request: ngram_pb2.TraceRequest, call: Call) -> ngram_pb2.TraceResponse:
        """The spans of each text that stand in the corpus, and the documents they stand in."""
        require_built(request, _TRACE)
        options = self._trace_options(request)
        delimiters = _delimiters(request)
        reply = ngram_pb2.TraceResponse()

        def check(texts: Sequence[_Text]) -> None:
            _require_few_documents(texts, options["max_density"], options["max_documents"])

        def answer(index: NgramIndex, text: _Text, result: ngram_pb2.TraceResult) -> None:
            size = index.vocabulary.size
            starts = None if request.partial_words else word_starts(index.tokenizer, text.ids, text.written, size)
            (found,) = index.trace(
                [text.ids],
                delimiters=_delimiter_tokens(index.tokenizer, delimiters),
                is_word_start=starts,
                strings=[text.written],
                check=call.check,
                **options,
            )
            results.write_trace(found, result)

        return self._read(request, reply, call, answer, check)

    # ---------------------------------------------------------------------------------- what they have in common

    def _read(
        self,
        request: Any,
        reply: Reply,
        call: Call,
        answer: Callable[[NgramIndex, _Text, Any], None],
        check: Callable[[Sequence[_Text]], None] | None = None,
    ) -> Reply:
        """Answer the texts of a request, one at a time, once `check` has nothing against them as a whole."""
        self._access.check_size(request.texts, "texts")
        view, index = self._access.open(request.target)

        def prepare(text: common_pb2.TextOrTokens, path: str) -> _Text:
            call.check()
            return self._text(index, text, path)

        batch = Batch(request.texts, "texts", prepare)
        total, limit = sum(len(text.ids) for text in batch.values), self._access.limits.max_batch_tokens
        if total > limit:
            raise InvalidArgumentError(f"texts have {total} tokens together, the limit is {limit}", "texts")
        if check is not None:
            check(batch.values)

        def write(text: _Text, result: Any) -> None:
            call.check()
            answer(index, text, result)

        batch.fill(reply.results, batch.values, write)
        reply.info.sources.append(view.provenance(index.name))
        reply.info.usage.items = len(batch)
        reply.info.usage.tokens = total
        return reply

    def _text(self, index: NgramIndex, message: common_pb2.TextOrTokens, path: str) -> _Text:
        form = message.WhichOneof("form")
        if form is None:
            raise InvalidArgumentError(f"{path} is neither text nor tokens", path)
        if form == "tokens":
            return _Text(np.array(known_ids(index, message.tokens, path), np.int64), None)
        text = short_text(message.text, self._access.limits.max_text_bytes, f"{path}.text")
        try:
            return _Text(index.tokenizer.encode(text), text)
        except InvalidArgumentError as error:
            # A tokenizer does not know by what name the request calls its text.
            raise InvalidArgumentError(str(error), f"{path}.text") from error

    def _trace_options(self, request: ngram_pb2.TraceRequest) -> dict[str, Any]:
        """What `NgramIndex.trace` calls alike, checked."""
        limits = self._access.limits
        if request.ranking not in _RANKINGS:
            raise InvalidArgumentError(f"ranking is {request.ranking}, which is no SpanRanking", "ranking")
        density = request.max_density if request.HasField("max_density") else _DEFAULT_DENSITY
        if not 0 < density <= 1:
            raise InvalidArgumentError(f"max_density is {density}, it must be above 0 and at most 1", "max_density")
        documents = request.max_documents if request.HasField("max_documents") else _DEFAULT_DOCUMENTS
        count = request.max_count if request.HasField("max_count") else _DEFAULT_COUNT
        return {
            "min_length": at_least(request.min_length if request.HasField("min_length") else 1, 1, "min_length"),
            "max_count": at_least(count, 0, "max_count"),
            "max_density": density,
            "ranking": _RANKINGS[request.ranking],
            "max_documents": within(documents, 0, limits.max_page_size, "max_documents"),
            "context_tokens": self._access.context_tokens(request),
            "where": read_filter(request.filter) if request.HasField("filter") else None,
        }


def _delimiters(request: ngram_pb2.TraceRequest) -> tuple[str, ...]:
    """The texts that break spans; InvalidArgumentError names one that cannot."""
    if request.undelimited and request.delimiters:
        raise InvalidArgumentError("delimiters and undelimited exclude each other", "delimiters")
    at_most(request.delimiters, _MAX_DELIMITERS, "delimiters", "texts")
    for i, text in enumerate(request.delimiters):
        if not text:
            raise InvalidArgumentError(f"delimiters[{i}] is empty", f"delimiters[{i}]")
        short_text(text, _MAX_DELIMITER_BYTES, f"delimiters[{i}]")
    return () if request.undelimited else tuple(request.delimiters) or _LINES_AND_SENTENCES


def _require_few_documents(texts: Sequence[_Text], density: float, documents: int) -> None:
    """InvalidArgumentError where a trace might list more documents than anyone would read."""
    listed = documents * sum(math.ceil(density * len(text.ids)) for text in texts)
    if listed > _MAX_LISTED:
        raise InvalidArgumentError(
            f"max_documents is {documents} for each span, which may be {listed} in all, at most {_MAX_LISTED} are "
            "listed: ask for fewer, or for a lower max_density",
            "max_documents",
        )


@lru_cache(_DELIMITER_SETS)
def _delimiter_tokens(tokenizer: Tokenizer, texts: tuple[str, ...]) -> npt.NDArray[np.int64]:
    return delimiter_tokens(tokenizer, texts)
