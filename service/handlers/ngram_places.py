"""NgramService, the part that shows places: documents that hold n-grams, and ranks of suffix arrays."""

from __future__ import annotations

from dataclasses import dataclass

from lodex.config import Limits
from lodex.errors import InvalidArgumentError, LodexError
from lodex.index.ngrams import NgramIndex
from lodex.service import ngram_results as results
from lodex.service.batch import Batch
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog, View
from lodex.service.checks import at_least, require_built, within
from lodex.service.filters import read_filter
from lodex.service.ngram_access import NgramAccess, in_steps, with_usage
from lodex.service.ngram_queries import Query
from lodex.service.paging import Page, decode_page, encode_page, page_size
from lodex.types import Rank
from lodex.v1 import ngram_pb2

_SEARCH_DOCS = frozenset({"target", "queries", "literal", "page_size", "context_tokens", "seed", "filter"})
_FIND = frozenset({"target", "queries", "literal"})
_LOCATE = frozenset({"target", "ranks", "match_tokens", "context_tokens"})
_DEFAULT_PAGE = 10


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of documents: of query `position`, in one version, from a page on."""

    position: int
    index: NgramIndex
    query: Query
    cursor: str


class NgramPlacesHandler:
    """Lists documents, finds ranks, and shows what stands at a rank."""

    SERVICE = "NgramService"

    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self._access = NgramAccess(catalog, limits)

    @looks_up
    def search_docs(self, request: ngram_pb2.SearchDocsRequest, call: Call) -> ngram_pb2.SearchDocsResponse:
        """The documents that hold each n-gram, page by page, all pages at the version that the first was read from."""
        require_built(request, _SEARCH_DOCS)
        self._access.check_size(request.queries, "queries")
        size = page_size(request.page_size, _DEFAULT_PAGE, self._access.limits.max_page_size)
        context = self._access.context_tokens(request)
        seed = request.seed if request.HasField("seed") else None
        where = read_filter(request.filter) if request.HasField("filter") else None
        view, newest = self._access.open(request.target)
        sources: dict[int, View] = {}

        def read(i: int, path: str) -> Listing:
            call.check()
            query = request.queries[i]
            page = decode_page(query.page_token, _listed(request, i), f"{path}.page_token")
            view_of_page, index = self._access.open(request.target, page.version) if page.version else (view, newest)
            sources[index.version] = view_of_page
            ngram = self._access.reader(index, request).read_search(query.query, f"{path}.query")
            return Listing(i, index, ngram, page.cursor)

        def write(listing: Listing, result: ngram_pb2.SearchDocsResult) -> None:
            call.check()
            index = listing.index
            (found,) = index.search_docs([listing.query], size, [listing.cursor], context, seed=seed, where=where)
            results.write_occurrences(found, result)
            if found.next_page_token:
                following = Page(found.next_page_token, index.version)
                result.next_page_token = encode_page(following, _listed(request, listing.position))

        batch = Batch(range(len(request.queries)), "queries", read)
        reply = ngram_pb2.SearchDocsResponse()
        batch.fill(reply.results, batch.values, write)
        for source in sources.values() or (view,):
            reply.info.sources.append(source.provenance(newest.name))
        return with_usage(reply, batch, [listing.query for listing in batch.values])

    @looks_up
    def find(self, request: ngram_pb2.FindRequest, call: Call) -> ngram_pb2.FindResponse:
        """The ranks of each n-gram in the suffix array of each segment."""
        require_built(request, _FIND)
        self._access.check_size(request.queries, "queries")
        view, index = self._access.open(request.target)
        batch = Batch(request.queries, "queries", self._access.reader(index, request).read_ngram)
        reply = ngram_pb2.FindResponse()
        batch.fill(reply.results, in_steps(call, index.find, batch.values), results.write_ranks)
        reply.info.sources.append(view.provenance(index.name))
        return with_usage(reply, batch, batch.values)

    @looks_up
    def locate(self, request: ngram_pb2.LocateRequest, call: Call) -> ngram_pb2.LocateResponse:
        """The documents at ranks of suffix arrays, or at positions of streams."""
        require_built(request, _LOCATE)
        self._access.check_size(request.ranks, "ranks")
        asked = request.match_tokens if request.HasField("match_tokens") else 1
        match_tokens = within(asked, 1, self._access.limits.max_ngram_tokens, "match_tokens")
        context = self._access.context_tokens(request)
        view, index = self._access.open(request.target)
        batch = Batch(request.ranks, "ranks", _read_rank)

        def write(asked: tuple[Rank, str], result: ngram_pb2.LocateResult) -> None:
            call.check()
            rank, path = asked
            (found,) = index.locate([rank], match_tokens, context)
            if isinstance(found, LodexError):
                # The index was asked for this rank alone.
                raise type(found)(str(found).replace("ranks[0]", path, 1))
            results.write_located(found, result)

        reply = ngram_pb2.LocateResponse()
        batch.fill(reply.results, batch.values, write)
        reply.info.sources.append(view.provenance(index.name))
        reply.info.usage.items = len(batch)
        return reply


def _read_rank(message: ngram_pb2.Rank, path: str) -> tuple[Rank, str]:
    """A rank, and the path of its field."""
    if not message.segment_id:
        raise InvalidArgumentError(f"{path}.segment_id is required", f"{path}.segment_id")
    place = message.WhichOneof("place")
    if place is None:
        raise InvalidArgumentError(f"{path} is neither a rank nor a position", path)
    number = at_least(getattr(message, place), 0, f"{path}.{place}")
    return Rank(message.segment_id, **{place: number}), path


def _listed(request: ngram_pb2.SearchDocsRequest, i: int) -> ngram_pb2.SearchDocsRequest:
    """What a page token of query i belongs to: all that decides which documents are listed, and in which order."""
    listed = ngram_pb2.SearchDocsRequest(target=request.target, literal=request.literal)
    listed.queries.add(query=request.queries[i].query)
    if request.HasField("seed"):
        listed.seed = request.seed
    if request.HasField("filter"):
        listed.filter.CopyFrom(request.filter)
    return listed
