"""NgramService, the part that counts: how often, how probable, and what came next."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from lodex.config import Limits
from lodex.errors import InvalidArgumentError
from lodex.index.conjunctions import TokenConjunction
from lodex.index.ngrams import NgramIndex
from lodex.service import ngram_results as results
from lodex.service.batch import Batch
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog
from lodex.service.checks import require_built, within
from lodex.service.ngram_access import NgramAccess, Reply, in_steps, read_support, with_usage
from lodex.service.ngram_queries import Query, Variants
from lodex.service.variants import context_variants, prompt_variants
from lodex.types import TokenDistribution
from lodex.v1 import ngram_pb2

_QUERIES = frozenset({"target", "queries", "literal"})
_PROMPTS = frozenset({"target", "prompts", "literal", "top_k", "complete", "with_texts"})
_SUPPORT = frozenset({"min_support", "max_suffix_length"})
_DEFAULT_TOP_K = 10


class NgramHandler:
    """Answers from suffix indexes. `lodex.service.variants` says what a text stands for."""

    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self._access = NgramAccess(catalog, limits)

    @looks_up
    def count(self, request: ngram_pb2.CountRequest, call: Call) -> ngram_pb2.CountResponse:
        """How often each n-gram occurs, its variants together, or each conjunction holds."""
        require_built(request, _QUERIES)
        self._access.check_size(request.queries, "queries")
        view, index = self._access.open(request.target)
        reader = self._access.reader(index, request)

        def read(query: ngram_pb2.NgramQuery, path: str) -> Query:
            call.check()
            return reader.read_search(query, path)

        def write(query: Query, result: ngram_pb2.CountResult) -> None:
            if isinstance(query, TokenConjunction):
                call.check()
                (found,) = index.count([query])
            else:
                found = next(counts)
            results.write_count(found, result)

        batch = Batch(request.queries, "queries", read)
        ngrams = [query for query in batch.values if not isinstance(query, TokenConjunction)]
        counts = iter(in_steps(call, index.count, ngrams))
        reply = ngram_pb2.CountResponse()
        # A conjunction may take long, or be refused: each is asked for alone.
        batch.fill(reply.results, batch.values, write)
        reply.info.sources.append(view.provenance(index.name))
        return with_usage(reply, batch, batch.values)

    @looks_up
    def prob(self, request: ngram_pb2.ProbRequest, call: Call) -> ngram_pb2.ProbResponse:
        """The probability of each continuation after its prompt."""
        require_built(request, _QUERIES)
        reply = ngram_pb2.ProbResponse()
        return self._continue(request, reply, call, prompt_variants, NgramIndex.prob, results.write_probability)

    @looks_up
    def infgram_prob(self, request: ngram_pb2.InfgramProbRequest, call: Call) -> ngram_pb2.InfgramProbResponse:
        """The probability of each continuation after the longest suffix of its prompt that occurs often enough."""
        require_built(request, _QUERIES | _SUPPORT)
        reply = ngram_pb2.InfgramProbResponse()
        support = read_support(request)
        ask = partial(
            NgramIndex.infgram_prob,
            min_support=support.min_support,
            max_suffix_length=support.max_suffix_length,
        )
        return self._continue(request, reply, call, context_variants, ask, results.write_infgram_probability)

    @looks_up
    def next_token_distribution(
        self, request: ngram_pb2.NextTokenDistributionRequest, call: Call
    ) -> ngram_pb2.NextTokenDistributionResponse:
        """What follows each prompt."""
        require_built(request, _PROMPTS)
        reply = ngram_pb2.NextTokenDistributionResponse()
        return self._distribute(request, reply, call, prompt_variants, NgramIndex.ntd)

    @looks_up
    def infgram_next_token_distribution(
        self, request: ngram_pb2.InfgramNextTokenDistributionRequest, call: Call
    ) -> ngram_pb2.InfgramNextTokenDistributionResponse:
        """What follows the longest suffix of each prompt that occurs often enough."""
        require_built(request, _PROMPTS | _SUPPORT)
        reply = ngram_pb2.InfgramNextTokenDistributionResponse()
        support = read_support(request)
        ask = partial(
            NgramIndex.infgram_ntd,
            min_support=support.min_support,
            max_suffix_length=support.max_suffix_length,
        )
        return self._distribute(request, reply, call, context_variants, ask)

    # ---------------------------------------------------------------------------------- what they have in common

    def _continue(
        self,
        request: Any,
        reply: Reply,
        call: Call,
        variants: Variants,
        ask: Callable[..., list[Any]],
        write: Callable[..., None],
    ) -> Reply:
        """Answer pairs of a prompt, of these variants, and a continuation."""
        self._access.check_size(request.queries, "queries")
        view, index = self._access.open(request.target)
        reader = self._access.reader(index, request)
        batch = Batch(request.queries, "queries", lambda query, path: reader.read_pair(query, variants, path))
        prompts = [prompt for prompt, _ in batch.values]
        continuations = [continuation for _, continuation in batch.values]
        batch.fill(reply.results, in_steps(call, partial(ask, index), prompts, continuations), write)
        reply.info.sources.append(view.provenance(index.name))
        return with_usage(reply, batch, prompts + continuations)

    def _distribute(
        self,
        request: Any,
        reply: Reply,
        call: Call,
        variants: Variants,
        ask: Callable[..., list[TokenDistribution]],
    ) -> Reply:
        """Answer prompts, of these variants, with distributions."""
        self._access.check_size(request.prompts, "prompts")
        top_k = self._top_k(request)
        view, index = self._access.open(request.target)
        reader = self._access.reader(index, request)
        batch = Batch(request.prompts, "prompts", lambda prompt, path: reader.read(prompt, variants, path))

        def write(found: TokenDistribution, result: Any) -> None:
            results.write_distribution(found, result.distribution)
            if request.with_texts:
                result.distribution.texts.extend(index.tokenizer.decode_tokens(found.token_ids))

        answers = in_steps(call, lambda prompts: ask(index, prompts, top_k), batch.values)
        batch.fill(reply.results, answers, write)
        reply.info.sources.append(view.provenance(index.name))
        return with_usage(reply, batch, batch.values)

    def _top_k(self, request: Any) -> int | None:
        """How many tokens are wanted, None for all."""
        if request.complete and request.HasField("top_k"):
            raise InvalidArgumentError("top_k and complete exclude each other", "top_k")
        if request.complete:
            return None
        top_k = request.top_k if request.HasField("top_k") else _DEFAULT_TOP_K
        return within(top_k, 1, self._access.limits.max_top_k, "top_k")
