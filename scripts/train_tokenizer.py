#!/usr/bin/env python
"""Train the bundled tokenizer, or report how it does: see docs/tokenizer.md.

    scripts/train_tokenizer.py             train and write index/tokenizers/NAME
    scripts/train_tokenizer.py --report    characters per token of 8,192, 12,288 and 16,384 ids on each kind of text

The books are read from $LODEX_DATA/lm_books; the rest ships with CPython. The result depends on the texts, the version
of CPython and the version of tokenizers, all of which provenance.json records; nothing in it is random.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from lodex.index.byte_level import PATTERN
from lodex.index.sources.python_docs import python_docs, python_source
from lodex.index.tokenizer import DEFAULT_TOKENIZER, EOS, Tokenizer

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("LODEX_DATA", ROOT.parent / "shared" / "data"))
SIZE = 16_384
REPORTED_SIZES = (8_192, 12_288, SIZE)

# Each of these authors has one book; neither the tokenizer nor a model that is to be evaluated on them reads it.
HELD_OUT_AUTHORS = (
    "H. Addington Bruce",
    "Hugh Lofting",
    "Jerome K. Jerome",
    "Johanna Spyri",
    "Johnston McCulley",
    "Kahlil Gibran",
    "Mack Reynolds",
    "Nellie Bly",
    "Samuel Hopkins Adams",
    "Stanley Weinbaum",
)

# Tables of numbers and names, which would buy ids for text that nobody writes, and the pages that python-docs has too.
TABLES = ("encodings/", "html/entities.py", "pydoc_data/")
MAX_TOKEN_CHARACTERS = 32  # longer ones are rules of tables, a whole table's at a time
DOCS_WEIGHT = 3  # 2 MB of documentation beside 37 MB of books


@dataclass(frozen=True)
class Corpus:
    """The texts by kind, as an ingest stores them: lines end with LF."""

    train_books: list[str]
    held_out_books: list[str]
    docs: list[str]
    source: list[str]
    source_without_tables: list[str]

    def training_texts(self) -> Iterator[str]:
        """What the merges are counted on. Every fourth book has CR LF: documents that come by API may have it too."""
        for i, text in enumerate(self.train_books):
            yield text if i % 4 else text.replace("\n", "\r\n")
        for _ in range(DOCS_WEIGHT):
            yield from self.docs
        yield from self.source_without_tables


def read_corpus() -> Corpus:
    """Read the books and what this CPython ships with."""
    books: dict[bool, list[str]] = {False: [], True: []}
    folder = DATA / "lm_books"
    with (folder / "manifest.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            text = (folder / row["file"]).read_text(encoding="utf-8")
            books[row["author"] in HELD_OUT_AUTHORS].append(text)
    if len(books[True]) != len(HELD_OUT_AUTHORS):
        raise SystemExit(f"expected one book of each held-out author, found {len(books[True])}")
    source = list(python_source())
    return Corpus(
        train_books=books[False],
        held_out_books=books[True],
        docs=[document.text for document in python_docs()],
        source=[document.text for document in source],
        source_without_tables=[d.text for d in source if not d.doc_id.startswith(TABLES)],
    )


def train(corpus: Corpus, size: int) -> Tokenizer:
    """A tokenizer of `size` ids, the first of which ends a document."""
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=MAX_TOKEN_CHARACTERS,
        show_progress=False,
    )
    bpe.train_from_iterator(corpus.training_texts(), trainer)
    return Tokenizer(bpe.to_str(), DEFAULT_TOKENIZER)


def characters_per_token(tokenizer: Tokenizer, texts: list[str]) -> float:
    """Unicode characters of the texts for each of their tokens, separators not counted."""
    return sum(map(len, texts)) / sum(map(len, tokenizer.encode_batch(texts)))


def write(tokenizer: Tokenizer, out: Path) -> None:
    """Write tokenizer.json and provenance.json."""
    provenance = {
        "name": tokenizer.name,
        "version": 1,
        "fingerprint": tokenizer.fingerprint,
        "vocab_size": tokenizer.vocab_size,
        "eos": EOS,
        "trained_by": "scripts/train_tokenizer.py",
        "trained_on": [
            "public-domain books: mlschmitt/classic-books-markdown 944882722e9a96fa6cf2739dc2ea757e101f412f, 70 of 80",
            f"documentation of CPython {platform.python_version()} (PSF-2.0), {DOCS_WEIGHT} times",
            f"standard library of CPython {platform.python_version()} (PSF-2.0), without its tables",
        ],
        "held_out_authors": HELD_OUT_AUTHORS,
        "tokenizers": tokenizers.__version__,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    (out / "provenance.json").write_text(json.dumps(provenance, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def report(corpus: Corpus) -> None:
    """Print the table of docs/tokenizer.md, and whether training gave the bundled tokenizer again."""
    kinds = {
        "books, training": corpus.train_books,
        "books, held out": corpus.held_out_books,
        "python-docs": corpus.docs,
        "python-source": corpus.source,
    }
    print("characters:", ", ".join(f"{kind} {sum(map(len, texts)):,}" for kind, texts in kinds.items()))
    print("| ids | " + " | ".join(kinds) + " |\n|" + "---|" * (1 + len(kinds)))
    for size in REPORTED_SIZES:
        tokenizer = train(corpus, size)
        cells = [f"{characters_per_token(tokenizer, texts):.3f}" for texts in kinds.values()]
        print(f"| {size:,} | " + " | ".join(cells) + " |", flush=True)
    same = tokenizer.fingerprint == Tokenizer.load().fingerprint
    print(f"trained here with {SIZE:,} ids: {'the' if same else 'NOT the'} bundled {DEFAULT_TOKENIZER}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", action="store_true", help="train at every size and print a table; write nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "index" / "tokenizers" / DEFAULT_TOKENIZER)
    arguments = parser.parse_args()
    if arguments.report:
        report(read_corpus())
    else:
        write(train(read_corpus(), SIZE), arguments.out)
