"""Suffix indexes on disk: the bytes that infini-gram writes, links to one stream, and damage noticed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lodex.errors import DataLossError, FailedPreconditionError, ResourceExhaustedError
from lodex.index import suffix as suffix_module
from lodex.index import suffix_blocks
from lodex.index.build import build_index
from lodex.index.deletions import Deletions
from lodex.index.ngrams import NgramIndex
from lodex.index.receipt import RECEIPT, Artefact
from lodex.index.store import Store
from lodex.index.suffix import TABLE, SuffixBuilder, SuffixSegment, suffix_parts
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import OFFSETS, TOKENS, TokensBuilder, TokenStream
from lodex.kernels import suffix_array_reference as reference
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import decode_offsets, encode_offsets
from lodex.types import Document, Rank, Silent

TEXTS = ["It was the best of times, it was the worst of times,", "", "it was the age of wisdom", "it was"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


def build(path: Path, tokenizer: Tokenizer, texts: list[str] = TEXTS) -> Store:
    store = Store.create(path)
    store.add(Document(f"doc-{i}", text) for i, text in enumerate(texts))
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(tokenizer))
    build_index(store, "suffix", SuffixBuilder())
    return store


def suffix_of(store: Store) -> Artefact:
    (part,) = store.snapshot().parts("suffix")
    assert part[1] is not None
    return part[1]


def test_the_table_is_the_sorted_suffixes_as_byte_offsets(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Little-endian offsets of the fewest bytes, in the order of the stream's bytes, separators included."""
    artefact = suffix_of(build(tmp_path / "store", tokenizer))
    tokens = np.fromfile(artefact.file(TOKENS), "<u2")
    table = np.fromfile(artefact.file(TABLE), np.uint8)
    width = 1
    assert tokens.nbytes <= 256
    assert artefact.receipt.details == {"offset_bytes": width}
    assert artefact.receipt.rows == len(tokens) == len(table)
    np.testing.assert_array_equal(decode_offsets(table, 2, width), reference.suffix_array(tokens))


