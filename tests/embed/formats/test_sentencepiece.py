"""SentencePiece vocabularies: the ids against a plain merging by score, the three file forms, and broken files."""

import struct
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from lodex.embed.formats.sentencepiece import Pieces, build_tokenizer, derive_merges, read_pieces
from lodex.errors import InvalidArgumentError
from tests.embed.conftest import DATA

TEXTS = [
    "Once upon a time, there was a little girl named Lily.",
    "  two  spaces ",
    "",
    " ",
    "tab\tand\nline\r\nends",
    "\u201cZoë\u201d said: 中文 \U0001f600!",
    "aaaaaaaaaaa mmmmmmm 2024",
]
SMALL = ("<unk>", "<s>", "</s>", "\u2581", "a", "b", "c", "ab", "bc", "\u2581a", "abc")


def plain_encode(pieces: Pieces, text: str) -> list[int]:
    """Characters or bytes; then of all neighbours that make a piece the best is joined, the leftmost of equals."""
    ids = {piece: i for i, piece in enumerate(pieces.texts)}
    if pieces.collapses_spaces:
        text = " ".join(part for part in text.split(" ") if part)
    text = ("\u2581" if text and pieces.adds_space else "") + text.replace(" ", "\u2581")
    symbols: list[str] = []
    for character in text:
        in_bytes = [f"<0x{byte:02X}>" for byte in character.encode()]
        symbols += [character] if character in ids else in_bytes if pieces.falls_back_to_bytes else ["<unk>"]
    while True:
        joined = [
            (-pieces.scores[ids[left + right]], i)
            for i, (left, right) in enumerate(pairwise(symbols))
            if left + right in ids
        ]
        if not joined:
            break
        _, i = min(joined)
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    found = [ids[symbol] for symbol in symbols]
    return [token for i, token in enumerate(found) if token or i == 0 or found[i - 1]]  # unknown ones in a row are one


def data_pieces(name: str, vocab: int) -> Pieces:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no {name}: set LODEX_DATA")
    return read_pieces(path, vocab)


@pytest.mark.parametrize(
    ("name", "vocab"),
    [
        ("decoder_stories260k/tok512.bin", 512),
        ("decoder_stories260k/tok512.model", 512),
        ("decoder_babyllama105/tok105.model", 105),
        ("decoder_babyllama105/tok105.vocab", 105),
    ],
)
def test_ids_are_those_of_merging_by_score(name: str, vocab: int) -> None:
    """Real vocabularies with and without bytes, over stories and texts that are hard."""
    pieces = data_pieces(name, vocab)
    tokenizer = build_tokenizer(pieces)
    stories = (DATA / "lm_tinystories/stories.txt").read_text()[:6000].split("<|endoftext|>")
    for text in TEXTS + stories:
        assert tokenizer.encode(text, add_special_tokens=False).ids == plain_encode(pieces, text), text
        assert tokenizer.encode(text).ids[0] == 1


def test_bytes_bring_every_text_back() -> None:
    """With pieces for bytes, decoding gives the text, spaces and all."""
    tokenizer = build_tokenizer(data_pieces("decoder_stories260k/tok512.bin", 512))
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_forms_of_one_vocabulary_are_equal() -> None:
    """llama2.c's file has the pieces and scores of SentencePiece's, and leaves spaces alone, as run.c does."""
    ours = data_pieces("decoder_stories260k/tok512.bin", 512)
    theirs = data_pieces("decoder_stories260k/tok512.model", 512)
    assert (ours.texts, ours.scores) == (theirs.texts, theirs.scores)
    assert (ours.collapses_spaces, theirs.collapses_spaces) == (False, True)


def test_the_llama_vocabulary_has_its_known_ids() -> None:
    """The ids that SentencePiece gives for Llama 2."""
    tokenizer = build_tokenizer(data_pieces("tokenizer_llama/tokenizer.model", 32_000))
    assert tokenizer.encode("Hello world, retrieval!").ids == [1, 15043, 3186, 29892, 5663, 16837, 29991]


def test_merges_come_by_the_score_of_what_they_make() -> None:
    """Best first, every split of a piece, equal scores by the ids of the pair."""
    pieces = Pieces(SMALL, (0, 0, 0, -1, -2, -3, -4, -9, -5, -6, -7))
    expected = [("b", "c"), ("\u2581", "a"), ("a", "bc"), ("ab", "c"), ("a", "b")]
    assert derive_merges(pieces) == expected
    assert build_tokenizer(pieces).encode("abc").ids == [1, 9, 8]


def test_special_tokens_in_brackets_are_specials(tmp_path: Path) -> None:
    """`</s>` in a text is the token, as tokenizers of Llama read it, unless asked not to."""
    tokenizer = build_tokenizer(Pieces(SMALL, tuple(map(float, range(11)))))
    assert tokenizer.encode("</s>", add_special_tokens=False).ids == [2]
    tokenizer.save(str(tmp_path / "t.json"))
    assert Tokenizer.from_file(str(tmp_path / "t.json")).token_to_id("</s>") == 2


def piece(text: bytes, score: float = 0.0) -> bytes:
    return struct.pack("<fi", score, len(text)) + text


GOOD = struct.pack("<i", 5) + piece(b"<unk>") + piece(b"\n<s>\n") + piece(b"\n</s>\n") + piece(b" a") + piece(b"a", -1)


def test_the_form_of_llama2c_is_read(tmp_path: Path) -> None:
    """Special pieces lose the line breaks that run.c prints with them, spaces get SentencePiece's sign."""
    (tmp_path / "t.bin").write_bytes(GOOD)
    assert read_pieces(tmp_path / "t.bin", 5).texts == ("<unk>", "<s>", "</s>", "\u2581a", "a")


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("t.bin", GOOD[:-1], "piece 4 should have 1 bytes, 0 are left"),
        ("t.bin", GOOD[:-9] + b"\0\0\0", "ends inside of piece 4"),
        ("t.bin", GOOD + piece(b"b"), "has 6 pieces, the model 5"),
        ("t.bin", b"", "has 0 pieces"),
        ("t.bin", GOOD[:-9] + struct.pack("<fi", 0, -5) + b"a", "-5 bytes"),
        ("t.bin", GOOD[:-9] + piece(b"\xff"), "not UTF-8"),
        ("t.bin", GOOD[:-9] + piece(b" a"), "the same piece twice"),
        ("t.bin", GOOD[:-9] + piece(b"a", float("nan")), "no finite number"),
        ("t.bin", GOOD[:4] + piece(b"x") + GOOD[17:], "begins with"),
        ("t.vocab", b"<unk>\t0\n<s>\n", "no list of pieces and scores"),
        ("t.model", b"\x0a\xff\xff", "no SentencePiece model"),
        ("t.model", b"\x12\x02\x18\x01", r"not of type BPE \(1\)"),
        ("t.model", b"\x12\x02\x18\x02\x1a\x06\x12\x01x\x0a\x01n", "normalises text by 'n'"),
        ("t.json", b"{}", "end in one of"),
    ],
)
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, name: str, data: bytes, complaint: str) -> None:
    """Files cut short, of another sort or of another model are told by what is wrong."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidArgumentError, match=complaint):
        read_pieces(tmp_path / name, 5)
