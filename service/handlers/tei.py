"""The interface of text-embeddings-inference (package tei.v1): existing clients of it get vectors of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import ClassVar

from lodex import __version__
from lodex.config import Limits
from lodex.errors import InvalidArgumentError, LodexError
from lodex.service.call import Call, Requests
from lodex.service.checks import short_text
from lodex.service.embed_queue import Priority
from lodex.service.models import Models
from lodex.service.text_embedding import VectorForm, embed_texts
from lodex.tei import tei_pb2
from lodex.types import TextKind

PROMPTS: Mapping[str, TextKind | None] = {
    "none": None,
    "query": TextKind.QUERY,
    "passage": TextKind.PASSAGE,
    "document": TextKind.PASSAGE,
}
"""What a text is by the name of its prompt; those of sentence-transformers, and none."""
# A text each: a stream should fill the batches of the model.
_TEXTS_AT_ONCE = 64


class TeiInfoHandler:
    """tei.v1.Info: the default embedder and the limits of a request."""

    SERVICE: ClassVar[str] = "tei.v1.Info"

    def __init__(self, models: Models, limits: Limits) -> None:
        self._models = models
        self._limits = limits

    async def info(self, request: tei_pb2.InfoRequest, call: Call) -> tei_pb2.InfoResponse:
        """What is answered with; the embedder is loaded for it."""
        embedder = await self._models.open(self._models.default, call)
        info = embedder.info
        return tei_pb2.InfoResponse(
            version=__version__,
            model_id=info.name,
            model_sha=info.fingerprint,
            model_dtype=embedder.encoder.precision,
            model_type=tei_pb2.MODEL_TYPE_EMBEDDING,
            max_concurrent_requests=self._limits.max_concurrent_requests,
            max_input_length=info.max_tokens,
            max_batch_tokens=embedder.encoder.max_batch_tokens,
            max_client_batch_size=self._limits.max_embed_inputs,
            tokenization_workers=embedder.encoder.batches_at_once,
        )


class TeiEmbedHandler:
    """tei.v1.Embed: a text a message. `prompt` is a key of `PROMPTS`, for texts that name none."""

    SERVICE: ClassVar[str] = "tei.v1.Embed"

    def __init__(self, models: Models, limits: Limits, prompt: str = "none") -> None:
        self._models = models
        self._limits = limits
        self._prompt = prompt

    async def embed(self, request: tei_pb2.EmbedRequest, call: Call) -> tei_pb2.EmbedResponse:
        """The vector of a text."""
        return await self._embed(request, call, Priority.INTERACTIVE)

    async def embed_stream(self, requests: Requests, call: Call) -> AsyncGenerator[tei_pb2.EmbedResponse, None]:
        """The vectors of texts, in their order; these clients know them by nothing else."""

        async def answer(request: tei_pb2.EmbedRequest, part: Call) -> tei_pb2.EmbedResponse:
            return await self._embed(request, part, Priority.BULK)

        async for reply in call.answer_each(requests, answer, _TEXTS_AT_ONCE, in_order=True):
            yield reply

    async def _embed(self, request: tei_pb2.EmbedRequest, call: Call, priority: Priority) -> tei_pb2.EmbedResponse:
        text = short_text(request.inputs, self._limits.max_text_bytes, "inputs")
        form = self._form(request)
        embedder = await self._models.open(self._models.default, call)
        embedded = await embed_texts(embedder, [text], form, call, priority)
        (row,) = embedded.rows
        if isinstance(row, LodexError):
            hint = ", and only its end could be cut" if request.truncation_direction else ""
            raise InvalidArgumentError(f"inputs: {row}{hint}", "inputs") from row
        return tei_pb2.EmbedResponse(
            embeddings=embedded.vectors[0].tolist(),
            metadata=tei_pb2.Metadata(
                compute_chars=len(text),
                compute_tokens=len(row.ids),
                total_time_ns=call.elapsed_ns,
                tokenization_time_ns=embedded.tokenize_ns,
                queue_time_ns=embedded.queue_ns,
                inference_time_ns=embedded.inference_ns,
            ),
        )

    def _form(self, request: tei_pb2.EmbedRequest) -> VectorForm:
        prompt = request.prompt_name if request.HasField("prompt_name") else self._prompt
        if prompt not in PROMPTS:
            raise InvalidArgumentError(f"no prompt {prompt!r}; there are {', '.join(PROMPTS)}", "prompt_name")
        return VectorForm(
            kind=PROMPTS[prompt],
            normalize=request.normalize if request.HasField("normalize") else None,
            dimensions=request.dimensions if request.HasField("dimensions") else None,
            truncate=request.truncate and request.truncation_direction == tei_pb2.TRUNCATION_DIRECTION_RIGHT,
        )
