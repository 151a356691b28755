"""Answers about n-grams by looking at every place of every document, and small stores to ask the same of."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import count
from pathlib import Path

from lodex.index.build import build_index
from lodex.index.ngrams import NgramIndex
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.types import Document

Ids = tuple[int, ...]
Clause = list[list[Ids]]
EOS = 0
LETTERS = {"<|endoftext|>": EOS, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}


class Corpus:
    """Documents as a person would count in them: EOS, tokens, EOS, each by itself. `names` are their numbers."""

    def __init__(self, documents: Sequence[Ids], eos: int = EOS, names: Sequence[int] | None = None) -> None:
        self.eos = eos
        self.documents = [(eos, *document, eos) for document in documents]
        self.names = list(range(len(documents)) if names is None else names)

    def starts(self, ngram: Ids) -> set[tuple[int, int]]:
        """(document, start) of every occurrence. The EOS that ends a document begins nothing."""
        return {
            (i, start)
            for i, text in enumerate(self.documents)
            for start in range(len(text) - 1)
            if text[start : start + len(ngram)] == ngram
        }

    def ends(self, ngram: Ids) -> set[tuple[int, int]]:
        """(document, end) of every occurrence."""
        return {(i, start + len(ngram)) for i, start in self.starts(ngram)}

    def count(self, variants: Sequence[Ids]) -> int:
        """Places where a variant ends."""
        return len(set().union(*map(self.ends, variants)))

    def following(self, variants: Sequence[Ids]) -> list[Ids]:
        """What stands behind every occurrence of a prompt, to the end of its document."""
        places = set().union(*map(self.ends, variants))
        return [self.documents[i][end:] for i, end in places if end < len(self.documents[i])]

    def next_token(self, variants: Sequence[Ids]) -> list[tuple[int, int]]:
        """The tokens that follow with their counts, most frequent first, equal counts by id."""
        found = Counter(rest[0] for rest in self.following(variants))
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))

    def last_document(self, prompt: Ids) -> Ids:
        """A prompt from its last EOS on."""
        while self.eos in prompt[1:]:
            prompt = prompt[1:]
        return prompt

    def longest(
        self, variants: Sequence[Ids], support: int = 1, max_length: int | None = None
    ) -> tuple[int, list[Ids]]:
        """The length used of an ∞-gram prompt, and the sequences used: variants that occur whole, else suffixes."""
        variants = [self.last_document(variant) for variant in variants]
        if max_length is not None:
            variants = [variant[max(0, len(variant) - max_length) :] for variant in variants]
        if whole := [v for v in variants if not v or len(self.following([v])) >= support]:
            return max(len(v) for v in without_endings(whole)), whole
        for length in range(max(map(len, variants)), 0, -1):
            suffixes = [variant[-length:] for variant in variants if len(variant) >= length]
            if occurring := [suffix for suffix in suffixes if len(self.following([suffix])) >= support]:
                return length, occurring
        return 0, [()]

    def longest_match(self, text: Ids, begin: int) -> tuple[int, int]:
        """The longest run of a text from a token on that occurs, and its occurrences."""
        for end in range(len(text), begin, -1):
            if found := self.count([text[begin:end]]):
                return end - begin, found
        return 0, 0

    # ------------------------------------------------------------------------------------ conjunctions

    def clause(self, clause: Clause) -> set[tuple[int, int]]:
        """Where one of the n-grams of a clause starts."""
        return {place for ngram in clause for ids in without_endings(ngram) for place in self.starts(ids)}

    def conjunction(self, clauses: Sequence[Clause], distance: int | None) -> list[tuple[int, int]]:
        """The places of the rarest clause, the first of equals, beside which all others stand; None: in a document."""
        places = [self.clause(clause) for clause in clauses]
        anchor = min(range(len(places)), key=lambda i: len(places[i]))
        return sorted(
            (i, start)
            for i, start in places[anchor]
            if all(
                any(i == j and (distance is None or abs(start - other) <= distance) for j, other in clause)
                for clause in places
            )
        )

    # ------------------------------------------------------------------------------------ spans

    def spans(
        self,
        text: Ids,
        min_length: int,
        max_count: int,
        density: float,
        by_length: bool,
        delimiters: Sequence[Ids],
        word_starts: Collection[int] | None,
    ) -> list[tuple[int, int, int]]:
        """(begin, end, count) of the spans that a trace keeps, by trying all."""

        def is_boundary(i: int) -> bool:
            beside_eos = i in (0, len(text)) or self.eos in (text[i], text[i - 1])
            return word_starts is None or beside_eos or text[i] in word_starts

        def is_valid(begin: int, end: int) -> bool:
            within = text[begin:end]
            goes_on = any(
                within[p : p + len(d)] == d and p + len(d) < len(within) for d in delimiters for p in range(len(within))
            )
            return self.eos not in within and not goes_on and is_boundary(begin) and is_boundary(end)

        valid = [
            (begin, end, self.count([text[begin:end]]))
            for begin in range(len(text))
            for end in range(begin + min_length, len(text) + 1)
            if is_valid(begin, end)
        ]
        valid = [span for span in valid if span[2] > 0 and (span[2] <= max_count or not max_count)]
        maximal = [
            (b, e, n) for b, e, n in valid if not any(c <= b and e <= f and (b, e) != (c, f) for c, f, _ in valid)
        ]
        ranked = sorted(maximal, key=lambda s: s[0] - s[1] if by_length else round(self.unigrams(text[s[0] : s[1]]), 9))
        return sorted(ranked[: math.ceil(density * len(text))])

    def unigrams(self, ids: Ids) -> float:
        """The log-probability of tokens by their own counts."""
        return sum(math.log(self.count([(token,)]) / self.count([()])) for token in ids)


def without_endings(variants: Sequence[Ids]) -> list[Ids]:
    """The variants that do not end with another one."""
    distinct = set(variants)
    return sorted(v for v in distinct if not any(v != w and v[len(v) - len(w) :] == w for w in distinct))


# ------------------------------------------------------------------------------------------ small stores


def letters(top: int = 0) -> Tokenizer:
    """A tokenizer whose tokens are letters; with `top`, letters `d` and `e` have the two ids below it."""
    vocabulary = LETTERS | ({"d": top - 2, "e": top - 1} if top else {})
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<|endoftext|>"}
    return Tokenizer(
        json.dumps({"model": model, "pre_tokenizer": {"type": "WhitespaceSplit"}, "added_tokens": []}), "t"
    )


def spell(document: Ids) -> str:
    """A document of letters as its text: token i begins at byte 2 * i."""
    return " ".join(" abcde"[token] for token in document)


MakeIndex = Callable[..., NgramIndex]


def index_maker(folder: Path) -> MakeIndex:
    """Builds an index over documents, given as texts, in some number of segments, and deletes some of them.

    Document j is `doc-j` of source `s0` or `s1`, in segment j modulo their number.
    """
    numbers = count()

    def make(
        texts: Sequence[str], segments: int = 1, tokenizer: Tokenizer | None = None, deleted: Collection[int] = ()
    ) -> NgramIndex:
        store = Store.create(folder / f"store-{next(numbers)}")
        for i in range(segments):
            store.add(
                Document(f"doc-{j}", texts[j], source=f"s{j % 2}", title=f"Title {j}")
                for j in range(i, len(texts), segments)
            )
        build_index(store, "stream", TokensBuilder(tokenizer or letters()))
        build_index(store, "suffix", SuffixBuilder("stream"))
        if deleted:
            store.delete([f"doc-{j}" for j in sorted(deleted)])
        return NgramIndex(store.snapshot())

    return make


def live_corpus(documents: Sequence[Ids], segments: int, deleted: Collection[int]) -> Corpus:
    """What such an index answers from, its documents in the order of a listing."""
    order = [j for i in range(segments) for j in range(i, len(documents), segments) if j not in deleted]
    return Corpus([documents[j] for j in order], EOS, order)
