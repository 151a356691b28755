"""Embedding and tokens of both clients, against a real server with canned answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lodex.client import codec
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind
from lodex.v1 import common_pb2, embedding_pb2

Ask = Callable[..., Any]


@pytest.mark.parametrize("kind", [TextKind.QUERY, "query"])
def test_embedding_gives_one_matrix(server: Any, ask: Ask, kind: Any) -> None:
    """Vectors come as float32 rows that may be written to, with what was cut and who embedded."""
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    results = [
        embedding_pb2.EmbedResult(tokens=4),
        embedding_pb2.EmbedResult(tokens=256, truncated=True),
    ]
    reply = embedding_pb2.EmbedResponse(results=results, vectors=codec.tensor(vectors), fingerprint="f00d")
    server.on("EmbeddingService.Embed", reply)
    embeddings = ask("embed", ["a", "b"], kind, model="minilm", truncate=False)
    assert embeddings.vectors.dtype == np.float32
    assert np.array_equal(embeddings.vectors, vectors)
    assert embeddings.vectors.flags.writeable
    assert (embeddings.truncated.tolist(), embeddings.tokens, embeddings.fingerprint) == ([False, True], 260, "f00d")
    assert embeddings.token_counts.tolist() == [4, 256]
    (request,) = server.requests
    assert (request.model, request.kind, request.truncate) == ("minilm", common_pb2.TEXT_KIND_QUERY, False)
    assert [text.text for text in request.inputs] == ["a", "b"]


def test_a_text_without_a_vector_is_an_error(server: Any, ask: Ask) -> None:
    """A matrix cannot leave a row out, so the first failure is raised."""
    results = [
        embedding_pb2.EmbedResult(tokens=4),
        embedding_pb2.EmbedResult(error={"code": 3, "message": "inputs[1] is empty"}),
    ]
    vectors = codec.tensor(np.zeros((2, 3), np.float32))
    server.on("EmbeddingService.Embed", embedding_pb2.EmbedResponse(results=results, vectors=vectors))
    with pytest.raises(InvalidArgumentError, match=r"inputs\[1\] is empty"):
        ask("embed", ["a", ""], TextKind.PASSAGE)


def test_forms_of_vectors_are_asked_for_and_read(server: Any, ask: Ask) -> None:
    """What the model prescribes is left open; bits come as bytes, int8 with what it stands for."""
    bits = common_pb2.Tensor(data_type=common_pb2.DATA_TYPE_BITS, shape=[1, 9], data=b"\xff\x80")
    server.on("EmbeddingService.Embed", embedding_pb2.EmbedResponse(results=[{}], vectors=bits))
    assert ask("embed", "a", "query", data_type="bits").vectors.tolist() == [[255, 128]]
    ranges = np.array([[-1, -2], [0.5, 0.25]], np.float32)
    int8 = codec.tensor(np.array([[1, -128]], np.int8))
    reply = embedding_pb2.EmbedResponse(results=[{}], vectors=int8, ranges=codec.tensor(ranges))
    server.on("EmbeddingService.Embed", reply)
    options = {"instruction": "Find", "dimensions": 2, "normalize": False, "data_type": "int8"}
    embeddings = ask("embed", "a", "query", **options)
    assert embeddings.vectors.tolist() == [[1, -128]]
    assert np.array_equal(embeddings.ranges, ranges)
    first, second = server.requests
    assert not any(first.HasField(name) for name in ("instruction", "dimensions", "normalize"))
    assert (second.instruction, second.dimensions, second.normalize) == ("Find", 2, False)
    assert (first.data_type, second.data_type) == (common_pb2.DATA_TYPE_BITS, common_pb2.DATA_TYPE_INT8)
    with pytest.raises(InvalidArgumentError, match="expected float32, float16, int8, bits"):
        ask("embed", "a", "query", data_type="float8")
    with pytest.raises(InvalidArgumentError) as caught:
        ask("embed", "a", "query", dimensions="many")
    assert caught.value.field == "dimensions"


def test_the_kind_of_text_must_be_said(ask: Ask) -> None:
    """Queries and passages are embedded differently, so nothing else is taken."""
    with pytest.raises(InvalidArgumentError, match="expected 'query' or 'passage'"):
        ask("embed", "a", "document")


def test_texts_become_tokens(server: Any, ask: Ask, info: Any) -> None:
    """Each text becomes an int64 array in the vocabulary of the store."""
    results = [embedding_pb2.TokenizeResult(token_ids=[1, 2]), embedding_pb2.TokenizeResult()]
    server.on("EmbeddingService.Tokenize", embedding_pb2.TokenizeResponse(results=results, info=info))
    answers = ask("tokenize", "docs", ["ab", ""], index="suffix")
    assert [(ids.dtype, ids.tolist()) for ids in answers] == [(np.int64, [1, 2]), (np.int64, [])]
    (request,) = server.requests
    assert (request.index.store, request.index.index, list(request.texts)) == ("docs", "suffix", ["ab", ""])


def test_tokens_become_texts(server: Any, ask: Ask, info: Any) -> None:
    """A lone sequence of ids is a batch of one."""
    result = embedding_pb2.DetokenizeResult(text="ab")
    server.on("EmbeddingService.Detokenize", embedding_pb2.DetokenizeResponse(results=[result], info=info))
    assert list(ask("detokenize", "docs", np.array([1, 2]))) == ["ab"]
    assert [list(sequence.ids) for sequence in server.requests[0].sequences] == [[1, 2]]
