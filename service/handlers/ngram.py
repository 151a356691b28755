"""NgramService: how often, where, and what came next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

from lodex.config import Limits
from lodex.errors import InvalidArgumentError
from lodex.index.ngrams import NgramIndex
from lodex.service import ngram_results as results
from lodex.service.batch import Batch
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog, View
from lodex.service.checks import at_most, require_built, within
from lodex.service.ngram_queries import QueryReader, Sequences, Variants
from lodex.service.paging import Page, decode_page, encode_page, page_size
from lodex.service.variants import context_variants, prompt_variants
from lodex.types import TokenDistribution
from lodex.v1 import common_pb2, ngram_pb2

Answer = TypeVar("Answer")
Reply = TypeVar("Reply", bound=Any)

_QUERIES = frozenset({"target", "queries", "literal"})
_PROMPTS = frozenset({"target", "prompts", "literal", "top_k", "complete", "with_texts"})
_SEARCH_DOCS = frozenset({"target", "queries", "literal", "page_size", "context_tokens"})
_DEFAULT_TOP_K = 10
_DEFAULT_PAGE = 10
_DEFAULT_CONTEXT = 50
# A caller who gave up is noticed after so many queries.
_QUERIES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of documents: of query `position`, in one version, from a page on."""

    position: int
    index: NgramIndex
    ngram: Sequences
    cursor: str


