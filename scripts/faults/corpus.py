"""Small documents, a small tokenizer, and makers of vectors and keys that cost nothing: all seeded, all exact."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers

from lodex.index.build import Builder
from lodex.index.dense_build import DenseBuilder
from lodex.index.knn_build import KnnBuilder
from lodex.index.knn_files import KeySource
from lodex.index.passages import DEFAULT_CHUNKING, PassagesBuilder
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.types import Document, Embeddings, EncoderInfo

_SENTENCE = "the of and to in is that for it was with be by on not he his whale sea ship captain harpoon deck mast sail"
WORDS = tuple(_SENTENCE.split())
STREAM = "words"
DIMENSION = 8
_ENCODER = EncoderInfo("hashed", "sha256:1", DIMENSION, 256, True)
_SOURCE = KeySource("hashed", "sha256:1", DIMENSION, 64, 32)
# Whole numbers below 2^11, which float16 holds exactly, and so few that distances are exact in float32.
_KEYS = np.random.default_rng(7).integers(-8, 9, (1 << 16, DIMENSION)).astype(np.float32)


@cache
def document(number: int, revision: int = 0) -> Document:
    """Document `number` as it reads in a revision: 5 to 60 words."""
    rng = random.Random(f"{number}.{revision}")
    text = " ".join(rng.choices(WORDS, k=rng.randrange(5, 60)))
    return Document(f"doc-{number:03}", text, title=f"Title {number}", metadata={"revision": revision})


@cache
def tokenizer() -> Tokenizer:
    """A token for each word."""
    vocabulary = {word: i for i, word in enumerate(["</s>", "[UNK]", *WORDS])}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - not a password
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(made.to_str(), STREAM)


def vector_of(text: str) -> npt.NDArray[np.float32]:
    """The vector of a text, in any direction."""
    return np.random.default_rng(zlib.crc32(text.encode())).normal(size=DIMENSION).astype(np.float32)


def keys_of(ids: TokenIds) -> npt.NDArray[np.float32]:
    """The keys of a document: a function of the last two tokens, 0 standing before the first."""
    last = np.concatenate([[0], ids]).astype(np.int64)
    before = np.concatenate([[0], last[:-1]])
    return _KEYS[last] + 4 * _KEYS[before]


@cache
def builders() -> Mapping[str, Builder]:
    """What is built over a segment, by name, each after those it depends on."""
    return {
        DEFAULT_CHUNKING: PassagesBuilder(DEFAULT_CHUNKING),
        STREAM: TokensBuilder(tokenizer()),
        "suffix": SuffixBuilder(STREAM),
        "dense": DenseBuilder(DEFAULT_CHUNKING, _ENCODER, _embed, ivf_from=6),
        "knn": KnnBuilder(STREAM, _SOURCE, _make_keys, lists_from=250),
    }


def _embed(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
    advance(len(texts))
    return Embeddings(np.stack([vector_of(text) for text in texts]), np.zeros(len(texts), bool), len(texts))


def _make_keys(documents: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
    for ids in documents:
        advance(len(ids) + 1)
        yield keys_of(ids)
