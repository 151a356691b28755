"""Texts to rows: the frame, the prompt, the cut, and what is pooled, against sentence-transformers' rules and loops."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from lodex.embed.conventions.convention import Convention
from lodex.embed.formats.sentencepiece import read_pieces, write_tokenizer
from lodex.embed.registry import encoder_folder
from lodex.embed.tokens.framing import TokenRow
from lodex.embed.tokens.model_tokens import ModelTokens, SpecialIds
from lodex.embed.tokens.text_head import TextHead
from lodex.errors import InvalidArgumentError
from tests.embed.conftest import save_byte_tokenizer

VOCAB = 258
DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parents[3] / "../shared/data"))
MINILM = encoder_folder("minilm") / "tokenizer.json"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_byte_tokenizer(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def tokens(path: Path, max_tokens: int = 20, vocab: int = VOCAB, **convention: Any) -> ModelTokens:
    values = {"pooling": "mean", **convention}
    return ModelTokens(path, Convention(max_tokens=max_tokens, **values), vocab_size=vocab, special=SpecialIds(0, 1))


def row(tokenizer: ModelTokens, text: str, prompt: str = "") -> TokenRow:
    (made,) = tokenizer.encode([text], prompt)
    assert isinstance(made, TokenRow)
    return made


def bare(path: Path) -> Tokenizer:
    """A file's tokenizer, without the cutting and padding of its training."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@cache
def cached(path: Path, max_tokens: int) -> ModelTokens:
    """Large vocabularies take a while to read."""
    return tokens(path, max_tokens, 60_000, instruction_mask="exact")


loaded = cache(bare)


def plain(path: Path, text: str) -> list[int]:
    return bare(path).encode(text, add_special_tokens=False).ids


def pooled(made: TokenRow) -> list[int]:
    return list(made.ids[made.pool_begin : made.pool_end])


def test_a_text_stands_in_the_frame_of_its_tokenizer(path: Path) -> None:
    """What the post-processor adds is there, the cutting and padding of a training are not, and all is pooled."""
    assert row(tokens(path), "hello") == TokenRow([0, *plain(path, "hello")], 0, 6)
    assert row(tokens(path), "") == TokenRow([0], 0, 1)


def test_an_end_is_added_once(path: Path) -> None:
    """Where the convention has one and the tokenizer none; it is pooled."""
    assert row(tokens(path, adds_end=True), "a") == TokenRow([0, *plain(path, "a"), 1], 0, 3)
    save_byte_tokenizer(path, end=True)
    assert row(tokens(path, adds_end=True), "a") == TokenRow([0, *plain(path, "a"), 1], 0, 3)


def test_a_long_text_keeps_its_end_unless_the_convention_gives_it_up(path: Path) -> None:
    """Special tokens count; a text that just fits is whole."""
    kept, lost = tokens(path, 8, adds_end=True), tokens(path, 8, adds_end=True, keeps_end=False)
    whole = plain(path, "abcdef")
    assert row(kept, "abcdef") == TokenRow([0, *whole, 1], 0, 8)
    assert row(kept, "abcdefg") == TokenRow([0, *whole, 1], 0, 8, truncated=True)
    assert row(lost, "abcdefg") == TokenRow([0, *plain(path, "abcdefg")], 0, 8, truncated=True)


@pytest.mark.parametrize(
    ("rule", "end", "left_out"),
    [
        ("none", False, 0),
        ("nvembed", False, 3),
        ("exact", False, 4),
        ("sentence-transformers", False, 4),
        ("sentence-transformers", True, 4),
    ],
)
def test_each_rule_leaves_out_its_tokens_of_the_prompt(path: Path, rule: str, end: bool, left_out: int) -> None:
    """<s> and the three of "q: ", by rule; without a prompt nothing is left out."""
    save_byte_tokenizer(path, end=end)
    tokenizer = tokens(path, instruction_mask=rule, adds_end=True)
    made = row(tokenizer, "cat", "q: ")
    assert list(made.ids) == [0, *plain(path, "q: cat"), 1]
    assert (made.pool_begin, made.pool_end) == (left_out, 8)
    assert row(tokenizer, "cat").pool_begin == 0


def test_a_prompt_is_left_out_of_a_text_that_is_cut(path: Path) -> None:
    """By every rule the count is that of the whole text; what is cut is the text."""
    for rule, left_out in (("nvembed", 3), ("exact", 4), ("sentence-transformers", 4)):
        made = row(tokens(path, 8, instruction_mask=rule, adds_end=True), "x" * 50, "q: ")
        assert (len(made.ids), made.ids[-1], made.pool_begin, made.pool_end) == (8, 1, left_out, 8)
        assert made.truncated


