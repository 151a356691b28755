"""RerankService: candidates put in order by a model that reads them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lodex.config import Limits
from lodex.errors import InvalidArgumentError, UnimplementedError
from lodex.rerank.template import IDENTIFIERS
from lodex.service.batch import ENDS_THE_REQUEST, Batch
from lodex.service.call import Call
from lodex.service.catalog import Catalog, View
from lodex.service.checks import at_most, require_built, short_text
from lodex.service.passage_search import required_text
from lodex.service.rerankers import Rerankers
from lodex.service.status import to_status
from lodex.types import RankedCandidate, Ranking, RerankWindow
from lodex.v1 import common_pb2, rerank_pb2

if TYPE_CHECKING:
    from lodex.rerank.first import FirstReranker, Reranking

_REQUEST = frozenset({"model", "queries", "target", "chunking", "options", "top_n", "with_texts"})
_OPTIONS = frozenset({"method", "strategy", "window", "stride"})
_METHODS = (rerank_pb2.RERANK_METHOD_UNSPECIFIED, rerank_pb2.RERANK_METHOD_FIRST)
# Time that is left for the answer to reach the caller.
_REPLY_S = 0.05


@dataclass(frozen=True, slots=True)
class _Query:
    """A query and its candidates as they are read; `path` is its field in the request."""

    path: str
    query: str
    query_id: str
    ids: Sequence[str]
    texts: Sequence[str]


@dataclass(frozen=True)
class _Opened:
    """What a request is answered with: a reranker by its name here, the good queries, where passages were read."""

    name: str
    reranker: FirstReranker
    batch: Batch[_Query]
    info: common_pb2.ReplyInfo


class RerankHandler:
    """Reranks with the rerankers of the server, texts as they come or passages of its stores."""

    def __init__(self, catalog: Catalog, rerankers: Rerankers, limits: Limits) -> None:
        self._catalog = catalog
        self._rerankers = rerankers
        self._limits = limits

    async def rerank(self, request: rerank_pb2.RerankRequest, call: Call) -> rerank_pb2.RerankResponse:
        """The order of the candidates of each query; where the deadline comes first, the order so far."""
        opened = await self._open(request, call)
        rankings: list[Ranking | Exception] = []
        for query in opened.batch.values:
            begin = partial(_begin, opened.reranker, request.options, query, call.check)
            work = await _attempt(call, begin, opened.name)
            while not isinstance(work, Exception) and not work.is_finished and not _is_late(call, work):
                read = await _attempt(call, work.step, opened.name)
                if isinstance(read, Exception):
                    work = read
            rankings.append(work if isinstance(work, Exception) else work.ranking(not work.is_finished))
        reply = rerank_pb2.RerankResponse(model=opened.name, fingerprint=opened.reranker.fingerprint, info=opened.info)
        answers = zip(opened.batch.values, rankings, strict=True)
        opened.batch.fill(reply.results, answers, lambda answer, result: _write(request, answer, result))
        reply.info.usage.tokens = sum(result.prompt_tokens for result in reply.results)
        return reply

    async def rerank_stream(
        self, request: rerank_pb2.RerankStreamRequest, call: Call
    ) -> AsyncGenerator[rerank_pb2.RerankStreamResponse, None]:
        """Each window as it is read, then the order of its query; the queries come one after the other."""
        asked = request.request
        opened = await self._open(asked, call)
        values = dict(zip(opened.batch.positions, opened.batch.values, strict=True))
        for item in range(len(opened.batch)):
            message = rerank_pb2.RerankStreamResponse(item=item)
            if item in values:
                query = values[item]
                begin = partial(_begin, opened.reranker, asked.options, query, call.check)
                work = await _attempt(call, begin, opened.name)
                while not isinstance(work, Exception) and not work.is_finished and not _is_late(call, work):
                    read = await _attempt(call, work.step, opened.name)
                    if isinstance(read, Exception):
                        work = read
                    else:
                        yield rerank_pb2.RerankStreamResponse(item=item, window=_window(asked, query, read))
                ranking = work if isinstance(work, Exception) else work.ranking(not work.is_finished)
                try:
                    _write(asked, (query, ranking), message.result)
                except Exception as error:  # noqa: BLE001  # a defect in one item leaves the others unharmed too
                    message.result.error.CopyFrom(to_status(error))
                opened.info.usage.tokens += message.result.prompt_tokens
            else:
                message.result.error.CopyFrom(opened.batch.errors[item])
            if item + 1 == len(opened.batch):
                message.info.CopyFrom(opened.info)
            yield message

    async def _open(self, request: rerank_pb2.RerankRequest, call: Call) -> _Opened:
        require_built(request, _REQUEST)
        require_built(request.options, _OPTIONS, "options")
        if request.options.method not in _METHODS:
            raise UnimplementedError("options.method: only FIRST is built")
        if request.options.strategy == rerank_pb2.RERANK_STRATEGY_TOURNAMENT:
            raise UnimplementedError("options.strategy: tournaments are not built yet")
        if request.HasField("top_n") and request.top_n < 1:
            raise InvalidArgumentError(f"top_n is {request.top_n}, expected at least 1", "top_n")
        at_most(request.queries, self._limits.max_rerank_queries, "queries", "queries")
        name = self._rerankers.resolve(request.model, "model")
        reranker = await call.run(self._rerankers.load, name, model=name)
        reranker.require_windows(*_windows(request.options))
        info = common_pb2.ReplyInfo()
        batch = await call.run(self._queries, request, info)
        info.usage.items = len(batch)
        return _Opened(name, reranker, batch, info)

    def _queries(self, request: rerank_pb2.RerankRequest, info: common_pb2.ReplyInfo) -> Batch[_Query]:
        view: View | None = None
        chunking = request.chunking
        if request.HasField("target"):
            view = self._catalog.view(request.target)
            chunking = view.choose("passages", chunking)
            info.sources.append(view.provenance(chunking))

        def read(query: rerank_pb2.RerankQuery, path: str) -> _Query:
            at_most(query.candidates, self._limits.max_rerank_candidates, f"{path}.candidates", "candidates")
            texts = [
                self._text(candidate, f"{path}.candidates[{i}]", view, chunking)
                for i, candidate in enumerate(query.candidates)
            ]
            text = required_text(query.query, self._limits.max_text_bytes, f"{path}.query")
            return _Query(path, text, query.query_id, [candidate.id for candidate in query.candidates], texts)

        return Batch(request.queries, "queries", read)

    def _text(self, candidate: rerank_pb2.Candidate, path: str, view: View | None, chunking: str) -> str:
        """What is read of a candidate: its title, a space and its text, or the text alone."""
        content, title = candidate.WhichOneof("content"), candidate.title
        if content is None:
            raise InvalidArgumentError(f"{path} is neither text nor passage_id", path)
        if content == "passage_id":
            if view is None:
                raise InvalidArgumentError(f"target is required: {path} is a passage of a store", "target")
            passage = view.snapshot.passage(candidate.passage_id, chunking)
            text, title = passage.text, title or passage.title
        else:
            text = short_text(candidate.text, self._limits.max_text_bytes, f"{path}.text")
        return f"{title} {text}" if title else text


def _windows(options: rerank_pb2.RerankOptions) -> tuple[int | None, int | None]:
    """The window and stride that a request asks for, None for those of the reranker."""
    return (
        options.window if options.HasField("window") else None,
        options.stride if options.HasField("stride") else None,
    )


def _begin(
    reranker: FirstReranker, options: rerank_pb2.RerankOptions, query: _Query, check: Callable[[], None]
) -> Reranking:
    window, stride = _windows(options)
    if options.strategy == rerank_pb2.RERANK_STRATEGY_SINGLE:
        window = max(1, len(query.texts))
        if window > len(IDENTIFIERS):
            path = f"{query.path}.candidates"
            raise InvalidArgumentError(
                f"{path} has {window} candidates, one window holds at most {len(IDENTIFIERS)}: let windows slide", path
            )
    return reranker.begin(query.query, query.texts, window=window, stride=stride, check=check)


async def _attempt(call: Call, work: Any, model: str) -> Any:
    """What `work` gives on the thread of the model, or the error that is the item's own."""
    try:
        return await call.run(work, model=model)
    except ENDS_THE_REQUEST:
        raise
    except Exception as error:  # noqa: BLE001  # a defect in one item leaves the others unharmed too
        return error


