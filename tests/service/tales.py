"""A small store of several segments with deleted documents, and everything that can be asked of it by looking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.service.indexing import build_suffix_index, update_indexes
from lodex.types import Document

WORDS = ["the", "The", "cat", "dog", "sat", "ran", "on", "mat", "hill", "and", "a", "Grapes", "naïve", "東京"]
ENDS = (".", ",\n", ".\n\n", "", " -")
EOS = -1

Tokens = Sequence[int]


def written(seed: int = 5, number: int = 24) -> tuple[Document, ...]:
    """Documents of few words, so that they repeat each other, of two sources and of several years; one is empty."""
    rng = np.random.default_rng(seed)
    documents = []
    for i in range(number):
        words = [str(rng.choice(WORDS)) + (str(rng.choice(ENDS)) if rng.random() < 0.2 else "") for _ in range(18)]
        text = " ".join(words) if i else ""
        documents.append(Document(f"tale-{i}", text, "ab"[i % 2], f"Tale {i}", date=f"{2000 + i}-01-01"))
    return tuple(documents)


@dataclass(frozen=True)
class Tales:
    """The store by its path, the documents that are left in it, in its order, and its tokenizer."""

    path: Path
    documents: tuple[Document, ...]
    tokenizer: Tokenizer

    def ids(self, text: str) -> list[int]:
        """The tokens of a text."""
        return [int(token) for token in self.tokenizer.encode(text)]

    @cached_property
    def streams(self) -> list[list[int]]:
        """Each document as EOS, its tokens, EOS."""
        return [[EOS, *self.ids(document.text), EOS] for document in self.documents]

    def count(self, tokens: Tokens) -> int:
        """How often tokens stand in the documents; no tokens stand everywhere."""
        return sum(len(list(places(stream, [tokens]))) for stream in self.streams)

    def longest_suffix(self, tokens: Tokens, support: int = 1, limit: int | None = None) -> int:
        """Tokens of the longest suffix that occurs so often."""
        most = len(tokens) if limit is None else min(limit, len(tokens))
        return next(n for n in range(most, -1, -1) if not n or self.count(tokens[len(tokens) - n :]) >= support)

    def longest_match(self, tokens: Tokens) -> int:
        """Tokens of the longest beginning that occurs."""
        return next(n for n in range(len(tokens), -1, -1) if not n or self.count(tokens[:n]))


def places(stream: Tokens, variants: Iterable[Tokens]) -> Iterable[int]:
    """Where one of some sequences begins; what closes a document begins nothing."""
    sought = [list(tokens) for tokens in variants]
    return (i for i in range(len(stream) - 1) if any(stream[i : i + len(tokens)] == tokens for tokens in sought))


def make_tales(path: Path) -> Tales:
    """Write the store: four segments, the last one not yet asked of the first build, every fifth document deleted."""
    documents = written()
    store = Store.create(path)
    for i in range(0, 18, 6):
        store.add(documents[i : i + 6])
    build_suffix_index(store)
    store.add(documents[18:])
    store.delete([document.doc_id for document in documents[3::5]])
    update_indexes(store)
    left = tuple(document for i, document in enumerate(documents) if i % 5 != 3)
    return Tales(path, left, Tokenizer.load())
