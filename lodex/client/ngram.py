"""Plans of NgramService: how often, where, and what came next.

An n-gram is text, counted with its variants of leading space and case unless `literal`, or token ids, always literal.
Where a `Conjunction` of n-grams may stand it says so. A lone text, list of ids or conjunction is a batch of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from lodex.client import codec
from lodex.client.filters import filter_message
from lodex.client.plan import Call, Plan
from lodex.errors import InvalidArgumentError
from lodex.filters import Filter
from lodex.types import (
    Answers,
    Conjunction,
    Count,
    InfgramProbability,
    NgramQuery,
    Occurrences,
    Probability,
    TokenDistribution,
)
from lodex.v1 import ngram_pb2

SERVICE = "NgramService"
SearchQuery: TypeAlias = NgramQuery | Conjunction


def count(
    store: str,
    queries: SearchQuery | Sequence[SearchQuery],
    *,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Count]]:
    """How often each n-gram occurs, or each `Conjunction` of n-grams holds."""
    request = ngram_pb2.CountRequest(
        target=codec.index_ref(store, index, version), queries=codec.searches(queries, "queries"), literal=literal
    )
    reply = yield Call(SERVICE, "Count", request, timeout_s)
    return codec.answers(
        reply,
        lambda r: Count(r.count, tuple(tuple(v.token_ids) for v in r.variants), r.approximate, r.standard_error),
    )


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
        prompts=codec.texts(prompts, "prompts"),
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
    min_support: int = 1,
    max_suffix_length: int | None = None,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[InfgramProbability]]:
    """The probability of each continuation after the longest suffix of its prompt that occurs `min_support` times.

    One prompt goes with every continuation, and one continuation with every prompt. `max_suffix_length` is in tokens,
    None the whole prompt.
    """
    request = codec.asked(
        ngram_pb2.InfgramProbRequest,
        target=codec.index_ref(store, index, version),
        queries=_pairs(prompts, continuations),
        literal=literal,
        min_support=min_support,
        max_suffix_length=max_suffix_length,
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
    min_support: int = 1,
    max_suffix_length: int | None = None,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[TokenDistribution]]:
    """The distribution of the token after the longest suffix of each prompt that occurs `min_support` times.

    The `top_k` most frequent tokens, or all with None; `texts` decodes them. `max_suffix_length` is in tokens, None the
    whole prompt.
    """
    request = codec.asked(
        ngram_pb2.InfgramNextTokenDistributionRequest,
        target=codec.index_ref(store, index, version),
        prompts=codec.texts(prompts, "prompts"),
        literal=literal,
        top_k=top_k,
        complete=top_k is None,
        with_texts=texts,
        min_support=min_support,
        max_suffix_length=max_suffix_length,
    )
    reply = yield Call(SERVICE, "InfgramNextTokenDistribution", request, timeout_s)
    return codec.answers(reply, lambda r: _distribution(r.distribution))


def search_docs(
    store: str,
    queries: SearchQuery | Sequence[SearchQuery],
    *,
    page_size: int = 10,
    page_token: str = "",
    context_tokens: int | None = None,
    seed: int | None = None,
    where: str | Filter | None = None,
    literal: bool = False,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[Occurrences]]:
    """The documents that hold each n-gram, or in which each `Conjunction` holds, each document once.

    With `context_tokens` of text on each side of a match. A `seed` draws them at random, without it they come in the
    order of the corpus. `where` is a filter, or one as people write it: 'source = "books" and date >= "2020"'.
    `page_token` is the `next_page_token` of the answer before, and continues the listing of a single n-gram.
    """
    batch = codec.searches(queries, "queries")
    if page_token and len(batch) != 1:
        raise InvalidArgumentError(f"a page token continues one n-gram, and {len(batch)} were given", "page_token")
    request = codec.asked(
        ngram_pb2.SearchDocsRequest,
        target=codec.index_ref(store, index, version),
        queries=[ngram_pb2.SearchDocsQuery(query=query, page_token=page_token) for query in batch],
        literal=literal,
        page_size=page_size,
        context_tokens=context_tokens,
        seed=seed,
        filter=None if where is None else filter_message(where),
    )
    reply = yield Call(SERVICE, "SearchDocs", request, timeout_s)
    return codec.answers(reply, _occurrences)


def _pairs(
    prompts: NgramQuery | Sequence[NgramQuery], continuations: NgramQuery | Sequence[NgramQuery]
) -> list[ngram_pb2.Continuation]:
    """Prompts and continuations side by side, a single one repeated for each of the others."""
    before = codec.texts(prompts, "prompts")
    after = codec.texts(continuations, "continuations")
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


def _occurrences(result: ngram_pb2.SearchDocsResult) -> Occurrences:
    return Occurrences(
        count=result.count,
        occurrences=tuple(map(codec.occurrence, result.occurrences)),
        next_page_token=result.next_page_token,
        documents=result.documents if result.HasField("documents") else None,
        documents_approximate=result.documents_approximate,
    )
