"""Plans of NgramService: how often, where, and what came next.

An n-gram is text, counted with its variants of leading space and case unless `literal`, or token ids, always literal.
A lone text or list of ids is a batch of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lodex.client import codec
from lodex.client.plan import Call, Plan
from lodex.errors import InvalidArgumentError
from lodex.types import (
    Answers,
    Count,
    InfgramProbability,
    NgramQuery,
    Occurrences,
    Probability,
    TokenDistribution,
)
from lodex.v1 import common_pb2, ngram_pb2

SERVICE = "NgramService"


def count(
    store: str,
    queries: NgramQuery | Sequence[NgramQuery],
    *,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Count]]:
    """How often each n-gram occurs."""
    request = ngram_pb2.CountRequest(
        target=codec.index_ref(store, index, version),
        queries=_batch(ngram_pb2.NgramQuery, queries, "queries"),
        literal=literal,
    )
    reply = yield Call(SERVICE, "Count", request, timeout_s)
    return codec.answers(reply, lambda r: Count(r.count, tuple(tuple(v.token_ids) for v in r.variants)))


def prob(
    store: str,
    prompts: NgramQuery | Sequence[NgramQuery],
    continuations: NgramQuery | Sequence[NgramQuery],
    *,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Probability]]:
    """The probability of each continuation, of one token or more, after its prompt.

    One prompt goes with every continuation, and one continuation with every prompt.
    """
    request = ngram_pb2.ProbRequest(
        target=codec.index_ref(store, index, version), queries=_pairs(prompts, continuations), literal=literal
    )
    reply = yield Call(SERVICE, "Prob", request, timeout_s)
    return codec.answers(reply, lambda r: Probability(_probability(r), r.prompt_count, r.continuation_count))


def ntd(
    store: str,
    prompts: NgramQuery | Sequence[NgramQuery],
    *,
    top_k: int | None = 10,
    texts: bool = False,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[TokenDistribution]]:
    """The distribution of the token after each prompt: the `top_k` most frequent, or all with None.

    `texts` decodes the tokens.
    """
    request = ngram_pb2.NextTokenDistributionRequest(
        target=codec.index_ref(store, index, version),
        prompts=_batch(common_pb2.TextOrTokens, prompts, "prompts"),
        literal=literal,
        top_k=top_k,
        complete=top_k is None,
        with_texts=texts,
    )
    reply = yield Call(SERVICE, "NextTokenDistribution", request, timeout_s)
    return codec.answers(reply, lambda r: _distribution(r.distribution))


def infgram_prob(
    store: str,
    prompts: NgramQuery | Sequence[NgramQuery],
    continuations: NgramQuery | Sequence[NgramQuery],
    *,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[InfgramProbability]]:
    """The probability of each continuation after the longest suffix of its prompt that occurs.

    One prompt goes with every continuation, and one continuation with every prompt.
    """
    request = ngram_pb2.InfgramProbRequest(
        target=codec.index_ref(store, index, version), queries=_pairs(prompts, continuations), literal=literal
    )
    reply = yield Call(SERVICE, "InfgramProb", request, timeout_s)
    return codec.answers(
        reply,
        lambda r: InfgramProbability(_probability(r), r.prompt_count, r.continuation_count, r.suffix_length),
    )


def infgram_ntd(
    store: str,
    prompts: NgramQuery | Sequence[NgramQuery],
    *,
    top_k: int | None = 10,
    texts: bool = False,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[TokenDistribution]]:
    """The distribution of the token after the longest suffix of each prompt that occurs.

    The `top_k` most frequent tokens, or all with None; `texts` decodes them.
    """
    request = ngram_pb2.InfgramNextTokenDistributionRequest(
        target=codec.index_ref(store, index, version),
        prompts=_batch(common_pb2.TextOrTokens, prompts, "prompts"),
        literal=literal,
        top_k=top_k,
        complete=top_k is None,
        with_texts=texts,
    )
    reply = yield Call(SERVICE, "InfgramNextTokenDistribution", request, timeout_s)
    return codec.answers(reply, lambda r: _distribution(r.distribution))


def search_docs(
    store: str,
    queries: NgramQuery | Sequence[NgramQuery],
    *,
    page_size: int = 10,
    page_token: str = "",
    context_tokens: int | None = None,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Occurrences]]:
    """The documents that hold each n-gram, each once, with `context_tokens` of text on each side of a match.

    `page_token` is the `next_page_token` of the answer before, and continues the listing of a single n-gram.
    """
    batch = _batch(ngram_pb2.NgramQuery, queries, "queries")
    if page_token and len(batch) != 1:
        raise InvalidArgumentError(f"a page token continues one n-gram, and {len(batch)} were given", "page_token")
    request = ngram_pb2.SearchDocsRequest(
        target=codec.index_ref(store, index, version),
        queries=[ngram_pb2.SearchDocsQuery(query=query, page_token=page_token) for query in batch],
        literal=literal,
        page_size=page_size,
        context_tokens=context_tokens,
    )
    reply = yield Call(SERVICE, "SearchDocs", request, timeout_s)
    return codec.answers(
        reply, lambda r: Occurrences(r.count, tuple(map(codec.occurrence, r.occurrences)), r.next_page_token)
    )


def _batch(message: type[codec.M], queries: NgramQuery | Sequence[NgramQuery], field: str) -> list[codec.M]:
    batch = codec.lone_query(queries)
    return [codec.ngram(message, query, f"{field}[{i}]") for i, query in enumerate(batch)]


def _pairs(
    prompts: NgramQuery | Sequence[NgramQuery], continuations: NgramQuery | Sequence[NgramQuery]
) -> list[ngram_pb2.Continuation]:
    """Prompts and continuations side by side, a single one repeated for each of the others."""
    before = _batch(common_pb2.TextOrTokens, prompts, "prompts")
    after = _batch(common_pb2.TextOrTokens, continuations, "continuations")
    if len(before) == 1:
        before *= len(after)
    elif len(after) == 1:
        after *= len(before)
    if len(before) != len(after):
        raise InvalidArgumentError(f"{len(before)} prompts and {len(after)} continuations", "continuations")
    return [ngram_pb2.Continuation(prompt=p, continuation=c) for p, c in zip(before, after, strict=True)]


def _probability(result: Any) -> float | None:
    return result.probability if result.HasField("probability") else None


def _distribution(message: ngram_pb2.TokenDistribution) -> TokenDistribution:
    return TokenDistribution(
        token_ids=codec.array(message.token_ids).astype(np.int64),
        counts=codec.array(message.counts).astype(np.int64),
        prompt_count=message.prompt_count,
        distinct=message.distinct,
        suffix_length=message.suffix_length,
        texts=tuple(message.texts),
    )