def _is_late(call: Call, work: Reranking) -> bool:
    """Whether another window would likely end after the deadline."""
    return call.deadline is not None and time.monotonic() + work.slowest_s + _REPLY_S > call.deadline


def _write(
    request: rerank_pb2.RerankRequest, answer: tuple[_Query, Ranking | Exception], result: rerank_pb2.RerankResult
) -> None:
    query, ranking = answer
    if isinstance(ranking, Exception):
        raise ranking
    shown = ranking.candidates[: request.top_n] if request.HasField("top_n") else ranking.candidates
    result.candidates.extend(_candidate(request, query, candidate) for candidate in shown)
    result.windows = ranking.windows
    result.forwards = ranking.forwards
    result.decoded_tokens = ranking.decoded_tokens
    result.prompt_tokens = ranking.prompt_tokens
    result.partial = ranking.partial
    result.query_id = query.query_id


def _window(request: rerank_pb2.RerankRequest, query: _Query, window: RerankWindow) -> rerank_pb2.RerankWindow:
    candidates = [_candidate(request, query, candidate) for candidate in window.candidates]
    return rerank_pb2.RerankWindow(begin=window.begin, candidates=candidates)


def _candidate(request: rerank_pb2.RerankRequest, query: _Query, value: RankedCandidate) -> rerank_pb2.RankedCandidate:
    return rerank_pb2.RankedCandidate(
        index=value.index,
        id=query.ids[value.index],
        score=value.score,
        logit=value.logit,
        windows=value.windows,
        truncated=value.truncated,
        text=query.texts[value.index] if request.with_texts else "",
    )
