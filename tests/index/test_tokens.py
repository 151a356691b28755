"""Token streams: every document's ids after a separator, in bytes that others can read."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from lodex.errors import DataLossError, InvalidArgumentError
from lodex.index import tokens as tokens_module
from lodex.index.build import build_index
from lodex.index.files import checksum_bytes
from lodex.index.receipt import RECEIPT, Artefact, FileRecord, Receipt, read_receipt
from lodex.index.store import Store
from lodex.index.tokenizer import EOS, Tokenizer
from lodex.index.tokens import OFFSETS, STREAM, TOKENS, TokensBuilder, TokenStream
from lodex.types import Document

TEXTS = [
    "",
    "Call me Ishmael.",
    "x",
    f"not the end {EOS}",
    "\n\n",
    "naïve \U0001f600\x00",
    "def f():\n    return 1\n" * 40,
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


def build(path: Path, texts: list[str], tokenizer: Tokenizer, segment_bytes: int = 1 << 20) -> list[Artefact]:
    store = Store.create(path)
    store.add((Document(f"doc-{i}", text) for i, text in enumerate(texts)), segment_bytes=segment_bytes)
    snapshot = build_index(store, tokenizer.name, TokensBuilder(tokenizer))
    return [artefact for _, artefact in snapshot.parts(tokenizer.name) if artefact is not None]


def prose(words: int, seed: int = 0) -> str:
    """Words of all sorts, with line breaks and numbers between them."""
    choose = random.Random(seed).choice
    return "".join(
        choose([" the", " whale", "\n", "  ", " 1851", ",", "'s", "é", "\r\n", " Ahab"]) for _ in range(words)
    )


@pytest.mark.parametrize("segment_bytes", [1, 1 << 20])
def test_a_stream_is_a_separator_and_the_ids_of_each_document(
    tmp_path: Path, tokenizer: Tokenizer, segment_bytes: int
) -> None:
    """Read as the bare files that infini-gram reads: little-endian u16, and u64 byte offsets of the separators."""
    artefacts = build(tmp_path / "store", TEXTS, tokenizer, segment_bytes)
    assert len(artefacts) == (1 if segment_bytes > 1 else len([t for t in TEXTS if t]))
    documents = []
    for artefact in artefacts:
        raw = np.frombuffer((artefact.path / TOKENS).read_bytes(), "<u2")
        offsets = np.frombuffer((artefact.path / OFFSETS).read_bytes(), "<u8")
        assert offsets.tolist() == (np.flatnonzero(raw == 0xFFFF) * 2).tolist()
        documents += [part[1:].tolist() for part in np.split(raw, (offsets // 2).tolist()[1:])]
    assert documents == [tokenizer.encode(text).tolist() for text in TEXTS]


def test_a_stream_is_opened_with_all_that_it_says(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Tokens, documents, separator and tokenizer; arrays cannot be written to."""
    [artefact] = build(tmp_path / "store", TEXTS, tokenizer)
    stream = TokenStream(artefact)
    ids = [tokenizer.encode(text).tolist() for text in TEXTS]
    assert [stream.document(row).tolist() for row in range(stream.num_documents)] == ids
    assert (stream.num_documents, stream.num_tokens) == (len(TEXTS), sum(map(len, ids)))
    assert len(stream.tokens) == stream.num_tokens + stream.num_documents
    assert (stream.separator, stream.eos_id, stream.vocab_size) == (0xFFFF, tokenizer.eos_id, tokenizer.vocab_size)
    assert (stream.tokenizer_name, stream.tokenizer_fingerprint) == (tokenizer.name, tokenizer.fingerprint)
    assert artefact.receipt.rows == len(TEXTS)
    assert artefact.receipt.details == {"tokens": stream.num_tokens}
    with pytest.raises(ValueError, match="read-only"):
        stream.tokens[0] = 1
    for row in (-1, len(TEXTS)):
        with pytest.raises(InvalidArgumentError, match="row"):
            stream.document(row)


