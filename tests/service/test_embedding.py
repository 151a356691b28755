"""EmbeddingService: vectors and tokens."""

import numpy as np
import pytest

from lodex.client import Client, codec
from lodex.client.status import error_of
from lodex.embed.registry import load_encoder
from lodex.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    LodexError,
    NotFoundError,
    UnimplementedError,
)
from lodex.index.tokenizer import Tokenizer
from lodex.types import TextKind
from lodex.v1 import common_pb2, embedding_pb2

TEXTS = ["a short text", "", "many words " * 500, "naïve 東京"]


def embed(client: Client, **fields: object) -> embedding_pb2.EmbedResponse:
    request = embedding_pb2.EmbedRequest(kind=common_pb2.TEXT_KIND_QUERY, **fields)
    return client.transport.unary("EmbeddingService", "Embed", request, 60)


def inputs(*texts: str) -> list[common_pb2.TextOrTokens]:
    return [common_pb2.TextOrTokens(text=text) for text in texts]


def test_vectors_are_those_of_the_embedder(client: Client) -> None:
    """Bit for bit, in the order of the texts, with what was cut."""
    served = client.embed(TEXTS, "passage")
    encoder = load_encoder("minilm")
    direct = encoder.embed(TEXTS, TextKind.PASSAGE)
    np.testing.assert_array_equal(served.vectors, direct.vectors)
    assert served.truncated.tolist() == direct.truncated.tolist() == [False, False, True, False]
    assert served.fingerprint == encoder.info.fingerprint


def test_a_text_that_must_not_be_cut_fails_alone(client: Client) -> None:
    """Its row is zero, the others have their vectors."""
    reply = embed(client, inputs=inputs(*TEXTS), truncate=False)
    vectors = codec.array(reply.vectors)
    failed = [result.HasField("error") for result in reply.results]
    assert failed == [False, False, True, False]
    error = error_of(reply.results[2].error)
    assert isinstance(error, InvalidArgumentError)
    assert error.field == "inputs[2]"
    assert not vectors[2].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[[0, 1, 3]], axis=1), 1, atol=1e-6)


def test_inputs_that_are_no_texts_fail_alone(client: Client) -> None:
    """Tokens are promised and not built; nothing at all is a wrong argument."""
    items = [common_pb2.TextOrTokens(tokens={"ids": [101, 102]}), *inputs("text"), common_pb2.TextOrTokens()]
    reply = embed(client, inputs=items)
    first, _, last = (error_of(r.error) if r.HasField("error") else None for r in reply.results)
    assert isinstance(first, UnimplementedError)
    assert isinstance(last, InvalidArgumentError)
    assert codec.array(reply.vectors).any(axis=1).tolist() == [False, True, False]


def test_halves_are_rounded_vectors(client: Client) -> None:
    """float16 on request."""
    whole = codec.array(embed(client, inputs=inputs("text")).vectors)
    half = codec.array(embed(client, inputs=inputs("text"), data_type=common_pb2.DATA_TYPE_FLOAT16).vectors)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, whole.astype(np.float16))


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"model": "gpt-9"}, NotFoundError, None),
        ({"model": "../minilm"}, NotFoundError, None),
        ({"kind": 0}, InvalidArgumentError, "kind"),
        ({"kind": 77}, InvalidArgumentError, "kind"),
        ({"instruction": "Represent this"}, InvalidArgumentError, "instruction"),
        ({"dimensions": 64}, InvalidArgumentError, "dimensions"),
        ({"normalize": False}, UnimplementedError, None),
        ({"data_type": common_pb2.DATA_TYPE_INT8}, FailedPreconditionError, None),
        ({"data_type": common_pb2.DATA_TYPE_FLOAT64}, UnimplementedError, None),
    ],
)
def test_forms_the_embedder_cannot_give_are_refused(
    client: Client, fields: dict[str, object], error: type[LodexError], field: str | None
) -> None:
    """Never passed over: the caller would take the vectors for something else."""
    wanted = embedding_pb2.EmbedRequest(**{"kind": common_pb2.TEXT_KIND_QUERY, **fields}, inputs=inputs("text"))
    with pytest.raises(error) as caught:
        client.transport.unary("EmbeddingService", "Embed", wanted, 10)
    assert field is None or caught.value.field == field


def test_forms_the_embedder_gives_anyway_are_taken(client: Client) -> None:
    """Asking for what is so in any case is no error."""
    assert len(embed(client, inputs=inputs("text"), dimensions=384, normalize=True).results) == 1


def test_no_texts_have_no_vectors(client: Client) -> None:
    """An empty batch is answered with an empty matrix of the right width."""
    assert codec.array(embed(client).vectors).shape == (0, 384)


def test_tokens_have_their_places_on_request(client: Client) -> None:
    """Texts and byte spans of each token cover the text from end to end."""
    text = "The naïve cat, 東京."
    request = embedding_pb2.TokenizeRequest(index=common_pb2.IndexRef(store="docs"), texts=[text], with_spans=True)
    reply = client.transport.unary("EmbeddingService", "Tokenize", request, 10)
    (result,) = reply.results
    assert list(result.token_ids) == Tokenizer.load().encode(text).tolist()
    assert reply.fingerprint == Tokenizer.load().fingerprint
    pieces = [text.encode()[begin:end] for begin, end in zip(result.begins, result.ends, strict=True)]
    assert b"".join(pieces).decode() == text
    assert [piece.decode(errors="replace") for piece in pieces] == list(result.texts)


def test_detokenizing_undoes_tokenizing(client: Client) -> None:
    """An id outside the vocabulary fails its item alone."""
    texts = ["The naïve cat, 東京.", "", "  two  spaces"]
    sequences = list(client.tokenize("docs", texts))
    answers = client.detokenize("docs", [*sequences, [123_456]])
    assert list(answers[:3]) == texts
    assert answers.errors[3].field == "sequences[3]"


def test_a_vocabulary_must_be_named(client: Client) -> None:
    """By an index; those of models are promised and not built."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.transport.unary("EmbeddingService", "Tokenize", embedding_pb2.TokenizeRequest(texts=["a"]), 10)
    assert caught.value.field == "index"
    with pytest.raises(UnimplementedError):
        client.transport.unary("EmbeddingService", "Tokenize", embedding_pb2.TokenizeRequest(model="minilm"), 10)
    with pytest.raises(InvalidArgumentError) as caught:
        client.tokenize("docs", "a", index="dense")
    assert caught.value.field == "index.index"
