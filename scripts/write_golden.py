"""Write the golden store of this release: every kind of artefact in little, and the answers that it gives.

    scripts/write_golden.py tests/golden/<format version>

Makes FOLDER/store and FOLDER/answers.json, which `tests/index/test_golden.py` opens in this and every later release.
It is run once for each format of a store and the result is committed; a folder that is there is left as it is.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from lodex.index.aliases import set_alias
from lodex.index.build import build_index
from lodex.index.dense_build import DenseBuilder
from lodex.index.history import tag
from lodex.index.knn_build import KnnBuilder
from lodex.index.passages import PassagesBuilder
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokens import TokensBuilder
from lodex.types import Document
from tests.golden_store import ENCODER, SOURCE, answers, embed, make_keys, tiny_tokenizer

WORDS = (
    "the",
    "of",
    "and",
    "lode",
    "index",
    "seam",
    "shaft",
    "ore",
    "datastore",
    "it",
    "was",
    "mined",
    "by",
    "on",
    "not",
)


def main() -> None:
    """Write the store and its answers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    if folder.exists():
        raise SystemExit(f"{folder} is there already; golden stores are never written again")
    write_store(folder / "store")
    found = answers(Store.open(folder / "store"))
    (folder / "answers.json").write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e3:,.0f} kB")


def write_store(path: Path) -> None:
    """Three segments, with every index over them; then what this format adds to a store."""
    rng = random.Random(5)
    store = Store.create(path)
    store.add([document(rng, i, 60) for i in range(8)])
    # The second has a document of several text blocks.
    store.add([document(rng, i, 50) for i in range(8, 12)] + [long_document()])
    build_index(store, "document", PassagesBuilder("document"))
    build_index(store, "180w", PassagesBuilder("180w"))
    build_index(store, "tiny", TokensBuilder(tiny_tokenizer()))
    build_index(store, "suffix", SuffixBuilder("tiny"))
    build_index(store, "dense", DenseBuilder("180w", ENCODER, embed, ivf_from=10))
    build_index(store, "knn", KnnBuilder("tiny", SOURCE, make_keys, lists_from=1000))
    store.delete(["doc-2", "doc-9"])
    tag(store.path, "deleted")
    set_alias(store, "words", "suffix")
    # No index covers the third, whose document takes the place of one of the first.
    store.add([document(rng, i, 5) for i in (20, 21, 5)], replace=True)


def document(rng: random.Random, i: int, words: int) -> Document:
    """A seeded document, with every field and text beyond ASCII."""
    text = " ".join(rng.choices(WORDS, k=words)) + (" Zürich \U0001f600" if i % 3 == 0 else "")
    return Document(f"doc-{i}", text, "golden", f"Title {i}", f"https://example.org/{i}", "2020-01-01", {"n": i})


def long_document() -> Document:
    """17,000 bytes that compress well."""
    return Document("long", "the lode index was mined by the seam. " * 460 + "The end\n")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
