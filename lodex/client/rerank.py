"""Plans of RerankService: candidates put in order by a model that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lodex.client import codec
from lodex.client.plan import Call, Plan, StreamPlan
from lodex.client.status import error_of
from lodex.errors import InvalidArgumentError
from lodex.types import Answers, Candidate, Hit, RankedCandidate, Ranking, RerankWindow, StreamEvent
from lodex.v1 import rerank_pb2

SERVICE = "RerankService"

AnyCandidate = str | Candidate | Hit
"""What may be ordered: a text, a Candidate, or a Hit of a search, which is read with its title."""


def rerank(
    queries: str | Sequence[str],
    candidates: Sequence[AnyCandidate] | Sequence[Sequence[AnyCandidate]],
    *,
    model: str | None = None,
    top_n: int | None = None,
    window: int | None = None,
    stride: int | None = None,
    texts: bool = False,
    timeout_s: float | None = None,
) -> Plan[Answers[Ranking]]:
    """The order of the candidates of each query, best first: one list for a single query, else a list for each.

    `window` candidates are read at once, windows begin `stride` apart; by default as the model was trained. `texts`
    returns what was read. Where the deadline comes before the last window, the order is `partial`.
    """
    return rerank_of_store(
        "",
        queries,
        candidates,
        model=model,
        top_n=top_n,
        window=window,
        stride=stride,
        texts=texts,
        timeout_s=timeout_s,
    )


def rerank_of_store(
    store: str,
    queries: str | Sequence[str],
    candidates: Sequence[AnyCandidate] | Sequence[Sequence[AnyCandidate]],
    *,
    model: str | None = None,
    top_n: int | None = None,
    window: int | None = None,
    stride: int | None = None,
    texts: bool = False,
    chunking: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Ranking]]:
    """The order of the candidates of each query; those with a `passage_id` are read from this store.

    `chunking` numbers the passages. See `Client.rerank`.
    """
    asked = _Asked(store, queries, candidates, model, top_n, window, stride, texts, chunking, version)
    reply = yield Call(SERVICE, "Rerank", asked.request(), timeout_s)
    return codec.answers(reply, _ranking)


def rerank_stream(
    queries: str | Sequence[str],
    candidates: Sequence[AnyCandidate] | Sequence[Sequence[AnyCandidate]],
    *,
    model: str | None = None,
    top_n: int | None = None,
    window: int | None = None,
    stride: int | None = None,
    texts: bool = False,
    timeout_s: float | None = None,
) -> StreamPlan[StreamEvent]:
    """As `rerank`, telling each window as it is read: RerankWindow events, then the Ranking of a query or its error."""
    asked = _Asked("", queries, candidates, model, top_n, window, stride, texts, None, None)
    return _stream(asked, timeout_s)


def rerank_stream_of_store(
    store: str,
    queries: str | Sequence[str],
    candidates: Sequence[AnyCandidate] | Sequence[Sequence[AnyCandidate]],
    *,
    model: str | None = None,
    top_n: int | None = None,
    window: int | None = None,
    stride: int | None = None,
    texts: bool = False,
    chunking: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> StreamPlan[StreamEvent]:
    """As `rerank`, telling each window as it is read: RerankWindow events, then the Ranking of a query or its error."""
    return _stream(
        _Asked(store, queries, candidates, model, top_n, window, stride, texts, chunking, version), timeout_s
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    store: str
    queries: str | Sequence[str]
    candidates: Sequence[AnyCandidate] | Sequence[Sequence[AnyCandidate]]
    model: str | None
    top_n: int | None
    window: int | None
    stride: int | None
    texts: bool
    chunking: str | None
    version: int | None

    def request(self) -> rerank_pb2.RerankRequest:
        queries = codec.lone_text(self.queries, "queries")
        lists: Any = [self.candidates] if isinstance(self.queries, str) else self.candidates
        if len(lists) != len(queries):
            raise InvalidArgumentError(
                f"{len(queries)} queries and {len(lists)} lists of candidates: list i belongs to query i", "candidates"
            )
        request = codec.asked(
            rerank_pb2.RerankRequest,
            model=self.model or "",
            options=codec.asked(rerank_pb2.RerankOptions, "options", window=self.window, stride=self.stride),
            chunking=self.chunking or "",
            top_n=self.top_n,
            with_texts=self.texts,
        )
        for i, (query, candidates) in enumerate(zip(queries, lists, strict=True)):
            if isinstance(candidates, str) or not isinstance(candidates, Iterable):
                kind = "one text" if isinstance(candidates, str) else type(candidates).__name__
                raise InvalidArgumentError(f"candidates[{i}] is {kind}, expected a list", f"candidates[{i}]")
            asked = request.queries.add(query=query)
            asked.candidates.extend(
                _candidate(candidate, f"queries[{i}].candidates[{j}]") for j, candidate in enumerate(candidates)
            )
        from_store = any(c.WhichOneof("content") == "passage_id" for q in request.queries for c in q.candidates)
        if self.store and from_store:
            request.target.CopyFrom(codec.store_ref(self.store, self.version))
        return request


def _candidate(value: AnyCandidate, path: str) -> rerank_pb2.Candidate:
    if isinstance(value, str):
        value = Candidate(value)
    elif isinstance(value, Hit):
        value = Candidate(value.passage.text, value.passage.title, value.passage.id)
    elif not isinstance(value, Candidate):
        raise InvalidArgumentError(f"{path} is {type(value).__name__}, expected a text, a Candidate or a Hit", path)
    content = {"passage_id": value.passage_id} if value.passage_id else {"text": value.text}
    name = value.id or value.passage_id
    return codec.asked(rerank_pb2.Candidate, path, id=name, title=value.title, **content)


def _stream(asked: _Asked, timeout_s: float | None) -> StreamPlan[StreamEvent]:
    request = rerank_pb2.RerankStreamRequest(request=asked.request())
    return StreamPlan(Call(SERVICE, "RerankStream", request, timeout_s), _event)


def _event(message: rerank_pb2.RerankStreamResponse) -> StreamEvent:
    if message.WhichOneof("event") == "window":
        window = RerankWindow(message.window.begin, tuple(map(_ranked, message.window.candidates)))
        return StreamEvent(message.item, window)
    if message.result.HasField("error"):
        return StreamEvent(message.item, error_of(message.result.error))
    return StreamEvent(message.item, _ranking(message.result))


def _ranking(result: rerank_pb2.RerankResult) -> Ranking:
    return Ranking(
        candidates=tuple(map(_ranked, result.candidates)),
        windows=result.windows,
        forwards=result.forwards,
        decoded_tokens=result.decoded_tokens,
        prompt_tokens=result.prompt_tokens,
        partial=result.partial,
    )


def _ranked(message: rerank_pb2.RankedCandidate) -> RankedCandidate:
    return RankedCandidate(
        index=message.index,
        score=message.score,
        logit=message.logit if message.HasField("logit") else None,
        windows=message.windows,
        truncated=message.truncated,
        id=message.id,
        text=message.text,
    )
