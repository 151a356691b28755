"""LanguageModelService: scores, continuations, and answers with their sources."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lodex.config import Limits
from lodex.errors import InvalidArgumentError, NotFoundError, UnimplementedError
from lodex.lm.citation import cite
from lodex.lm.sampling import require_sampling
from lodex.service.batch import ENDS_THE_REQUEST, Batch
from lodex.service.call import Call
from lodex.service.catalog import Catalog
from lodex.service.checks import at_most, require_built, short_text, within
from lodex.service.language_models import LanguageModels
from lodex.service.language_results import EventWriter, write_score
from lodex.service.mixtures import MixtureReader
from lodex.service.passage_search import PassageSearch, required_text
from lodex.service.turns import take_turns
from lodex.types import Finished, GeneratedTokens, Hit, Retrieved, Sampling, TextScore
from lodex.v1 import common_pb2, language_model_pb2

if TYPE_CHECKING:
    from lodex.lm.generation import Generation
    from lodex.lm.mixture import Mixture
    from lodex.lm.model import LanguageModel
    from lodex.lm.prompt import PackedPrompt

_SCORE = frozenset({"model", "texts", "mixture", "with_components", "neighbors", "window_tokens", "stride_tokens"})
_GENERATE = frozenset({"model", "prompts", "mixture", "sampling"})
_ASK = frozenset({"model", "questions", "search", "context_tokens", "strategy", "template", "mixture", "sampling"})
_SAMPLING = frozenset({"max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "with_log_probabilities"})
_PROMPT = (language_model_pb2.CONTEXT_STRATEGY_UNSPECIFIED, language_model_pb2.CONTEXT_STRATEGY_PROMPT)
_DEFAULT_TOKENS = 128
_MAX_STOPS = 16
# Each is read from its document: a thousand take a tenth of a second.
_MAX_LISTED = 65_536


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as the model reads it, and its UTF-8 bytes."""

    ids: list[int]
    num_bytes: int


@dataclass(frozen=True)
class _Opened:
    """What a request reads with: a model by its name here, and what it reads beside its context."""

    name: str
    model: LanguageModel
    mixture: Mixture
    sources: Sequence[common_pb2.Provenance]


