"""Places as text: read again and again by one reader, in any order, as by one that knows nothing yet."""

import random
from pathlib import Path

import numpy as np
import pytest

from lodex.errors import DataLossError
from lodex.index import occurrences
from lodex.index.build import build_index
from lodex.index.ngrams import NgramIndex
from lodex.index.occurrences import OccurrenceReader, Place, read_occurrence
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.types import Document

TEXTS = ["It is raining. " * 40, "", "é", "Frühling läßt sein blaues Band 🌱 wieder flattern. " * 9, "a" * 300]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> NgramIndex:
    """Documents of two segments, with the bundled tokenizer."""
    folder: Path = tmp_path_factory.mktemp("occurrences")
    store = Store.create(folder / "store")
    for i in range(2):
        store.add(Document(f"{i}-{j}", text, title=f"{i} {j}") for j, text in enumerate(TEXTS))
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(Tokenizer.load()))
    build_index(store, "suffix", SuffixBuilder())
    return NgramIndex(store.snapshot())


def places_of(index: NgramIndex) -> list[Place]:
    """Runs of tokens of every document, its ends and none at all among them, in a random order."""
    choose = random.Random(1)
    places = []
    for part in index._parts:
        for row in range(part.stream.num_documents):
            size = len(part.stream.document(row))
            ends = {0, size, *(choose.randint(0, size) for _ in range(9))}
            places += [Place(part, row, begin, end) for begin in ends for end in ends if begin <= end]
    choose.shuffle(places)
    return places


@pytest.mark.parametrize("context", [0, 1, 20])
def test_a_reader_reads_what_the_text_has(index: NgramIndex, context: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and texts are those of the whole document's tokens, however blocks and documents are kept."""
    tokenizer = index.tokenizer
    for block, at_once, kept in [(1, 1, 1), (4, 8, 3), (64, 64, 100), (512, 1 << 20, 4096)]:
        monkeypatch.setattr(occurrences, "_BLOCK_TOKENS", block)
        monkeypatch.setattr(occurrences, "_TOKENS_AT_ONCE", at_once)
        monkeypatch.setattr(occurrences, "_MOST_DOCUMENTS", kept)
        reader = OccurrenceReader(tokenizer)
        for place in places_of(index):
            found = reader.read(place, context)
            text, tokens = TEXTS[place.row], place.part.stream.document(place.row)
            begins = [0, *tokenizer.byte_spans(tokens, text)[:, 1].tolist()]
            assert (found.begin, found.end) == (begins[place.begin], begins[place.end])
            first = begins[max(place.begin - context, 0)]
            data = text.encode()
            assert found.match == data[found.begin : found.end].decode(errors="replace")
            assert len(found.before.encode(errors="replace")) >= found.begin - first or "\ufffd" in found.before
            assert found.title == place.part.segment.header(place.row).title
            assert found == read_occurrence(place, tokenizer, context)


def test_ids_beyond_the_vocabulary_are_damage(index: NgramIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is before the place as well as in it, every time; what stands behind it is not looked at."""
    (part, *_) = index._parts
    tokens = np.array(part.stream.document(0))
    tokens[len(tokens) // 2] = index.tokenizer.vocab_size
    monkeypatch.setattr(part.stream, "document", lambda row: tokens)
    reader = OccurrenceReader(index.tokenizer)
    size = len(tokens)
    assert reader.read(Place(part, 0, 1, 2), 1).match
    for begin in (size // 2, size // 2 + 3, size - 1, size // 2 + 3):
        with pytest.raises(DataLossError, match="beyond its vocabulary"):
            reader.read(Place(part, 0, begin, begin + 1), 1)
    assert reader.read(Place(part, 0, 1, 2), 1).match


def test_a_stream_of_another_text_is_damage(index: NgramIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of more bytes than the document has do not read on in the next one."""
    (part, *_) = index._parts
    tokens = np.array(part.stream.document(0))
    monkeypatch.setattr(part.stream, "document", lambda row: tokens)
    with pytest.raises(DataLossError, match="is not of its text"):
        OccurrenceReader(index.tokenizer).read(Place(part, 2, 5, 6), 3)