def test_a_text_may_stand_within_its_prompt(path: Path) -> None:
    """What stands behind it stays when it is cut, and is pooled with it."""
    tokenizer = tokens(path, 12, adds_end=True, instruction_mask="exact")
    prompt = "<q>{text}</q>"
    made = row(tokenizer, "ab", prompt)
    assert list(made.ids) == [0, *plain(path, "<q>ab</q>"), 1]
    assert pooled(made) == [*plain(path, "ab</q>"), 1]
    cut = row(tokenizer, "abcdefg", prompt)
    assert list(cut.ids) == [0, *plain(path, "<q>abc</q>"), 1]
    assert (pooled(cut), cut.truncated) == ([*plain(path, "abc</q>"), 1], True)
    without = row(tokens(path, 12, adds_end=True), "ab", prompt)
    assert (without.pool_begin, without.pool_end) == (0, len(without.ids))


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_of_an_echo_the_second_copy_is_pooled(path: Path, pooling: str) -> None:
    """And the end behind it where the last token is asked for."""
    tokenizer = tokens(path, 40, adds_end=True, pooling=pooling)
    made = row(tokenizer, "abc", "say {text}, again {text}")
    assert list(made.ids) == [0, *plain(path, "say abc, again abc"), 1]
    end = [1] if pooling == "last" else []
    assert pooled(made) == [*plain(path, "abc"), *end]
    suffixed = row(tokenizer, "abc", "say {text}, again {text}!")
    assert pooled(suffixed) == [*plain(path, "abc"), *([*plain(path, "!"), 1] if pooling == "last" else [])]


def test_both_copies_of_an_echo_are_cut_alike(path: Path) -> None:
    """So that the second is the text that the first one was."""
    tokenizer = tokens(path, 20, adds_end=True)
    made = row(tokenizer, "abcdefghijklmnop", "say {text}: {text}")
    assert list(made.ids) == [0, *plain(path, "say abcdef: abcdef"), 1]
    assert (pooled(made), made.truncated) == (plain(path, "abcdef"), True)
    accents = row(tokenizer, "é" * 30, "say {text}: {text}")
    assert list(accents.ids) == [0, *plain(path, "say ééé: ééé"), 1]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60), room=st.sampled_from([24, 33, 60]))
def test_an_echo_of_any_text_fits_and_pools_whole_characters(text: str, room: int) -> None:
    """With the words of MiniLM: never too long, and what is pooled is what the text cut so far has alone."""
    tokenizer = cached(MINILM, room)
    prompt = "rewrite : {text} , rewritten : {text}"
    (made,) = tokenizer.encode([text], prompt)
    if not isinstance(made, TokenRow):
        assert not loaded(MINILM).encode(text, add_special_tokens=False).ids
        return
    assert len(made.ids) <= room
    own = loaded(MINILM).encode(text, add_special_tokens=False).ids
    assert pooled(made) == own[: made.pool_end - made.pool_begin] or made.truncated
    assert made.truncated or pooled(made) == own
    assert made.ids[-1] == 102


@pytest.mark.parametrize("rule", ["exact", "sentence-transformers"])
def test_a_text_of_which_nothing_is_pooled_fails_alone(path: Path, rule: str) -> None:
    """An empty text with no end behind it; its neighbours have their rows."""
    rows = tokens(path, instruction_mask=rule).encode(["a", "", "b"], "q: ")
    assert [isinstance(made, TokenRow) for made in rows] == [True, False, True]
    assert isinstance(rows[1], InvalidArgumentError)
    assert rows[1].field == "texts[1]"
    assert isinstance(tokens(path, instruction_mask=rule).encode([""])[0], TokenRow)


@pytest.mark.parametrize("rule", ["none", "exact", "nvembed", "sentence-transformers"])
@pytest.mark.parametrize("keeps_end", [True, False])
def test_a_prompt_that_fills_the_length_is_an_error_of_every_text(path: Path, rule: str, keeps_end: bool) -> None:
    """It would leave no token of the text; one token less does."""
    tokenizer = tokens(path, 10, instruction_mask=rule, adds_end=True, keeps_end=keeps_end)
    room = 8 if keeps_end else 9
    for error in tokenizer.encode(["a", "b"], "x" * room):
        assert isinstance(error, InvalidArgumentError)
        assert "fills the 10 tokens" in str(error)
    assert all(isinstance(made, TokenRow) for made in tokenizer.encode(["a", "b"], "x" * (room - 1)))