def test_positions_are_traced_to_their_documents(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Row and place in the document, for every position, against walking the stream."""
    [artefact] = build(tmp_path / "store", TEXTS, tokenizer)
    stream = TokenStream(artefact)
    rows, places = [], []
    for token in stream.tokens.tolist():
        if token == stream.separator:
            rows.append(rows[-1] + 1 if rows else 0)
            places.append(-1)
        else:
            rows.append(rows[-1])
            places.append(places[-1] + 1)
    positions = np.arange(len(stream.tokens))
    assert stream.rows_of(positions).tolist() == rows
    assert stream.positions_in_document(positions).tolist() == places
    assert stream.rows_of(positions[:0]).tolist() == []


def test_a_store_explains_its_own_tokens(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """The tokenizer is read from the stream's own copy, its EOS included."""
    other = Tokenizer(tokenizer.to_json(), "mine", eos="A")
    [artefact] = build(tmp_path / "store", ["one two A"[:7]], other)
    found = TokenStream(artefact).tokenizer
    assert (found.name, found.fingerprint, found.eos_id) == ("mine", tokenizer.fingerprint, other.eos_id)
    assert found.decode(TokenStream(artefact).document(0)) == "one two"


def test_wide_ids_are_written_as_u32(tmp_path: Path) -> None:
    """With a separator of 32 set bits."""
    vocabulary = {word: i for i, word in enumerate(["</s>", *(f"w{i}" for i in range(70_000))])}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="</s>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    [artefact] = build(tmp_path / "store", ["w69999 w0", "w7"], Tokenizer(made.to_str(), "words"))
    raw = np.frombuffer((artefact.path / TOKENS).read_bytes(), "<u4")
    assert raw.tolist() == [0xFFFFFFFF, 70_000, 1, 0xFFFFFFFF, 8]
    stream = TokenStream(artefact)
    assert (stream.separator, stream.offsets.tolist()) == (0xFFFFFFFF, [0, 12])
    assert stream.document(1).tolist() == [8]


def test_long_documents_in_pieces_have_the_ids_of_the_whole(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the sizes of pieces and batches, and where a document has no place to cut."""
    texts = [prose(4000), "x" * 3000, "", prose(10), "a b" + "c" * 2000 + " d", prose(3000, seed=1), "\u3000 é " * 500]
    expected = [tokenizer.encode(text).tolist() for text in texts]
    contents = set()
    for piece_bytes, batch_bytes, batch_pieces in [(1 << 17, 1 << 20, 4096), (100, 1000, 7), (1, 1, 1)]:
        monkeypatch.setattr(tokens_module, "_PIECE_BYTES", piece_bytes)
        monkeypatch.setattr(tokens_module, "_BATCH_BYTES", batch_bytes)
        monkeypatch.setattr(tokens_module, "_BATCH_PIECES", batch_pieces)
        [artefact] = build(tmp_path / f"store-{piece_bytes}", texts, tokenizer)
        stream = TokenStream(artefact)
        assert [stream.document(row).tolist() for row in range(len(texts))] == expected
        contents.add(tuple((artefact.path / name).read_bytes() for name in (TOKENS, OFFSETS, STREAM)))
    assert len(contents) == 1


def test_a_tokenizer_with_spaces_inside_tokens_is_never_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document is encoded whole where cutting could change its ids."""
    monkeypatch.setattr(tokens_module, "_PIECE_BYTES", 1)
    made = tokenizers.Tokenizer(models.BPE({"a": 0, " ": 1, "a ": 2, "</s>": 3, "a a ": 4}, [("a", " "), ("a ", "a ")]))
    [artefact] = build(tmp_path / "store", ["a a a a"], Tokenizer(made.to_str(), "phrases"))
    assert TokenStream(artefact).document(0).tolist() == [4, 2, 0]


def test_progress_counts_every_byte_of_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """It starts with the total and ends having reached it."""

    class Recorder:
        calls: list[tuple] = []  # noqa: RUF012 - one test, one recorder

        def start(self, label: str, total: int | None, unit: str) -> None:
            self.calls.append((total, unit))

        def advance(self, amount: int) -> None:
            self.calls.append((amount,))

        def finish(self) -> None:
            self.calls.append(())

    store = Store.create(tmp_path / "store")
    store.add(Document(str(i), text) for i, text in enumerate(TEXTS))
    build_index(store, "stream", TokensBuilder(tokenizer), Recorder())
    total = sum(len(text.encode()) for text in TEXTS)
    first, *middle, last = Recorder.calls
    assert (first, last) == ((total, "bytes"), ())
    assert sum(amount for (amount,) in middle) == total


def test_a_store_without_documents_has_an_empty_index(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """There is nothing to build and nothing fails."""
    assert build(tmp_path / "store", [], tokenizer) == []


# ------------------------------------------------------------------------------------------ damage


def damaged(artefact: Artefact, name: str, data: bytes) -> Artefact:
    """The artefact with other bytes in one file, and a receipt that agrees with them."""
    (artefact.path / name).write_bytes(data)
    receipt = artefact.receipt
    files = dict(receipt.files) | {name: FileRecord(len(data), checksum_bytes(data))}
    changed = Receipt(receipt.kind, receipt.id, receipt.inputs, receipt.config, receipt.rows, receipt.details, files)
    (artefact.path / RECEIPT).write_bytes(changed.to_bytes())
    return Artefact(artefact.path, read_receipt(artefact.path))


@pytest.fixture
def artefact(tmp_path: Path, tokenizer: Tokenizer) -> Artefact:
    return build(tmp_path / "store", ["one", "two three", ""], tokenizer)[0]


@pytest.mark.parametrize("name", [TOKENS, OFFSETS, STREAM])
def test_a_truncated_file_is_data_loss(artefact: Artefact, name: str) -> None:
    """It does not have the size of its receipt; the error names it."""
    path = artefact.path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataLossError, match=name):
        TokenStream(artefact)


@pytest.mark.parametrize("name", [TOKENS, OFFSETS])
def test_a_file_of_another_length_than_the_stream_says_is_data_loss(artefact: Artefact, name: str) -> None:
    """Even where the receipt agrees with the file."""
    with pytest.raises(DataLossError, match=name):
        TokenStream(damaged(artefact, name, (artefact.path / name).read_bytes() + b"\x00\x00"))


@pytest.mark.parametrize("offsets", [[0, 4, 4], [4, 2, 8], [2, 4, 10], [0, 3, 10], [0, 4, 1 << 40], [1 << 63, 0, 2]])
def test_offsets_that_lead_astray_are_data_loss(artefact: Artefact, offsets: list[int]) -> None:
    """Repeated, descending, not from the start, between tokens, beyond the end."""
    with pytest.raises(DataLossError, match=OFFSETS):
        TokenStream(damaged(artefact, OFFSETS, np.array(offsets, "<u8").tobytes()))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "something"},
        {"minimum_reader": 2},
        {"dtype": "u64"},
        {"dtype": "u32"},
        {"documents": 2},
        {"documents": "3"},
        {"tokens": 0},
        {"tokens": None},
        {"eos_id": 1},
        {"fingerprint": "sha256:00"},
    ],
)
def test_a_description_that_does_not_fit_is_data_loss(artefact: Artefact, change: dict) -> None:
    """Of another format, of a later one, of another tokenizer, or of other sizes."""
    description = json.loads((artefact.path / STREAM).read_bytes()) | change
    with pytest.raises(DataLossError):
        TokenStream(damaged(artefact, STREAM, json.dumps(description).encode()))


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b"null"])
def test_a_description_that_is_none_is_data_loss(artefact: Artefact, data: bytes) -> None:
    """Whatever stands there instead."""
    with pytest.raises(DataLossError, match=STREAM):
        TokenStream(damaged(artefact, STREAM, data))


def test_a_tokenizer_that_is_not_the_stream_s_is_data_loss(artefact: Artefact, tokenizer: Tokenizer) -> None:
    """Its fingerprint is checked when it is asked for."""
    settings = json.loads(tokenizer.to_json())
    settings["model"]["merges"].pop()
    stream = TokenStream(damaged(artefact, "tokenizer.json", json.dumps(settings).encode()))
    with pytest.raises(DataLossError, match="the stream is of"):
        _ = stream.tokenizer
    with pytest.raises(DataLossError, match=r"tokenizer\.json"):
        _ = TokenStream(damaged(artefact, "tokenizer.json", b"{}")).tokenizer