def test_a_table_is_written_in_chunks(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is written at once, the bytes are those of the whole, and progress ends with the text."""

    class Tally(Silent):
        total = done = 0

        def start(self, label: str, total: int | None, unit: str) -> None:
            assert unit == "bytes"
            self.total = total or 0

        def advance(self, amount: int) -> None:
            self.done += amount

    monkeypatch.setattr(suffix_blocks, "ENTRIES_PER_WRITE", 7)
    tally = Tally()
    store = Store.create(tmp_path / "store")
    store.add([Document("x", "la " * 500)])
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(tokenizer))
    build_index(store, "suffix", SuffixBuilder(), tally)
    artefact = suffix_of(store)
    tokens = np.fromfile(artefact.file(TOKENS), "<u2")
    expected = encode_offsets(suffix_array(tokens), 2, 2)
    np.testing.assert_array_equal(np.fromfile(artefact.file(TABLE), np.uint8), expected)
    assert tally.done == tally.total == store.snapshot().segments[0].text_bytes


def test_positions_are_those_of_the_table_in_any_order(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Runs of ranks, runs with a gap that another run makes up for, and ranks that go up and down."""
    store = build(tmp_path / "store", tokenizer, TEXTS * 9)
    artefact = suffix_of(store)
    (part,) = suffix_parts(store.snapshot(), "suffix", DEFAULT_TOKENIZER)
    tokens = np.fromfile(artefact.file(TOKENS), "<u2")
    expected = reference.suffix_array(tokens)
    every = np.arange(len(tokens))
    swapped = np.concatenate([every[5:15], every[100:120], every[35:40]])
    assert swapped[-1] - swapped[0] == len(swapped) - 1
    for ranks in (every, every[:0], every[:3], every[7:90], swapped, every[::-1], every[::3], every[[4, 4, 4]]):
        np.testing.assert_array_equal(part.positions(ranks), expected[ranks])


def test_the_stream_is_linked_and_not_copied(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Links are relative, so a store may be moved; no other name in the folder is one that infini-gram would read."""
    store = build(tmp_path / "store", tokenizer)
    artefact = suffix_of(store)
    assert sorted(path.name for path in artefact.path.iterdir()) == sorted([OFFSETS, RECEIPT, TABLE, TOKENS])
    for name in (TOKENS, OFFSETS):
        assert not Path((artefact.path / name).readlink()).is_absolute()
    shutil.move(tmp_path / "store", tmp_path / "moved")
    moved = NgramIndex(Store.open(tmp_path / "moved").snapshot())
    assert moved.count([[tokenizer.encode(" was the")]])[0].count == 3
    suffix_of(Store.open(tmp_path / "moved")).prove_all()


def test_an_index_that_is_there_is_not_built_again(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Only segments added since are sorted, and the rest keep their parts."""
    store = build(tmp_path / "store", tokenizer)
    before = suffix_of(store)
    assert build_index(store, "suffix", SuffixBuilder()).version == store.snapshot().version
    store.add([Document("new", "it was new")])
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(tokenizer))
    snapshot = build_index(store, "suffix", SuffixBuilder())
    parts = [artefact.id for _, artefact in snapshot.parts("suffix") if artefact is not None]
    assert len(parts) == 2
    assert parts[0] == before.id
    assert NgramIndex(snapshot).count([[tokenizer.encode(" was")]])[0].count == 5


def test_a_stream_must_be_built_before_its_suffixes(tmp_path: Path) -> None:
    """The error says what is missing."""
    store = Store.create(tmp_path / "store")
    store.add([Document("x", "text")])
    with pytest.raises(FailedPreconditionError, match=DEFAULT_TOKENIZER):
        build_index(store, "suffix", SuffixBuilder())


def test_a_stream_that_is_too_long_is_refused(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions are 32 bits: the error says how long the stream is and what to do."""
    monkeypatch.setattr(suffix_module, "MAX_TOKENS", 10)
    with pytest.raises(ResourceExhaustedError, match="smaller segments"):
        build(tmp_path / "store", tokenizer)


# ------------------------------------------------------------------------------------------ damage


def test_a_truncated_table_is_not_opened(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A file of another size than its receipt's is DataLossError."""
    store = build(tmp_path / "store", tokenizer)
    table = suffix_of(store).path / TABLE
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(DataLossError, match=TABLE):
        NgramIndex(store.snapshot())


def test_a_table_with_impossible_offsets_raises_and_names_itself(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets inside a token or past the stream are DataLossError where met, at the latest in a query, and named."""
    monkeypatch.setattr("lodex.index.receipt.BLOCK_BYTES", -1)  # as of a table too large to be checked first
    store = build(tmp_path / "store", tokenizer)
    table = suffix_of(store).path / TABLE
    table.write_bytes(b"\xff" * table.stat().st_size)
    with pytest.raises(DataLossError, match=str(table)):
        NgramIndex(store.snapshot())


def test_a_wrong_offset_within_the_table_is_never_read_through(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What opening does not see is DataLossError when a query meets it."""
    monkeypatch.setattr("lodex.index.receipt.BLOCK_BYTES", -1)
    store = build(tmp_path / "store", tokenizer)
    index = NgramIndex(store.snapshot())
    table = suffix_of(store).path / TABLE
    with table.open("r+b") as file:  # the index has the file mapped
        file.write(b"\xff" * table.stat().st_size)
    prompt = [tokenizer.encode("it was")]
    for ask in (index.count, index.ntd, index.infgram_ntd, index.search_docs, index.find):
        with pytest.raises(DataLossError, match=str(table)):
            ask([prompt])
    (found,) = NgramIndex(build(tmp_path / "whole", tokenizer).snapshot()).find([[[]]])
    with pytest.raises(DataLossError, match=str(table)):
        index.locate([Rank(found.ranges[0].segment_id, 3)])


def test_a_missing_stream_is_noticed(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A link to nothing is DataLossError."""
    store = build(tmp_path / "store", tokenizer)
    (suffix_of(store).path / TOKENS).resolve().unlink()
    with pytest.raises(DataLossError, match=TOKENS):
        NgramIndex(store.snapshot())


def test_a_part_of_another_segment_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A table is opened only with the stream and the segment it was made from."""
    one, other = build(tmp_path / "one", tokenizer), build(tmp_path / "other", tokenizer, ["another text"])
    (segment, tokens), (foreign, foreign_tokens) = (
        store.snapshot().parts(DEFAULT_TOKENIZER)[0] for store in (one, other)
    )
    assert tokens is not None
    assert foreign_tokens is not None
    with pytest.raises(DataLossError, match=segment.id):
        SuffixSegment(segment, TokenStream(foreign_tokens), suffix_of(one), Deletions.none(segment.num_documents))
    with pytest.raises(DataLossError, match=foreign.id):
        SuffixSegment(foreign, TokenStream(tokens), suffix_of(other), Deletions.none(foreign.num_documents))


# ------------------------------------------------------------------------------------------ infini-gram


def test_infini_gram_opens_the_folder(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Its own engine counts the same in our artefact, as it stands in a store."""
    engine = pytest.importorskip("infini_gram.engine", reason="infini-gram is not installed (extra [dev])")
    store = build(tmp_path / "store", tokenizer, TEXTS * 3)
    index = NgramIndex(store.snapshot())
    theirs = engine.InfiniGramEngine(
        index_dir=str(suffix_of(store).path), eos_token_id=tokenizer.eos_id, vocab_size=65_535, token_dtype="u16"
    )
    for text in ("it was", " was the", " of", " wisdom", "not there"):
        ids = tokenizer.encode(text)
        assert theirs.count(input_ids=ids.tolist())["count"] == index.count([[ids]])[0].count