class NgramHandler:
    """Answers from suffix indexes. `lodex.service.variants` says what a text stands for."""

    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self._catalog = catalog
        self._limits = limits

    @looks_up
    def count(self, request: ngram_pb2.CountRequest, call: Call) -> ngram_pb2.CountResponse:
        """How often each n-gram occurs, its variants together."""
        require_built(request, _QUERIES)
        self._check_size(request.queries, "queries")
        view, index = self._open(request.target)
        batch = Batch(request.queries, "queries", self._reader(index, request).read_search)
        reply = ngram_pb2.CountResponse()
        batch.fill(reply.results, _in_steps(call, index.count, batch.values), results.write_count)
        reply.info.sources.append(view.provenance(index.name))
        return _with_usage(reply, batch, batch.values)

    @looks_up
    def prob(self, request: ngram_pb2.ProbRequest, call: Call) -> ngram_pb2.ProbResponse:
        """The probability of each continuation after its prompt."""
        reply = ngram_pb2.ProbResponse()
        return self._continue(request, reply, call, prompt_variants, NgramIndex.prob, results.write_probability)

    @looks_up
    def infgram_prob(self, request: ngram_pb2.InfgramProbRequest, call: Call) -> ngram_pb2.InfgramProbResponse:
        """The probability of each continuation after the longest suffix of its prompt that occurs."""
        reply = ngram_pb2.InfgramProbResponse()
        return self._continue(
            request, reply, call, context_variants, NgramIndex.infgram_prob, results.write_infgram_probability
        )

    @looks_up
    def next_token_distribution(
        self, request: ngram_pb2.NextTokenDistributionRequest, call: Call
    ) -> ngram_pb2.NextTokenDistributionResponse:
        """What follows each prompt."""
        reply = ngram_pb2.NextTokenDistributionResponse()
        return self._distribute(request, reply, call, prompt_variants, NgramIndex.ntd)

    @looks_up
    def infgram_next_token_distribution(
        self, request: ngram_pb2.InfgramNextTokenDistributionRequest, call: Call
    ) -> ngram_pb2.InfgramNextTokenDistributionResponse:
        """What follows the longest suffix of each prompt that occurs."""
        reply = ngram_pb2.InfgramNextTokenDistributionResponse()
        return self._distribute(request, reply, call, context_variants, NgramIndex.infgram_ntd)

    @looks_up
    def search_docs(self, request: ngram_pb2.SearchDocsRequest, call: Call) -> ngram_pb2.SearchDocsResponse:
        """The documents that hold each n-gram, page by page, all pages at the version that the first was read from."""
        require_built(request, _SEARCH_DOCS)
        self._check_size(request.queries, "queries")
        size = page_size(request.page_size, _DEFAULT_PAGE, self._limits.max_page_size)
        asked = request.context_tokens if request.HasField("context_tokens") else _DEFAULT_CONTEXT
        context = within(asked, 0, self._limits.max_context_tokens, "context_tokens")
        view, newest = self._open(request.target)
        sources: dict[int, View] = {}

        def read(i: int, path: str) -> Listing:
            query = request.queries[i]
            page = decode_page(query.page_token, _listed(request, i), f"{path}.page_token")
            view_of_page, index = self._open(request.target, page.version) if page.version else (view, newest)
            sources[index.version] = view_of_page
            ngram = self._reader(index, request).read_search(query.query, f"{path}.query")
            return Listing(i, index, ngram, page.cursor)

        def write(listing: Listing, result: ngram_pb2.SearchDocsResult) -> None:
            call.check()
            index = listing.index
            (found,) = index.search_docs([listing.ngram], size, [listing.cursor], context)
            results.write_occurrences(found, result)
            if found.next_page_token:
                following = Page(found.next_page_token, index.version)
                result.next_page_token = encode_page(following, _listed(request, listing.position))

        batch = Batch(range(len(request.queries)), "queries", read)
        reply = ngram_pb2.SearchDocsResponse()
        batch.fill(reply.results, batch.values, write)
        for source in sources.values() or (view,):
            reply.info.sources.append(source.provenance(newest.name))
        return _with_usage(reply, batch, [listing.ngram for listing in batch.values])

    # ---------------------------------------------------------------------------------- what they have in common

    def _continue(
        self,
        request: Any,
        reply: Reply,
        call: Call,
        variants: Variants,
        ask: Callable[..., Any],
        write: Callable[..., None],
    ) -> Reply:
        """Answer pairs of a prompt, of these variants, and a continuation."""
        require_built(request, _QUERIES)
        self._check_size(request.queries, "queries")
        view, index = self._open(request.target)
        reader = self._reader(index, request)
        batch = Batch(request.queries, "queries", lambda query, path: reader.read_pair(query, variants, path))
        prompts = [prompt for prompt, _ in batch.values]
        continuations = [continuation for _, continuation in batch.values]
        batch.fill(reply.results, _in_steps(call, lambda *columns: ask(index, *columns), prompts, continuations), write)
        reply.info.sources.append(view.provenance(index.name))
        return _with_usage(reply, batch, prompts + continuations)

    def _distribute(
        self,
        request: Any,
        reply: Reply,
        call: Call,
        variants: Variants,
        ask: Callable[[NgramIndex, Sequence[Sequences], int | None], list[TokenDistribution]],
    ) -> Reply:
        """Answer prompts, of these variants, with distributions."""
        require_built(request, _PROMPTS)
        self._check_size(request.prompts, "prompts")
        top_k = self._top_k(request)
        view, index = self._open(request.target)
        reader = self._reader(index, request)
        batch = Batch(request.prompts, "prompts", lambda prompt, path: reader.read(prompt, variants, path))

        def write(found: TokenDistribution, result: Any) -> None:
            results.write_distribution(found, result.distribution)
            if request.with_texts:
                result.distribution.texts.extend(index.tokenizer.decode_tokens(found.token_ids))

        answers = _in_steps(call, lambda prompts: ask(index, prompts, top_k), batch.values)
        batch.fill(reply.results, answers, write)
        reply.info.sources.append(view.provenance(index.name))
        return _with_usage(reply, batch, batch.values)

    def _check_size(self, items: Sized, path: str) -> None:
        at_most(items, self._limits.max_batch_items, path, "items")

    def _open(self, target: common_pb2.IndexRef, version: int | None = None) -> tuple[View, NgramIndex]:
        view = self._catalog.view(target, version=version)
        return view, self._catalog.open(view, view.choose("suffix", target.index), NgramIndex)

    def _reader(self, index: NgramIndex, request: Any) -> QueryReader:
        return QueryReader(index, self._limits, request.literal)

    def _top_k(self, request: Any) -> int | None:
        """How many tokens are wanted, None for all."""
        if request.complete and request.HasField("top_k"):
            raise InvalidArgumentError("top_k and complete exclude each other", "top_k")
        if request.complete:
            return None
        top_k = request.top_k if request.HasField("top_k") else _DEFAULT_TOP_K
        return within(top_k, 1, self._limits.max_top_k, "top_k")


def _in_steps(call: Call, ask: Callable[..., list[Answer]], *columns: Sequence[Any]) -> list[Answer]:
    """The answers of `ask` to columns of equal length, asked for some rows at a time while the caller still waits."""
    answers: list[Answer] = []
    for first in range(0, len(columns[0]), _QUERIES_AT_ONCE):
        call.check()
        answers += ask(*(column[first : first + _QUERIES_AT_ONCE] for column in columns))
    return answers


def _listed(request: ngram_pb2.SearchDocsRequest, i: int) -> ngram_pb2.SearchDocsRequest:
    """What a page token of query i belongs to: all that decides which documents are listed."""
    query = ngram_pb2.SearchDocsQuery(query=request.queries[i].query)
    return ngram_pb2.SearchDocsRequest(target=request.target, queries=[query], literal=request.literal)


def _with_usage(reply: Reply, batch: Batch[Any], ngrams: Iterable[Sequences]) -> Reply:
    """The reply with what was worked on: items, and tokens of all variants."""
    reply.info.usage.items = len(batch)
    reply.info.usage.tokens = sum(len(tokens) for ngram in ngrams for tokens in ngram)
    return reply