class LanguageModelHandler:
    """Scores and generates with the language models of the server, which read the indexes of its stores."""

    def __init__(
        self, catalog: Catalog, language_models: LanguageModels, search: PassageSearch, limits: Limits
    ) -> None:
        self._catalog = catalog
        self._language_models = language_models
        self._search = search
        self._limits = limits

    async def score(self, request: language_model_pb2.ScoreRequest, call: Call) -> language_model_pb2.ScoreResponse:
        """The log-probability of every token of texts, each a document of its own."""
        require_built(request, _SCORE)
        at_most(request.texts, self._limits.max_batch_items, "texts", "items")
        if request.neighbors and not request.mixture.HasField("knn"):
            raise InvalidArgumentError("neighbors are those of mixture.knn, which is absent", "neighbors")
        within(request.neighbors, 0, self._limits.max_k, "neighbors")
        opened = await self._open(request.model, request.mixture, call)
        batch = await call.run(self._texts, opened.model, request.texts, "texts")
        listed = request.neighbors * sum(len(text.ids) for text in batch.values)
        if listed > _MAX_LISTED:
            raise InvalidArgumentError(
                f"{request.neighbors} neighbors of each token are {listed} in all, at most {_MAX_LISTED} are listed",
                "neighbors",
            )

        def answer() -> list[TextScore]:
            from lodex.lm.scoring import score_texts  # torch is imported only where a model is at work

            return score_texts(
                opened.model,
                [text.ids for text in batch.values],
                opened.mixture,
                text_bytes=[text.num_bytes for text in batch.values],
                components=request.with_components,
                neighbors=request.neighbors,
                window_tokens=request.window_tokens if request.HasField("window_tokens") else None,
                stride_tokens=request.stride_tokens if request.HasField("stride_tokens") else None,
                check=call.check,
            )

        scores = await call.run(answer, model=opened.name)
        reply = language_model_pb2.ScoreResponse(model=opened.name, fingerprint=opened.model.info.fingerprint)
        await call.run(batch.fill, reply.results, scores, write_score)
        reply.info.sources.extend(opened.sources)
        reply.info.usage.items = len(batch)
        reply.info.usage.tokens = sum(len(text.ids) for text in batch.values)
        return reply

    async def generate(
        self, request: language_model_pb2.GenerateRequest, call: Call
    ) -> AsyncGenerator[language_model_pb2.GenerateResponse, None]:
        """Continue prompts, which take turns, a token each."""
        require_built(request, _GENERATE)
        at_most(request.prompts, self._limits.max_generate_prompts, "prompts", "prompts")
        sampling = self._sampling(request.sampling)
        opened = await self._open(request.model, request.mixture, call)
        batch = await call.run(self._texts, opened.model, request.prompts, "prompts")
        info = common_pb2.ReplyInfo(sources=opened.sources)
        written = EventWriter(
            language_model_pb2.GenerateResponse, len(batch), info, request.sampling.with_log_probabilities
        )
        for item, status in batch.errors.items():
            yield written(item, status)
        begin = {
            item: _beginning(opened, text.ids, sampling, call)
            for item, text in zip(batch.positions, batch.values, strict=True)
        }
        async with aclosing(take_turns(begin, call, opened.name)) as events:
            async for item, event in events:
                yield written(item, event)

    async def ask(
        self, request: language_model_pb2.AskRequest, call: Call
    ) -> AsyncGenerator[language_model_pb2.AskResponse, None]:
        """Answer questions from the passages found for them; the questions take turns, a token each."""
        require_built(request, _ASK)
        if request.strategy not in _PROMPT:
            raise UnimplementedError("strategy: passages reach the model in one prompt, others are not built yet")
        if request.search.queries or request.search.HasField("vectors"):
            raise InvalidArgumentError("search: the questions take the place of its queries and vectors", "search")
        at_most(request.questions, self._limits.max_generate_prompts, "questions", "questions")
        sampling = self._sampling(request.sampling)
        opened = await self._open(request.model, request.mixture, call)
        budget = self._context_tokens(request, opened.model)
        batch = Batch(
            request.questions, "questions", lambda text, path: required_text(text, self._limits.max_text_bytes, path)
        )
        found = await self._search.run(request.search, call, batch, "search.")
        info = common_pb2.ReplyInfo(sources=[found.source, *opened.sources])
        written = EventWriter(language_model_pb2.AskResponse, len(batch), info, request.sampling.with_log_probabilities)
        for item, status in batch.errors.items():
            yield written(item, status)

        def pack(question: str, hits: Sequence[Hit]) -> PackedPrompt | Exception:
            from lodex.lm.prompt import pack_passages

            try:
                return pack_passages(
                    opened.model, question, hits, budget, request.template, answer_tokens=sampling.max_tokens or 0
                )
            except ENDS_THE_REQUEST:
                raise
            except Exception as error:  # noqa: BLE001  # a defect in one item leaves the others unharmed too
                return error

        begin: dict[int, Callable[[], Generation]] = {}
        given: dict[int, Sequence[Hit]] = {}
        for item, question, hits in zip(batch.positions, batch.values, found.hits, strict=True):
            packed = await call.run(pack, question, hits)
            if isinstance(packed, Exception):
                yield written(item, packed)
                continue
            yield written(item, Retrieved(packed.hits, packed.left_out))
            given[item] = packed.hits
            begin[item] = _beginning(opened, packed.token_ids, sampling, call)
        answers = dict.fromkeys(begin, "")
        async with aclosing(take_turns(begin, call, opened.name)) as events:
            async for item, event in events:
                if isinstance(event, GeneratedTokens):
                    answers[item] += event.text
                elif isinstance(event, Finished):
                    for citation in await call.run(cite, answers[item], given[item]):
                        yield written(item, citation)
                yield written(item, event)

    async def _open(self, name: str, mixture: language_model_pb2.Mixture, call: Call) -> _Opened:
        name = self._language_models.resolve(name, "model")
        model = await call.run(self._language_models.load, name, model=name)
        reader = MixtureReader(self._catalog, self._limits)
        return _Opened(name, model, await call.run(reader.read, mixture, model), reader.sources)

    def _texts(self, model: LanguageModel, items: Sequence[common_pb2.TextOrTokens], path: str) -> Batch[_Text]:
        """The texts of a request as the model reads them; too many tokens are refused as a whole."""

        def read(item: common_pb2.TextOrTokens, path: str) -> _Text:
            form = item.WhichOneof("form")
            if form is None:
                raise InvalidArgumentError(f"{path} is neither text nor tokens", path)
            if form == "tokens":
                ids = list(item.tokens.ids)
                model.require_ids(ids, path)
                return _Text(ids, _text_bytes(model, ids))
            text = short_text(item.text, self._limits.max_text_bytes, f"{path}.text")
            try:
                return _Text(model.encode(text), len(text.encode()))
            except InvalidArgumentError as error:
                # A tokenizer does not know by what name the request calls its text.
                raise InvalidArgumentError(str(error), f"{path}.text") from error

        batch = Batch(items, path, read)
        total, limit = sum(len(text.ids) for text in batch.values), self._limits.max_batch_tokens
        if total > limit:
            raise InvalidArgumentError(f"{path} have {total} tokens together, the limit is {limit}", path)
        return batch

    def _sampling(self, message: language_model_pb2.Sampling) -> Sampling:
        require_built(message, _SAMPLING, "sampling")
        at_most(message.stop, _MAX_STOPS, "sampling.stop", "texts")
        limit = self._limits.max_generated_tokens
        tokens = message.max_tokens if message.HasField("max_tokens") else min(_DEFAULT_TOKENS, limit)
        sampling = Sampling(
            max_tokens=within(tokens, 1, limit, "sampling.max_tokens"),
            temperature=message.temperature,
            top_p=message.top_p if message.HasField("top_p") else 1.0,
            top_k=message.top_k if message.HasField("top_k") else None,
            seed=message.seed if message.HasField("seed") else None,
            stop=tuple(message.stop),
        )
        require_sampling(sampling)
        return sampling

    def _context_tokens(self, request: language_model_pb2.AskRequest, model: LanguageModel) -> int | None:
        """Tokens of passages in a prompt, None where the request leaves it open. Checks the template's name too."""
        from lodex.lm.prompt import TEMPLATES

        if request.template and request.template not in TEMPLATES:
            raise NotFoundError(f"template: no {request.template!r}; there are {', '.join(TEMPLATES)}")
        if not request.HasField("context_tokens"):
            return None
        return within(request.context_tokens, 0, model.info.max_tokens, "context_tokens")


def _beginning(opened: _Opened, ids: Sequence[int], sampling: Sampling, call: Call) -> Callable[[], Generation]:
    from lodex.lm.generation import Generation

    return partial(Generation, opened.model, ids, sampling, opened.mixture, call.check)


def _text_bytes(model: LanguageModel, ids: Sequence[int]) -> int:
    """UTF-8 bytes of the text that ids stand for; what ends texts, and ids beyond the tokenizer's, stand for none."""
    silent = model.end_ids | {model.tokenizer.eos_id}
    known = [token for token in ids if token < model.tokenizer.vocab_size and token not in silent]
    lengths = model.tokenizer.byte_lengths
    return len(model.decode(known).encode()) if lengths is None else int(lengths[np.array(known, np.int64)].sum())
