"""EmbeddingService: texts to vectors, texts to tokens and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lodex.config import Limits
from lodex.errors import InvalidArgumentError, UnimplementedError
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.service import messages
from lodex.service.batch import Batch
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog
from lodex.service.checks import at_most, require_built, short_text
from lodex.service.models import Models
from lodex.service.token_streams import open_tokenizer, stream_below
from lodex.types import EncoderInfo, TextKind
from lodex.v1 import common_pb2, embedding_pb2

_EMBED = frozenset({"model", "inputs", "kind", "instruction", "normalize", "dimensions", "data_type", "truncate"})
_KINDS = {common_pb2.TEXT_KIND_QUERY: TextKind.QUERY, common_pb2.TEXT_KIND_PASSAGE: TextKind.PASSAGE}
_DTYPES: dict[common_pb2.DataType, npt.DTypeLike] = {
    common_pb2.DATA_TYPE_UNSPECIFIED: np.float32,
    common_pb2.DATA_TYPE_FLOAT32: np.float32,
    common_pb2.DATA_TYPE_FLOAT16: np.float16,
}


class EmbeddingHandler:
    """Embeds with the models of the server; tokenizes with the token streams of its stores."""

    def __init__(self, catalog: Catalog, models: Models, limits: Limits) -> None:
        self._catalog = catalog
        self._models = models
        self._limits = limits

    async def embed(self, request: embedding_pb2.EmbedRequest, call: Call) -> embedding_pb2.EmbedResponse:
        """The vector of each text; a text that fails has a row of zeros."""
        require_built(request, _EMBED)
        at_most(request.inputs, self._limits.max_embed_inputs, "inputs", "texts")
        kind = _KINDS.get(request.kind)
        if kind is None:
            raise InvalidArgumentError("kind is required: queries and passages may be embedded differently", "kind")
        if request.data_type not in _DTYPES:
            raise UnimplementedError("data_type: vectors are float32 or float16 in this release")
        model = self._models.resolve(request.model, "model")
        info = (await call.run(self._models.load, model, model=model)).info
        _check_form(request, info)
        batch = Batch(request.inputs, "inputs", self._text)
        embeddings = await self._models.embed(model, batch.values, kind, call)

        truncated = embeddings.truncated
        refused = truncated & (request.HasField("truncate") and not request.truncate)
        vectors = np.zeros((len(batch), info.dimension), _DTYPES[request.data_type])
        vectors[batch.positions] = np.where(refused[:, np.newaxis], 0, embeddings.vectors)
        counts = embeddings.token_counts if len(embeddings.token_counts) else np.zeros(len(truncated), np.int64)

        def write(i: int, result: embedding_pb2.EmbedResult) -> None:
            if refused[i]:
                field = f"inputs[{batch.positions[i]}]"
                raise InvalidArgumentError(f"{field} is longer than the {info.max_tokens} tokens of {model!r}", field)
            result.truncated = bool(truncated[i])
            result.tokens = int(counts[i])

        reply = embedding_pb2.EmbedResponse(model=model, fingerprint=info.fingerprint, vectors=messages.tensor(vectors))
        batch.fill(reply.results, range(len(truncated)), write)
        reply.info.usage.items = len(batch)
        reply.info.usage.tokens = embeddings.tokens
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


def _check_form(request: embedding_pb2.EmbedRequest, info: EncoderInfo) -> None:
    """Refuse a form of vectors that the embedder cannot give."""
    if request.HasField("instruction"):
        raise InvalidArgumentError(f"embedder {info.name!r} takes no instruction", "instruction")
    if request.HasField("dimensions") and request.dimensions != info.dimension:
        raise InvalidArgumentError(
            f"embedder {info.name!r} has vectors of {info.dimension} dimensions, and was not trained to be cut to "
            f"{request.dimensions}",
            "dimensions",
        )
    if request.HasField("normalize") and request.normalize != info.normalized:
        raise UnimplementedError(f"vectors of {info.name!r} that are not normalised are not built yet")
