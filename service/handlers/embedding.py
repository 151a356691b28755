"""EmbeddingService: texts to vectors, texts to tokens and back."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from lodex.config import Limits
from lodex.errors import InvalidArgumentError, LodexError, UnimplementedError
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.service.batch import ENDS_THE_REQUEST, Batch
from lodex.service.call import Call, Requests, looks_up, tell_cost
from lodex.service.catalog import Catalog
from lodex.service.checks import at_most, require_built, short_text
from lodex.service.embed_queue import Priority
from lodex.service.models import Models
from lodex.service.status import to_status
from lodex.service.text_embedding import VectorForm, check_form, embed_texts
from lodex.service.token_streams import open_tokenizer, stream_below
from lodex.service.vector_types import check_data_type, pack
from lodex.types import TextKind
from lodex.v1 import common_pb2, embedding_pb2

_EMBED = frozenset({"model", "inputs", "kind", "instruction", "normalize", "dimensions", "data_type", "truncate"})
_KINDS = {common_pb2.TEXT_KIND_QUERY: TextKind.QUERY, common_pb2.TEXT_KIND_PASSAGE: TextKind.PASSAGE}
# Of one stream: one is in the model, one waits, and others are tokenized or on their way back.
_BATCHES_AT_ONCE = 4


class EmbeddingHandler:
    """Embeds with the models of the server; tokenizes with the token streams of its stores."""

    def __init__(self, catalog: Catalog, models: Models, limits: Limits) -> None:
        self._catalog = catalog
        self._models = models
        self._limits = limits

    async def embed(self, request: embedding_pb2.EmbedRequest, call: Call) -> embedding_pb2.EmbedResponse:
        """The vector of each text; a text that fails has a row of zeros."""
        return await self._embed(request, call, Priority.INTERACTIVE)

    async def embed_stream(
        self, requests: Requests, call: Call
    ) -> AsyncGenerator[embedding_pb2.EmbedStreamResponse, None]:
        """The vectors of batch after batch, each as it is done; a batch that fails leaves the stream as it is."""

        async def answer(message: embedding_pb2.EmbedStreamRequest, part: Call) -> embedding_pb2.EmbedStreamResponse:
            reply = embedding_pb2.EmbedStreamResponse(batch_id=message.batch_id)
            try:
                reply.response.CopyFrom(await self._embed(message.request, part, Priority.BULK))
                tell_cost(reply.response.info, part)
            except ENDS_THE_REQUEST:
                raise
            except Exception as error:  # noqa: BLE001  # a defect in one batch leaves the others unharmed too
                reply.error.CopyFrom(to_status(error))
            return reply

        async for reply in call.answer_each(requests, answer, _BATCHES_AT_ONCE):
            yield reply

    async def _embed(
        self, request: embedding_pb2.EmbedRequest, call: Call, priority: Priority
    ) -> embedding_pb2.EmbedResponse:
        require_built(request, _EMBED)
        at_most(request.inputs, self._limits.max_embed_inputs, "inputs", "texts")
        form = _form(request)
        model = self._models.resolve(request.model, "model")
        embedder = await self._models.open(model, call)
        info = embedder.info
        check_form(form, embedder.encoder.convention, info)
        data_type = check_data_type(request.data_type, form.dimensions or info.dimension, embedder.int8_ranges, model)
        batch = Batch(request.inputs, "inputs", self._text)
        embedded = await embed_texts(embedder, batch.values, form, call, priority)
        packed = await call.run(lambda: pack(batch.spread(embedded.vectors), data_type, embedder.int8_ranges))

        def write(i: int, result: embedding_pb2.EmbedResult) -> None:
            row = embedded.rows[i]
            if isinstance(row, LodexError):
                raise InvalidArgumentError(f"{(path := f'inputs[{batch.positions[i]}]')}: {row}", path) from row
            result.truncated = row.truncated
            result.tokens = len(row.ids)

        reply = embedding_pb2.EmbedResponse(
            model=model, fingerprint=info.fingerprint, vectors=packed.vectors, ranges=packed.ranges
        )
        batch.fill(reply.results, range(len(embedded.rows)), write)
        reply.info.usage.items = len(batch)
        reply.info.usage.tokens = embedded.tokens
        return reply

    def _text(self, item: common_pb2.TextOrTokens, path: str) -> str:
        form = item.WhichOneof("form")
        if form == "tokens":
            raise UnimplementedError(f"{path}.tokens is promised by the protocol, not built yet")
        if form is None:
            raise InvalidArgumentError(f"{path} is neither text nor tokens", path)
        return short_text(item.text, self._limits.max_text_bytes, f"{path}.text")

    @looks_up
    def tokenize(self, request: embedding_pb2.TokenizeRequest, call: Call) -> embedding_pb2.TokenizeResponse:
        """The tokens of each text in the vocabulary of a token stream; no special ones are among them."""
        at_most(request.texts, self._limits.max_batch_items, "texts", "items")
        tokenizer, source = self._vocabulary(request)

        def encode(text: str, path: str) -> tuple[str, TokenIds]:
            return text, tokenizer.encode(short_text(text, self._limits.max_text_bytes, path))

        def write(encoded: tuple[str, TokenIds], result: embedding_pb2.TokenizeResult) -> None:
            text, ids = encoded
            result.token_ids.extend(ids.tolist())
            if request.with_spans:
                spans = tokenizer.byte_spans(ids, text)
                result.texts.extend(tokenizer.decode_tokens(ids))
                result.begins.extend(spans[:, 0].tolist())
                result.ends.extend(spans[:, 1].tolist())

        batch = Batch(request.texts, "texts", encode)
        reply = embedding_pb2.TokenizeResponse(tokenizer=tokenizer.name, fingerprint=tokenizer.fingerprint)
        batch.fill(reply.results, batch.values, write)
        reply.info.sources.append(source)
        reply.info.usage.items = len(batch)
        reply.info.usage.tokens = sum(len(ids) for _, ids in batch.values)
        return reply

    @looks_up
    def detokenize(self, request: embedding_pb2.DetokenizeRequest, call: Call) -> embedding_pb2.DetokenizeResponse:
        """The text of each sequence of tokens of a token stream."""
        at_most(request.sequences, self._limits.max_batch_items, "sequences", "items")
        tokenizer, source = self._vocabulary(request)

        def decode(sequence: common_pb2.TokenIds, path: str) -> str:
            try:
                return tokenizer.decode(list(sequence.ids))
            except InvalidArgumentError as error:
                raise InvalidArgumentError(f"{path}: {error}", path) from error

        batch = Batch(request.sequences, "sequences", decode)
        reply = embedding_pb2.DetokenizeResponse(tokenizer=tokenizer.name, fingerprint=tokenizer.fingerprint)
        batch.fill(reply.results, batch.values, lambda text, result: setattr(result, "text", text))
        reply.info.sources.append(source)
        reply.info.usage.items = len(batch)
        reply.info.usage.tokens = sum(len(sequence.ids) for sequence in request.sequences)
        return reply

    def _vocabulary(
        self, request: embedding_pb2.TokenizeRequest | embedding_pb2.DetokenizeRequest
    ) -> tuple[Tokenizer, common_pb2.Provenance]:
        """The tokenizer that a request names, and what was read to know it."""
        vocabulary = request.WhichOneof("vocabulary")
        if vocabulary == "model":
            raise UnimplementedError("the vocabularies of models are promised by the protocol, not built yet")
        if vocabulary is None:
            raise InvalidArgumentError("index is required: it names the vocabulary", "index")
        view = self._catalog.view(request.index, "index")
        name = stream_below(view, request.index.index)
        return self._catalog.open(view, name, open_tokenizer), view.provenance(name)


def _form(request: embedding_pb2.EmbedRequest) -> VectorForm:
    kind = _KINDS.get(request.kind)
    if kind is None:
        raise InvalidArgumentError("kind is required: queries and passages may be embedded differently", "kind")
    return VectorForm(
        kind=kind,
        instruction=request.instruction if request.HasField("instruction") else None,
        normalize=request.normalize if request.HasField("normalize") else None,
        dimensions=request.dimensions if request.HasField("dimensions") else None,
        truncate=request.truncate or not request.HasField("truncate"),
    )
