"""Plans of LanguageModelService: scores, continuations, and answers with their sources.

What the model reads beside its context is said by `knn` and `infgram`: a source with its settings, or True for the
index of the store at hand, with the settings it has by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lodex.client import codec
from lodex.client.plan import Call, Plan, StreamPlan
from lodex.client.status import error_of
from lodex.errors import InternalError, InvalidArgumentError
from lodex.types import (
    Answers,
    Citation,
    ComponentScores,
    Finished,
    FinishReason,
    GeneratedTokens,
    Hit,
    InfgramSource,
    KnnSource,
    Neighbor,
    NgramQuery,
    Retrieved,
    Sampling,
    StreamEvent,
    TextScore,
)
from lodex.v1 import common_pb2, language_model_pb2, retrieval_pb2

SERVICE = "LanguageModelService"
_REASONS = {
    language_model_pb2.FINISH_REASON_END: FinishReason.END,
    language_model_pb2.FINISH_REASON_LENGTH: FinishReason.LENGTH,
    language_model_pb2.FINISH_REASON_STOP: FinishReason.STOP,
}


def score(
    texts: NgramQuery | Sequence[NgramQuery],
    *,
    model: str | None = None,
    knn: KnnSource | bool | None = None,
    infgram: InfgramSource | bool | None = None,
    components: bool = False,
    neighbors: int = 0,
    window_tokens: int | None = None,
    stride_tokens: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[TextScore]]:
    """The log-probability of every token of each text, a document of its own, given as text or as token ids.

    `components` adds what the model and each source say by themselves, `neighbors` that many nearest neighbours for
    each token. Texts beyond the model's limit are read in windows of `window_tokens`, `stride_tokens` apart.
    """
    return score_beside(
        "",
        texts,
        model=model,
        knn=knn,
        infgram=infgram,
        components=components,
        neighbors=neighbors,
        window_tokens=window_tokens,
        stride_tokens=stride_tokens,
        timeout_s=timeout_s,
    )


def score_beside(
    store: str,
    texts: NgramQuery | Sequence[NgramQuery],
    *,
    model: str | None = None,
    knn: KnnSource | bool | None = None,
    infgram: InfgramSource | bool | None = None,
    components: bool = False,
    neighbors: int = 0,
    window_tokens: int | None = None,
    stride_tokens: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[TextScore]]:
    """The log-probability of every token of each text, a document of its own, given as text or as token ids.

    `knn` and `infgram` True read this store's indexes; see `Client.score`.
    """
    request = codec.asked(
        language_model_pb2.ScoreRequest,
        model=model or "",
        texts=_texts(texts, "texts"),
        mixture=_mixture(store, knn, infgram),
        with_components=components,
        neighbors=neighbors,
        window_tokens=window_tokens,
        stride_tokens=stride_tokens,
    )
    reply = yield Call(SERVICE, "Score", request, timeout_s)
    return codec.answers(reply, _score)


def generate(
    prompts: NgramQuery | Sequence[NgramQuery],
    *,
    sampling: Sampling | None = None,
    model: str | None = None,
    knn: KnnSource | bool | None = None,
    infgram: InfgramSource | bool | None = None,
    log_probabilities: bool = False,
    timeout_s: float | None = None,
) -> StreamPlan[StreamEvent]:
    """Continue prompts, given as text or as token ids: tokens as they are made, those of several prompts in turn.

    Each prompt ends with Finished, or with an error of its own. Closing the iterator ends the work.
    """
    return generate_beside(
        "",
        prompts,
        sampling=sampling,
        model=model,
        knn=knn,
        infgram=infgram,
        log_probabilities=log_probabilities,
        timeout_s=timeout_s,
    )


def generate_beside(
    store: str,
    prompts: NgramQuery | Sequence[NgramQuery],
    *,
    sampling: Sampling | None = None,
    model: str | None = None,
    knn: KnnSource | bool | None = None,
    infgram: InfgramSource | bool | None = None,
    log_probabilities: bool = False,
    timeout_s: float | None = None,
) -> StreamPlan[StreamEvent]:
    """Continue prompts, given as text or as token ids: tokens as they are made, those of several prompts in turn.

    `knn` and `infgram` True read this store's indexes; see `Client.generate`.
    """
    request = codec.asked(
        language_model_pb2.GenerateRequest,
        model=model or "",
        prompts=_texts(prompts, "prompts"),
        mixture=_mixture(store, knn, infgram),
        sampling=_sampling(sampling, log_probabilities),
    )
    return StreamPlan(Call(SERVICE, "Generate", request, timeout_s), _event)


def ask(
    store: str,
    questions: str | Sequence[str],
    *,
    k: int = 10,
    index: str | None = None,
    exact: bool = False,
    nprobe: int | None = None,
    context_tokens: int | None = None,
    template: str | None = None,
    sampling: Sampling | None = None,
    model: str | None = None,
    knn: KnnSource | bool | None = None,
    infgram: InfgramSource | bool | None = None,
    log_probabilities: bool = False,
    version: int | None = None,
    timeout_s: float | None = None,
) -> StreamPlan[StreamEvent]:
    """Answer questions from the best `k` passages of a store, as many of them as fit into `context_tokens`.

    Each question gives Retrieved, the passages that the model reads, then tokens and citations, then Finished, or an
    error of its own. `index`, `exact` and `nprobe` are of the search. Closing the iterator ends the work.
    """
    request = codec.asked(
        language_model_pb2.AskRequest,
        model=model or "",
        questions=codec.lone_text(questions, "questions"),
        search=codec.asked(
            retrieval_pb2.SearchRequest,
            "search",
            target=codec.index_ref(store, index, version, "search.target"),
            k=k,
            parameters=_parameters("search.parameters", exact, nprobe),
        ),
        context_tokens=context_tokens,
        template=template or "",
        mixture=_mixture(store, knn, infgram),
        sampling=_sampling(sampling, log_probabilities),
    )
    return StreamPlan(Call(SERVICE, "Ask", request, timeout_s), _event)


def _texts(texts: NgramQuery | Sequence[NgramQuery], field: str) -> list[common_pb2.TextOrTokens]:
    batch = codec.lone_query(texts)
    return [codec.ngram(common_pb2.TextOrTokens, text, f"{field}[{i}]") for i, text in enumerate(batch)]


def _mixture(
    store: str, knn: KnnSource | bool | None, infgram: InfgramSource | bool | None
) -> language_model_pb2.Mixture | None:
    """What the model reads, None for its context alone. True stands for a source of the store."""
    if not knn and not infgram:
        return None
    mixture = language_model_pb2.Mixture()
    if knn:
        near = KnnSource(store) if knn is True else knn
        mixture.knn.CopyFrom(
            codec.asked(
                language_model_pb2.KnnSource,
                "mixture.knn",
                target=codec.index_ref(near.store, near.index, near.version, "mixture.knn.target"),
                k=near.k,
                temperature=near.temperature,
                weight=near.weight,
                parameters=_parameters("mixture.knn.parameters", near.exact, near.nprobe),
            )
        )
    if infgram:
        longest = InfgramSource(store) if infgram is True else infgram
        mixture.infgram.CopyFrom(
            codec.asked(
                language_model_pb2.InfgramSource,
                "mixture.infgram",
                target=codec.index_ref(longest.store, longest.index, longest.version, "mixture.infgram.target"),
                weight=longest.weight,
                single_weight=longest.single_weight,
            )
        )
    return mixture


def _parameters(path: str, exact: bool, nprobe: int | None) -> retrieval_pb2.SearchParameters:
    return codec.asked(retrieval_pb2.SearchParameters, path, exact=exact, nprobe=nprobe)


def _sampling(sampling: Sampling | None, log_probabilities: bool) -> language_model_pb2.Sampling:
    chosen = sampling or Sampling()
    if isinstance(chosen.stop, str):
        raise InvalidArgumentError(f"sampling.stop is {chosen.stop!r}, expected a tuple of texts", "sampling.stop")
    return codec.asked(
        language_model_pb2.Sampling,
        "sampling",
        max_tokens=chosen.max_tokens,
        temperature=chosen.temperature,
        top_p=chosen.top_p,
        top_k=chosen.top_k,
        seed=chosen.seed,
        stop=chosen.stop,
        with_log_probabilities=log_probabilities,
    )


def _score(result: language_model_pb2.ScoreResult) -> TextScore:
    return TextScore(
        token_ids=codec.array(result.token_ids).astype(np.int64),
        log_probabilities=codec.array(result.log_probabilities),
        text_bytes=result.text_bytes,
        components=tuple(map(_component, result.components)),
        neighbors=tuple(tuple(map(_neighbor, token.neighbors)) for token in result.neighbors),
    )


def _component(message: language_model_pb2.ComponentScores) -> ComponentScores:
    return ComponentScores(
        component=message.component,
        log_probabilities=codec.array(message.log_probabilities),
        weights=codec.array(message.weights),
        suffix_lengths=codec.array(message.suffix_lengths) if message.HasField("suffix_lengths") else None,
    )


def _neighbor(message: language_model_pb2.Neighbor) -> Neighbor:
    return Neighbor(message.token_id, message.distance, message.weight, codec.occurrence(message.occurrence))


def _event(message: Any) -> StreamEvent:
    """A message of either stream as an event."""
    kind = message.WhichOneof("event")
    if kind not in _EVENTS:
        raise InternalError(f"the server sent an event {kind!r}, which this client cannot read")
    return StreamEvent(message.item, _EVENTS[kind](getattr(message, kind)))


def _tokens(message: language_model_pb2.GeneratedTokens) -> GeneratedTokens:
    return GeneratedTokens(tuple(message.token_ids), message.text, tuple(message.log_probabilities))


def _finished(message: language_model_pb2.Finished) -> Finished:
    if message.reason not in _REASONS:
        raise InternalError(f"the server sent a reason {message.reason}, which this client cannot read")
    return Finished(_REASONS[message.reason], message.prompt_tokens, message.generated_tokens, message.forwards)


def _retrieved(message: language_model_pb2.Retrieved) -> Retrieved:
    return Retrieved(tuple(Hit(codec.passage(hit.passage), hit.score) for hit in message.hits), message.left_out)


def _citation(message: language_model_pb2.Citation) -> Citation:
    return Citation(message.begin, message.end, tuple(message.hits))


_EVENTS: dict[str, Any] = {
    "tokens": _tokens,
    "finished": _finished,
    "retrieved": _retrieved,
    "citation": _citation,
    "error": error_of,
}
