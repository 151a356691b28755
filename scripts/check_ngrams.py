"""Compare n-gram counts of a suffix index with counts made by looking at every token.

    scripts/check_ngrams.py [STORE] [--index suffix] [--ngrams 1000] [--seed 1]

The n-grams, of 1 to 50 tokens, are drawn at random from the documents; in every tenth one token is replaced by a random
one. They are counted in the documents' text, encoded anew and one document after the other, so neither the token stream
nor the suffix array has a part in it. Without STORE the books of `$LODEX_DATA/lm_books` are put into two stores, of one
segment and of five. Exits 1 where any count differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lodex.index.build import build_index
from lodex.index.ngrams import NgramIndex
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.types import Document

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LONGEST = 50


def main() -> None:
    """Check one store, or the books in one segment and in five."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", nargs="?", type=Path)
    parser.add_argument("--index", default="suffix", help="name of the suffix index")
    parser.add_argument("--ngrams", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.store is not None:
        agree = check(Store.open(arguments.store).snapshot(), arguments.index, arguments.ngrams, arguments.seed)
    else:
        books = Path(os.environ.get("LODEX_DATA", DEFAULT_DATA)) / "lm_books" / "books"
        with tempfile.TemporaryDirectory() as folder:
            agree = True
            for segments in (1, 5):
                snapshot = build_books(books, Path(folder) / f"{segments}", segments)
                agree &= check(snapshot, "suffix", arguments.ngrams, arguments.seed)
    sys.exit(0 if agree else 1)


def build_books(books: Path, path: Path, segments: int) -> Snapshot:
    """A store of every book, in so many segments, with its suffix index."""
    files = sorted(books.glob("*.txt"))
    if not files:
        sys.exit(f"no books in {books}: set LODEX_DATA, or name a store")
    tokenizer = Tokenizer.load()
    store = Store.create(path)
    for part in np.array_split(np.arange(len(files)), segments):  # in order, so that the same n-grams are drawn
        store.add(Document(files[i].stem, files[i].read_text(encoding="utf-8")) for i in part)
    build_index(store, tokenizer.name, TokensBuilder(tokenizer))
    return build_index(store, "suffix", SuffixBuilder(tokenizer.name))


def check(snapshot: Snapshot, name: str, ngrams: int, seed: int) -> bool:
    """Print how many counts agree, and those that do not."""
    index = NgramIndex(snapshot, name)
    text = read_tokens(snapshot, index)
    drawn = list(draw(text, index, ngrams, np.random.default_rng(seed)))
    started = time.process_time()
    found = [answer.count for answer in index.count([[ngram] for ngram in drawn])]
    microseconds = (time.process_time() - started) / max(len(drawn), 1) * 1e6
    expected = [count_naively(text, ngram) for ngram in drawn]
    for ngram, got, want in zip(drawn, found, expected, strict=True):
        if got != want:
            print(f"counted {got} times, stands {want} times: {ngram.tolist()}")
    agreeing = sum(got == want for got, want in zip(found, expected, strict=True))
    print(
        f"{agreeing} of {len(drawn)} counts agree: {index.segments_ok} segments, {len(snapshot)} documents, "
        f"{len(text):,} tokens; {sum(count == 0 for count in expected)} n-grams do not occur, the most frequent occurs "
        f"{max(expected, default=0):,} times; {microseconds:.1f} µs CPU a count"
    )
    return agreeing == len(drawn) and index.segments_ok == index.segments_total


def read_tokens(snapshot: Snapshot, index: NgramIndex) -> TokenIds:
    """The ids of all documents, encoded from their text, with -1 before each."""
    parts = [np.empty(0, np.int32)]
    for document in snapshot:
        parts += [np.full(1, -1, np.int32), index.tokenizer.encode(document.text).astype(np.int32)]
    return np.concatenate(parts)


def draw(text: TokenIds, index: NgramIndex, ngrams: int, rng: np.random.Generator) -> Iterator[TokenIds]:
    """n-grams that stand in documents, every tenth with one token replaced."""
    drawn = 0
    for _ in range(100 * ngrams):  # a store of tiny documents may hold too few
        length = int(rng.integers(1, LONGEST + 1))
        start = int(rng.integers(max(len(text), 1)))
        ngram = text[start : start + length].copy()
        if len(ngram) < length or (ngram < 0).any():
            continue
        if drawn % 10 == 9:
            ngram[rng.integers(length)] = rng.integers(index.tokenizer.vocab_size)
        yield ngram
        drawn += 1
        if drawn == ngrams:
            return


def count_naively(text: TokenIds, ngram: TokenIds) -> int:
    """At how many places the tokens follow one another."""
    places = np.flatnonzero(text[: len(text) - len(ngram) + 1] == ngram[0])
    for i in range(1, len(ngram)):
        places = places[text[places + i] == ngram[i]]
    return len(places)


if __name__ == "__main__":
    main()
