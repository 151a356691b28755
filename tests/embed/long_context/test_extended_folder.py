"""Embedders opened for longer texts, from text to vector."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lodex.embed.encoder import TextEncoder
from lodex.embed.formats.embedder import read_embedder
from lodex.embed.long_context.chunk_average import ChunkAverage
from lodex.embed.long_context.extended_folder import extend_folder
from lodex.embed.long_context.learned_positions import LearnedPositions
from lodex.embed.long_context.rope_scaling import RopeScaling
from lodex.embed.long_context.self_extend import SelfExtend
from lodex.embed.registry import load_encoder
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind
from tests.embed.conftest import MakeDecoder, write_json

# A token each, beside <s>: 24 positions hold 23 of them.
LONG = "abcdefgh" * 6
SHORT = "abcdefgh"


@pytest.mark.parametrize(
    ("long_context", "max_tokens"),
    [
        (RopeScaling("interpolate", 2.5), 60),
        (RopeScaling("theta", 2, theta=100_000.0), 48),
        (SelfExtend(3, 6, 24), 60),
        (ChunkAverage(3), 72),
    ],
)
def test_longer_texts_are_read_whole(long_context: Any, max_tokens: int, make_decoder: MakeDecoder) -> None:
    """To the length that the method gives; their ends tell, and the embedder is another one by its fingerprint."""
    folder = make_decoder("llama")
    plain = load_encoder(folder)
    extended = load_encoder(folder, long_context=long_context)
    assert (plain.info.max_tokens, extended.info.max_tokens) == (24, max_tokens)
    assert plain.info.fingerprint != extended.info.fingerprint
    texts = [LONG[: max_tokens - 1], LONG[: max_tokens - 2] + "z", LONG * 2]
    embedded = extended.embed_passages(texts)
    assert embedded.truncated.tolist() == [False, False, True]
    assert np.abs(embedded.vectors[0] - embedded.vectors[1]).max() > 1e-4
    assert plain.embed_passages(texts).truncated.all()
    np.testing.assert_allclose(np.linalg.norm(embedded.vectors, axis=1), 1, rtol=1e-5)
    for text, vector in zip(texts, embedded.vectors, strict=True):
        np.testing.assert_array_equal(extended.embed_passages([text]).vectors[0], vector)


@pytest.mark.parametrize("long_context", [SelfExtend(3, 6, 24), ChunkAverage(3)])
def test_short_texts_keep_their_vectors(long_context: Any, make_decoder: MakeDecoder) -> None:
    """Bit for bit, where a method touches only what is long."""
    folder = make_decoder("llama")
    texts = [SHORT, "", LONG[:23]]
    expected = load_encoder(folder).embed_passages(texts).vectors
    np.testing.assert_array_equal(
        load_encoder(folder, long_context=long_context).embed_passages(texts).vectors, expected
    )


def test_a_table_of_positions_is_extended(tiny_bert: Path) -> None:
    """BERT of 16 positions, made for 12 tokens: the table is what grows."""
    encoder = load_encoder(tiny_bert, long_context=LearnedPositions("interpolate", 2))
    assert encoder.info.max_tokens == 32
    text = "the cat sat on the mat . " * 4
    assert not encoder.embed_passages([text]).truncated.any()
    expected = load_encoder(tiny_bert).embed_passages(["the cat"]).vectors
    np.testing.assert_allclose(encoder.embed_passages(["the cat"]).vectors, expected, atol=1e-6)


def test_the_mean_of_chunks_is_that_of_their_texts(make_decoder: MakeDecoder) -> None:
    """Each 23 letters between the same special tokens, averaged and made as long as one."""
    folder = make_decoder("llama")
    chunks = [LONG[:23], LONG[23:46], LONG[46:]]
    mean = load_encoder(folder).embed_passages(chunks).vectors.mean(0)
    vector = load_encoder(folder, long_context=ChunkAverage(3)).embed_passages([LONG]).vectors[0]
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_chunks_of_vectors_of_any_length_are_refused(make_decoder: MakeDecoder) -> None:
    """Their mean would be that of the longest."""
    folder = make_decoder("llama")
    write_json(folder / "lodex.json", {"normalize": False})
    with pytest.raises(InvalidArgumentError, match="averaged of normalised vectors"):
        extend_folder(read_embedder(folder, "x"), ChunkAverage(2))
    with pytest.raises(InvalidArgumentError, match="expected at least 1"):
        ChunkAverage(0)


def test_kinds_are_told_apart_in_chunks_too(make_decoder: MakeDecoder) -> None:
    """The opened encoder is one like any other."""
    encoder = TextEncoder.open(make_decoder("llama"), "x", long_context=ChunkAverage(2))
    assert encoder.embed([LONG], TextKind.QUERY).vectors.shape == (1, 32)
