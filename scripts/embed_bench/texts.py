"""English texts of mixed length, cut from judged collections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

SHORTEST, LONGEST = 5, 256
_COLLECTIONS = ("retrieval_scifact", "retrieval_cranfield")
# [CLS] and [SEP]
_FRAME = 2


def mixed_texts(data: Path, tokenizer: Path, count: int, seed: int) -> list[str]:
    """`count` texts of 5 to 256 tokens, special ones included: runs of whole words of abstracts, in random order.

    A length is drawn as 5 + 251 u^2 with u even on [0, 1]: half of the texts have fewer than 68 tokens, the mean is
    near 88. A run begins at a random word and ends at the last word that fits, and is some tokens shorter than drawn.
    """
    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_truncation()
    reader.no_padding()
    documents = [document for name in _COLLECTIONS for document in _documents(data / name / "corpus.jsonl")]
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    while len(texts) < count:
        length = int(SHORTEST + (LONGEST - SHORTEST + 1) * rng.random() ** 2)
        text = _cut(reader, documents[rng.integers(len(documents))], length, rng)
        if text is not None:
            texts.append(text)
    return texts


def _documents(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def _cut(reader: Tokenizer, document: str, length: int, rng: np.random.Generator) -> str | None:
    """A run of words of at most `length` tokens; None where the document has no such run of 5 tokens or more."""
    words = document.split()
    first = int(rng.integers(max(1, len(words) - length // 2)))
    last = min(len(words), first + length)
    while last > first:
        text = " ".join(words[first:last])
        tokens = len(reader.encode(text).ids)
        if SHORTEST <= tokens <= length:
            return text
        if tokens < SHORTEST:
            return None
        # A word has a token at least: none of the words within reach is given up for nothing.
        last -= max(1, min(tokens - length, last - first) // 2)
    return None


def count_tokens(tokenizer: Path, texts: list[str]) -> list[int]:
    """The tokens of each text, special ones included, at most 256."""
    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_truncation()
    reader.no_padding()
    return [min(LONGEST, len(encoding.ids)) for encoding in reader.encode_batch(texts)]