def test_a_text_that_is_not_unicode_fails_alone(path: Path) -> None:
    """A lone surrogate is told with the position of its text."""
    rows = tokens(path).encode(["fine", "\ud800"])
    assert isinstance(rows[0], TokenRow)
    assert isinstance(rows[1], InvalidArgumentError)
    assert rows[1].field == "texts[1]"


def test_a_text_of_no_tokens_is_the_start(tmp_path: Path) -> None:
    """A tokenizer without frame leaves nothing of an empty text, and a model reads at least one token."""
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "t.json"))
    made = ModelTokens(tmp_path / "t.json", Convention("mean", 9), vocab_size=VOCAB, special=SpecialIds(77))
    assert row(made, "") == TokenRow([77], 0, 1)


def test_many_texts_keep_their_order(path: Path) -> None:
    """More texts than are tokenised at once, by both ways of reading a prompt."""
    texts = ["x" * (i % 7) for i in range(600)]
    for prompt in ("", "{text}."):
        rows = tokens(path).encode(texts, prompt)
        assert [len(made.ids) for made in rows if isinstance(made, TokenRow)] == [
            1 + i % 7 + (prompt != "") for i in range(600)
        ]


def test_tokenizers_that_do_not_fit_are_refused(path: Path, tmp_path: Path) -> None:
    """More tokens than the model has, a length that the frame fills, no EOS to add, and a file that is none."""
    with pytest.raises(InvalidArgumentError, match="token id 257, the model 257 tokens"):
        tokens(path, vocab=257)
    with pytest.raises(InvalidArgumentError, match="fill a length of 2"):
        tokens(path, 2, adds_end=True)
    with pytest.raises(InvalidArgumentError, match="names no eos_token_id"):
        ModelTokens(path, Convention("last", 9, adds_end=True), vocab_size=VOCAB, special=SpecialIds(0))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InvalidArgumentError, match=r"broken\.json is no tokenizer"):
        tokens(tmp_path / "broken.json")


@pytest.fixture(scope="module", params=["minilm", "gpt2", "llama"])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokenizers of WordPiece, byte-level BPE and SentencePiece BPE."""
    if request.param == "minilm":
        return MINILM
    folder, out = DATA / f"tokenizer_{request.param}", tmp_path_factory.mktemp(request.param)
    if not folder.is_dir():
        pytest.skip("no such tokenizer: set LODEX_DATA")
    if request.param == "llama":
        write_tokenizer(read_pieces(folder / "tokenizer.model", 32_000), out, 100)
        return out / "tokenizer.json"
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(out / "tokenizer.json"))
    return out / "tokenizer.json"


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.sampled_from("abI'm12 ,.é中\u0301\u200b\n\t\x0b\x1c\u2003#_"), max_size=300),
    repeat=st.integers(1, 40),
)
def test_reading_only_the_head_of_a_long_text_changes_nothing(real: Path, text: str, repeat: int) -> None:
    """Ids and marks equal those of the whole text, whatever spaces, words and marks it is made of."""
    text *= repeat
    made = row(cached(real, 8), text)
    whole = row(cached(real, 100_000), text)
    end = list(whole.ids[-1:]) if whole.ids and real == MINILM else []
    expected = list(whole.ids) if len(whole.ids) <= 8 else [*whole.ids[: 8 - len(end)], *end]
    assert list(made.ids) == expected
    assert made.truncated == (len(whole.ids) > 8)


def test_long_texts_are_read_by_their_heads(real: Path) -> None:
    """With each sort of vocabulary a text is cut between words, and one without words or spaces is not."""
    head = TextHead(loaded(real), 8)
    assert len(head("word " * 1000)) < 8 * 32
    assert head("word " * 10) == "word " * 10
    assert head("x" * 1000) == "x" * 1000


@settings(max_examples=60, deadline=None)
@given(prompt=st.text(st.sampled_from("ab :\né1"), min_size=1, max_size=12), text=st.text(max_size=30))
def test_the_exact_rule_pools_what_has_a_character_of_the_text(real: Path, prompt: str, text: str) -> None:
    """Token by token, by the offsets of the joint tokenisation; a token of the prompt alone is never pooled."""
    (made,) = cached(real, 200).encode([text], prompt)
    joint = loaded(real)
    encoding = joint.encode(prompt + text, add_special_tokens=False)
    own = sum(1 for _, end in encoding.offsets if end > len(prompt))
    if isinstance(made, TokenRow):
        behind = 1 if real == MINILM else 0  # [SEP]
        assert made.pool_end - made.pool_begin == own + behind
        assert made.pool_end == len(made.ids)
    else:
        assert own == 0
