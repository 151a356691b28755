"""Texts to a decoder's ids: the frame of the tokenizer, the end, the cut, and texts of nothing."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lodex.embed.tokens.decoder_tokens import DecoderTokens
from lodex.errors import InvalidArgumentError
from tests.embed.conftest import save_byte_tokenizer

VOCAB = 258


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_byte_tokenizer(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def byte_ids(path: Path, text: str) -> list[int]:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer.encode(text, add_special_tokens=False).ids


def test_a_text_stands_in_the_frame_of_its_tokenizer(path: Path) -> None:
    """What the post-processor adds is there, and the cutting and padding of a training are not."""
    ids, truncated = DecoderTokens(path, 20, VOCAB, 0).encode(["hello", "", "long text é"])
    assert ids == [[0, *byte_ids(path, "hello")], [0], [0, *byte_ids(path, "long text é")]]
    assert truncated == [False, False, False]


def test_an_end_is_appended_where_there_is_none(path: Path) -> None:
    """Once, and not again after a tokenizer that has it."""
    assert DecoderTokens(path, 20, VOCAB, 0, end_id=1).encode(["a"])[0][0][-1] == 1
    save_byte_tokenizer(path, end=True)
    assert DecoderTokens(path, 20, VOCAB, 0, end_id=1).encode(["a"])[0] == [[0, *byte_ids(path, "a"), 1]]


def test_a_long_text_is_cut_and_keeps_its_end(path: Path) -> None:
    """Special tokens count; with `cuts_end` the end goes first, as in NV-Embed."""
    whole = byte_ids(path, "abcdef")
    tokens = DecoderTokens(path, 8, VOCAB, 0, end_id=1)
    assert tokens.encode(["abcdef", "abcdefg"]) == ([[0, *whole, 1], [0, *whole, 1]], [False, True])
    losing = DecoderTokens(path, 8, VOCAB, 0, end_id=1, cuts_end=True)
    assert losing.encode(["abcdef", "abcdefg"])[0] == [[0, *whole, 1], [0, *byte_ids(path, "abcdefg")]]


def test_a_text_of_no_tokens_is_the_start(tmp_path: Path) -> None:
    """A tokenizer without frame leaves nothing of an empty text, and a model reads at least one token."""
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "t.json"))
    tokens = DecoderTokens(tmp_path / "t.json", 9, VOCAB, 77)
    assert tokens.encode([""])[0] == [[77]]
    assert (tokens.count(""), tokens.count("abc")) == (0, 3)


def test_many_texts_keep_their_order(path: Path) -> None:
    """More texts than are tokenised at once."""
    texts = ["x" * (i % 7) for i in range(600)]
    ids, _ = DecoderTokens(path, 20, VOCAB, 0).encode(texts)
    assert [len(row) for row in ids] == [1 + i % 7 for i in range(600)]


def test_lone_surrogates_are_told_by_their_place(path: Path) -> None:
    """What is not Unicode is wrong input."""
    with pytest.raises(InvalidArgumentError, match="text 1") as caught:
        DecoderTokens(path, 20, VOCAB, 0).encode(["a", "\ud800"])
    assert caught.value.field == "texts[1]"


def test_tokenizers_that_do_not_fit_are_refused(path: Path, tmp_path: Path) -> None:
    """More tokens than the model has, a length that the frame fills, and a file that is none."""
    with pytest.raises(InvalidArgumentError, match="token id 257, the model 257 tokens"):
        DecoderTokens(path, 20, 257, 0)
    with pytest.raises(InvalidArgumentError, match="fill a length of 2"):
        DecoderTokens(path, 2, VOCAB, 0, end_id=1)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InvalidArgumentError, match=r"broken\.json is no tokenizer"):
        DecoderTokens(tmp_path / "broken.json", 20, VOCAB, 0)
