"""Plans of EmbeddingService: texts to vectors, texts to tokens and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lodex.client import codec
from lodex.client.plan import Call, Plan
from lodex.client.status import error_of
from lodex.errors import InvalidArgumentError
from lodex.types import Answers, Embeddings, TextKind, TokenQuery
from lodex.v1 import common_pb2, embedding_pb2

SERVICE = "EmbeddingService"
_KINDS: dict[TextKind | str, common_pb2.TextKind] = {
    TextKind.QUERY: common_pb2.TEXT_KIND_QUERY,
    TextKind.PASSAGE: common_pb2.TEXT_KIND_PASSAGE,
    "query": common_pb2.TEXT_KIND_QUERY,
    "passage": common_pb2.TEXT_KIND_PASSAGE,
}


VectorType = Literal["float32", "float16", "int8", "bits"]
_DATA_TYPES: dict[str, common_pb2.DataType] = {
    "float32": common_pb2.DATA_TYPE_FLOAT32,
    "float16": common_pb2.DATA_TYPE_FLOAT16,
    "int8": common_pb2.DATA_TYPE_INT8,
    "bits": common_pb2.DATA_TYPE_BITS,
}


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How texts are read and their vectors wanted, all but the texts of an EmbedRequest."""

    message: embedding_pb2.EmbedRequest

    @classmethod
    def make(
        cls,
        kind: TextKind | Literal["query", "passage"],
        *,
        model: str | None = None,
        instruction: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        data_type: VectorType = "float32",
        truncate: bool = True,
    ) -> EmbedOptions:
        """The options; InvalidArgumentError names one that cannot be asked for. None is as the model prescribes."""
        if kind not in _KINDS:
            raise InvalidArgumentError(f"kind is {kind!r}, expected 'query' or 'passage'", "kind")
        if data_type not in _DATA_TYPES:
            raise InvalidArgumentError(f"data_type is {data_type!r}, expected {', '.join(_DATA_TYPES)}", "data_type")
        message = codec.asked(
            embedding_pb2.EmbedRequest,
            model=model or "",
            kind=_KINDS[kind],
            instruction=instruction,
            dimensions=dimensions,
            normalize=normalize,
            data_type=_DATA_TYPES[data_type],
            truncate=truncate,
        )
        return cls(message)

    def request(self, texts: Sequence[str]) -> embedding_pb2.EmbedRequest:
        """A request for texts."""
        request = embedding_pb2.EmbedRequest()
        request.CopyFrom(self.message)
        request.inputs.extend(common_pb2.TextOrTokens(text=text) for text in texts)
        return request


def embed(
    texts: str | Sequence[str],
    kind: TextKind | Literal["query", "passage"],
    *,
    model: str | None = None,
    instruction: str | None = None,
    dimensions: int | None = None,
    normalize: bool | None = None,
    data_type: VectorType = "float32",
    truncate: bool = True,
    timeout_s: float | None = None,
) -> Plan[Embeddings]:
    """Vectors (n, d) of texts that are searched with or searched for, by `kind`.

    `model` is the server's default when None. Texts beyond the model's limit are cut to it unless `truncate` is False.
    `instruction` takes the place of the model's own, `dimensions` keeps the leading ones; both are refused by models
    that were not trained for it. A matrix has no place for a missing row: the error of the first text that fails is
    raised.
    """
    options = EmbedOptions.make(
        kind,
        model=model,
        instruction=instruction,
        dimensions=dimensions,
        normalize=normalize,
        data_type=data_type,
        truncate=truncate,
    )
    reply = yield Call(SERVICE, "Embed", options.request(codec.lone_text(texts, "texts")), timeout_s)
    for result in reply.results:
        if result.HasField("error"):
            raise error_of(result.error)
    return embeddings_of(reply)


def embeddings_of(reply: embedding_pb2.EmbedResponse) -> Embeddings:
    """A reply as a value, rows of failed texts zero."""
    return Embeddings(
        vectors=codec.array(reply.vectors),
        truncated=np.array([result.truncated for result in reply.results], dtype=np.bool_),
        tokens=sum(result.tokens for result in reply.results),
        fingerprint=reply.fingerprint,
        token_counts=np.array([result.tokens for result in reply.results], dtype=np.int64),
        ranges=codec.array(reply.ranges) if reply.HasField("ranges") else None,
    )


def tokenize(
    store: str,
    texts: str | Sequence[str],
    *,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[npt.NDArray[np.int64]]]:
    """The tokens (n,) of each text, in the vocabulary of the store's token stream, or of the one below `index`."""
    request = embedding_pb2.TokenizeRequest(
        index=codec.index_ref(store, index, version), texts=codec.lone_text(texts, "texts")
    )
    reply = yield Call(SERVICE, "Tokenize", request, timeout_s)
    return codec.answers(reply, lambda result: np.array(result.token_ids, dtype=np.int64))


def detokenize(
    store: str,
    sequences: TokenQuery | Sequence[TokenQuery],
    *,
    index: str | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[Answers[str]]:
    """The text of each sequence of tokens. Parts of characters at its ends are U+FFFD."""
    batch = codec.lone_query(sequences)
    request = embedding_pb2.DetokenizeRequest(
        index=codec.index_ref(store, index, version),
        sequences=[codec.ngram(common_pb2.TextOrTokens, ids, f"sequences[{i}]").tokens for i, ids in enumerate(batch)],
    )
    reply = yield Call(SERVICE, "Detokenize", request, timeout_s)
    return codec.answers(reply, lambda result: str(result.text))
