"""The tokenizer: lossless, without special tokens, known by what it does."""

import json
import os
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.index.byte_level import BYTE_OF_CHARACTER, PATTERN
from lodex.index.tokenizer import DEFAULT_TOKENIZER, EOS, Tokenizer

Change = Callable[[dict[str, Any]], object]

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
# Text in which the rules of the pattern meet: white space of all sorts, digits, contractions, signs.
MIXED = st.lists(
    st.sampled_from([" ", "  ", "\n", "\r\n", "\t", "a", "Word", "19", "'s", "...", "é", "\u3000", "\x00"])
).map("".join)


@pytest.fixture(scope="module")
def bundled() -> Tokenizer:
    return Tokenizer.load()


def word_level(words: list[str]) -> Tokenizer:
    """One id for each word, in the order given after EOS and an unknown word."""
    vocabulary = {word: i for i, word in enumerate(["</s>", "[UNK]", *words])}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(made.to_str(), "words")


def word_piece() -> Tokenizer:
    """Lower case without accents, as BERT has it: what it loses cannot be had back from its ids."""
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[SEP]", "un", "##able", "cafe", "i", "ss"])}
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return Tokenizer(made.to_str(), "pieces")


def unigram(normalizer: normalizers.Normalizer | None = None) -> Tokenizer:
    """A model that has the text of its EOS among its own pieces."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((piece, -5.0) for piece in ["\u2581", "a", "b", "<", "/", "s", ">"])]
    made = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    if normalizer is not None:
        made.normalizer = normalizer
    made.add_special_tokens([AddedToken("</s>", special=True, normalized=False)])
    return Tokenizer(made.to_str(), "unigram")


@settings(max_examples=150, deadline=None)
@given(text=TEXT | MIXED)
def test_decoding_gives_back_the_text(bundled: Tokenizer, text: str) -> None:
    """Any Unicode text survives, byte for byte."""
    assert bundled.is_lossless
    assert bundled.decode(bundled.encode(text)) == text


@settings(max_examples=100, deadline=None)
@given(text=MIXED | TEXT)
def test_token_bytes_follow_one_another_without_gaps(bundled: Tokenizer, text: str) -> None:
    """The spans of the tokens cut the text's bytes into the bytes of each token."""
    ids = bundled.encode(text)
    spans = bundled.byte_spans(ids, text)
    data = text.encode()
    assert b"".join(data[begin:end] for begin, end in spans) == data
    assert [data[begin:end].decode(errors="replace") for begin, end in spans] == bundled.decode_tokens(ids)
    assert (spans[:, 1] - spans[:, 0]).tolist() == bundled.byte_lengths[ids].tolist()


def test_a_batch_is_its_texts_one_by_one(bundled: Tokenizer) -> None:
    """Order and ids do not depend on what else is in the batch; arrays have the tokenizer's dtype."""
    texts = ["", "a", "def f(x):\n    return x\n", "Call me Ishmael."] * 50
    batch = bundled.encode_batch(texts)
    assert [ids.tolist() for ids in batch] == [bundled.encode(text).tolist() for text in texts]
    assert all(ids.dtype == np.dtype("<u2") for ids in batch)
    assert bundled.encode_batch([]) == []


@pytest.mark.parametrize("text", [EOS, f"a{EOS}b", f"\n{EOS}\n", f"{EOS}{EOS} "])
def test_the_text_of_eos_is_only_text(bundled: Tokenizer, text: str) -> None:
    """A document that spells the end-of-text token neither ends there nor is changed."""
    ids = bundled.encode(text)
    assert bundled.eos_id not in ids
    assert bundled.decode(ids) == text


def test_the_text_of_any_special_token_is_only_text(bundled: Tokenizer) -> None:
    """Marks of a conversation in a document are no marks."""
    changed = json.loads(bundled.to_json())
    changed["added_tokens"].append(changed["added_tokens"][0] | {"id": 16384, "content": "<|user|>"})
    tokenizer = Tokenizer(json.dumps(changed), "chat")
    assert tokenizer.encode("a <|user|> b").tolist() == bundled.encode("a <|user|> b").tolist()
    assert tokenizer.decode([16384]) == "<|user|>"


def test_a_model_that_knows_eos_as_a_piece_is_kept_from_it() -> None:
    """Unigram finds </s> by itself; the text is cut inside of it instead."""
    tokenizer = unigram()
    ids = tokenizer.encode("ab </s> b</s></s>")
    assert tokenizer.eos_id not in ids
    assert tokenizer.decode(ids).replace(" ", "") == "ab</s>b</s></s>"


def test_eos_that_arises_by_normalising_is_refused() -> None:
    """What the tokenizer itself turns into EOS cannot be encoded as text."""
    tokenizer = unigram(normalizers.Replace("STOP", "</s>"))
    with pytest.raises(InvalidArgumentError, match="reads its end-of-text token in 'a STOP'"):
        tokenizer.encode("a STOP")


@pytest.mark.parametrize("letter", string.ascii_uppercase)
def test_letters_are_single_tokens(bundled: Tokenizer, letter: str) -> None:
    """Bare and after a space, so that they can serve as identifiers."""
    assert len(bundled.encode(letter)) == len(bundled.encode(f" {letter}")) == 1


def test_digits_stand_alone_and_indentation_is_one_token(bundled: Tokenizer) -> None:
    """Numbers are cut alike everywhere; a line break and its indentation are one token, the last space the word's."""
    text = "if x == 1984:\n        y = 30\n\nThe end.\r\n\r\nFin"
    shown = bundled.decode_tokens(bundled.encode(text))
    assert shown[:8] == ["if", " x", " ==", " 1", "9", "8", "4", ":"]
    assert shown[8:] == ["\n       ", " y", " =", " 3", "0", "\n\n", "The", " end", ".", "\r\n\r\n", "F", "in"]


def test_parts_of_a_character_are_shown_as_replacements(bundled: Tokenizer) -> None:
    """Tokens of a rare character are bytes; together they are the character."""
    ids = bundled.encode("\U0001fae0")
    assert len(ids) > 1
    assert set(bundled.decode_tokens(ids)) == {"\ufffd"}
    assert bundled.decode(ids) == "\U0001fae0"


@pytest.mark.parametrize("wrong", [[-1], [16384], [0, 1, 99999], [1.5], [[1]]])
def test_ids_that_are_none_are_refused(bundled: Tokenizer, wrong: list[int]) -> None:
    """Out of range, no integers, or not a flat list."""
    with pytest.raises(InvalidArgumentError) as caught:
        bundled.decode(wrong)
    assert caught.value.field == "ids"


@pytest.mark.parametrize("wrong", ["\ud800", "a\udfffb", 7])
def test_what_is_not_unicode_is_refused_by_its_place(bundled: Tokenizer, wrong: str) -> None:
    """Lone surrogates, or no text at all, name the item of the batch."""
    with pytest.raises(InvalidArgumentError, match=r"texts\[1\]") as caught:
        bundled.encode_batch(["fine", wrong])
    assert caught.value.field == "texts[1]"


def test_a_panic_inside_the_library_is_an_error_of_this_request() -> None:
    """A pattern that gives up on a text does not take the process with it."""
    made = tokenizers.Tokenizer(models.BPE({"a": 0, "</s>": 1}, []))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+$"), "isolated")
    with pytest.raises(InvalidArgumentError, match="fails on these texts"):
        Tokenizer(made.to_str(), "greedy").encode("a" * 40 + "b")


def test_white_space_without_end_is_encoded(bundled: Tokenizer) -> None:
    """The pattern looks back one character only, so a long run is no harder than a short one."""
    text = " " * 300_000 + "\n" * 300_000 + " x"
    assert bundled.decode(bundled.encode(text)) == text


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["model"]["vocab"].update({"\u0120\u0101": s["model"]["vocab"].pop("\u0101")}),
        lambda s: s["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed"),
        lambda s: s["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True),
        lambda s: s["pre_tokenizer"]["pretokenizers"].pop(),
        lambda s: s.update(normalizer={"type": "NFC"}),
        lambda s: s.update(pre_tokenizer=None),
        lambda s: s["added_tokens"].append(s["added_tokens"][0] | {"id": 16384, "special": False, "rstrip": True}),
    ],
)
def test_what_can_lose_text_is_not_called_lossless(bundled: Tokenizer, change: Change) -> None:
    """A byte without a token, text removed, added or changed before the model, or white space swallowed."""
    changed = json.loads(bundled.to_json())
    change(changed)
    assert not Tokenizer(json.dumps(changed), "other").is_lossless


# ------------------------------------------------------------------------------------------ cutting


@settings(max_examples=200, deadline=None)
@given(
    before=MIXED | TEXT,
    last=st.sampled_from("a9.'_)"),
    first=st.sampled_from(["a", "", "\n", " ", "1", "'s"]),
    after=MIXED,
)
def test_a_cut_before_a_space_changes_no_ids(
    bundled: Tokenizer, before: str, last: str, first: str, after: str
) -> None:
    """After any printable ASCII character, whatever comes before and after."""
    left, right = before + last, f" {first}{after}"
    assert bundled.splits_before_spaces
    assert bundled.encode(left + right).tolist() == [*bundled.encode(left).tolist(), *bundled.encode(right).tolist()]


def test_only_tokenizers_known_to_allow_it_are_cut() -> None:
    """A model with spaces inside its tokens, or a pattern that is not known, says no."""
    assert not unigram().splits_before_spaces
    assert not word_piece().splits_before_spaces
    whole = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate([*BYTE_OF_CHARACTER, "</s>"])}, []))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert not Tokenizer(whole.to_str(), "whole").splits_before_spaces
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert Tokenizer(whole.to_str(), "gpt2").splits_before_spaces


def test_the_byte_alphabet_is_the_library_s() -> None:
    """256 characters, and each stands for the byte that the library writes so."""
    assert set(BYTE_OF_CHARACTER) == set(pre_tokenizers.ByteLevel.alphabet())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for character in map(chr, (*range(0x80), 0xE9, 0x4E2D, 0x1F600)):
        written = byte_level.pre_tokenize_str(character)[0][0]
        assert bytes(BYTE_OF_CHARACTER[c] for c in written) == character.encode()


# ------------------------------------------------------------------------------------------ identity


def test_the_bundled_tokenizer_is_the_one_that_stores_were_built_with(bundled: Tokenizer) -> None:
    """Its fingerprint never changes: another tokenizer gets another name."""
    assert bundled.name == DEFAULT_TOKENIZER == "lodex-bpe-16k-v1"
    assert bundled.fingerprint == "sha256:32883c473e738d7d5575108bc841b3b135c8228ec9015c078391299f904a08e0"
    assert (bundled.vocab_size, bundled.eos_id, bundled.decode([0])) == (16384, 0, EOS)
    provenance = json.loads(
        (Path(__file__).resolve().parents[2] / "index" / "tokenizers" / bundled.name / "provenance.json").read_text()
    )
    assert provenance["fingerprint"] == bundled.fingerprint
    assert len(provenance["held_out_authors"]) == 10


def test_the_bundled_pattern_is_the_one_that_cutting_was_proved_for(bundled: Tokenizer) -> None:
    """The constant and the file agree."""
    split = json.loads(bundled.to_json())["pre_tokenizer"]["pretokenizers"][0]
    assert split["pattern"] == {"Regex": PATTERN}


def test_the_fingerprint_does_not_depend_on_how_the_file_is_written(bundled: Tokenizer) -> None:
    """White space, order of keys, merges as strings, nulls and options of output are no part of it."""
    changed = json.loads(bundled.to_json())
    changed["model"]["merges"] = [" ".join(pair) for pair in changed["model"]["merges"]]
    changed["model"]["dropout"] = None
    del changed["model"]["fuse_unk"]
    changed["truncation"] = {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    changed["decoder"] = None
    rewritten = Tokenizer(json.dumps(dict(reversed(changed.items())), indent=1), "other")
    assert rewritten.fingerprint == bundled.fingerprint
    assert (
        rewritten.encode("one two three four five six").tolist()
        == bundled.encode("one two three four five six").tolist()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["model"]["merges"].pop(),
        lambda s: s["model"].update(byte_fallback=True),
        lambda s: s["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True),
        lambda s: s.update(normalizer={"type": "NFC"}),
        lambda s: s["added_tokens"][0].update(lstrip=True),
    ],
)
def test_the_fingerprint_depends_on_all_that_decides_ids(bundled: Tokenizer, change: Change) -> None:
    """Model, pre-tokenizer, normaliser and added tokens."""
    changed = json.loads(bundled.to_json())
    change(changed)
    assert Tokenizer(json.dumps(changed), "other").fingerprint != bundled.fingerprint


# ------------------------------------------------------------------------------------------ others


@pytest.mark.parametrize(("words", "dtype"), [(65_533, "<u2"), (65_534, "<u4")])
def test_ids_are_u16_while_all_are_below_the_separator(words: int, dtype: str) -> None:
    """65,535 ids are the most that leave 0xFFFF free."""
    tokenizer = word_level([f"w{i}" for i in range(words)])
    assert tokenizer.vocab_size == words + 2
    assert tokenizer.encode(f"w{words - 1} w0").tolist() == [words + 1, 2]
    assert tokenizer.encode("w0").dtype == tokenizer.dtype == np.dtype(dtype)


def test_a_tokenizer_that_loses_text_still_knows_where_its_tokens_stand() -> None:
    """Spans are taken from the text itself, in bytes."""
    tokenizer = word_piece()
    text = "Unable Café \U0001f600 I unable"
    ids = tokenizer.encode(text)
    spans = tokenizer.byte_spans(ids, text)
    assert not tokenizer.is_lossless
    assert tokenizer.byte_lengths is None
    assert [text.encode()[a:b].decode() for a, b in spans] == ["Un", "able", "Café", "\U0001f600", "I", "un", "able"]
    with pytest.raises(InvalidArgumentError, match="7 tokens"):
        tokenizer.byte_spans(ids[1:], text)


def test_sentencepiece_tokens_are_shown_with_their_space() -> None:
    """The mark for a space is a space, a byte token its byte."""
    made = tokenizers.Tokenizer(models.BPE({"</s>": 0, "\u2581the": 1, "<0x0A>": 2, "a": 3}, [], byte_fallback=True))
    assert Tokenizer(made.to_str(), "llama").decode_tokens([1, 2, 3]) == [" the", "\n", "a"]


def test_gpt2_gives_its_known_ids(tmp_path: Path) -> None:
    """The published vocabulary and merges, as a tokenizer.json in a folder."""
    source = DATA / "tokenizer_gpt2"
    if not source.exists():
        pytest.skip(f"no {source}; set LODEX_DATA")
    made = tokenizers.Tokenizer(models.BPE.from_file(str(source / "vocab.json"), str(source / "merges.txt")))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    (tmp_path / "gpt2").mkdir()
    made.save(str(tmp_path / "gpt2" / "tokenizer.json"))
    gpt2 = Tokenizer.load(tmp_path / "gpt2")
    assert gpt2.encode("Hello world, retrieval!").tolist() == [15496, 995, 11, 45069, 0]
    assert (gpt2.name, gpt2.eos_id, gpt2.dtype, gpt2.is_lossless) == ("gpt2", 50256, np.dtype("<u2"), True)
    assert gpt2.decode(gpt2.encode(f"naïve {EOS}\x00")) == f"naïve {EOS}\x00"


# ------------------------------------------------------------------------------------------ loading


def test_a_tokenizer_is_loaded_by_file_and_by_folder(tmp_path: Path, bundled: Tokenizer) -> None:
    """The folder's name, or the file's own, is the tokenizer's."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(bundled.to_json(), encoding="utf-8")
    (folder / "other.json").write_text(bundled.to_json(), encoding="utf-8")
    assert Tokenizer.load(str(folder)).name == Tokenizer.load(folder / "tokenizer.json").name == "mine"
    other = Tokenizer.load(folder / "other.json")
    assert (other.name, other.fingerprint) == ("other", bundled.fingerprint)


def test_eos_is_what_is_given_or_configured_or_known(tmp_path: Path) -> None:
    """In this order: the argument, eos_token of tokenizer_config.json, then the usual names."""
    (tmp_path / "tokenizer.json").write_text(word_level(["stop", "<|im_end|>"]).to_json(), encoding="utf-8")
    assert Tokenizer.load(tmp_path).eos_id == 0
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|im_end|>"}}')
    assert Tokenizer.load(tmp_path).eos_id == 3
    assert Tokenizer.load(tmp_path, eos="stop").eos_id == 2
    assert Tokenizer.load(tmp_path, eos=1).eos_id == 1
    for wrong in ("no such token", 99):
        with pytest.raises(InvalidArgumentError, match=str(wrong)):
            Tokenizer.load(tmp_path, eos=wrong)


def test_a_tokenizer_without_eos_asks_for_one() -> None:
    """Nothing is guessed."""
    made = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    with pytest.raises(InvalidArgumentError, match="name its end-of-text token") as caught:
        Tokenizer(made.to_str(), "bare")
    assert caught.value.field == "eos"


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"model": {"type": "Nonsense"}}'])
def test_a_file_that_is_no_tokenizer_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """Whatever is wrong with it."""
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match="bad"):
        Tokenizer.load(tmp_path / "bad.json")


@pytest.mark.parametrize("path", ["no/such/folder/tokenizer.json", "./nothing", "/nowhere", "missing.json", "../x"])
def test_a_path_that_is_not_there_is_not_asked_of_the_hub(path: str) -> None:
    """It says what is bundled."""
    with pytest.raises(NotFoundError, match=DEFAULT_TOKENIZER):
        Tokenizer.load(path)


@pytest.fixture
def offline_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_hub_name_is_read_from_the_hub_s_cache(offline_hub: Path, bundled: Tokenizer) -> None:
    """With its configured EOS."""
    model = offline_hub / "models--someone--model"
    snapshot = model / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("a" * 40)
    (snapshot / "tokenizer.json").write_text(bundled.to_json(), encoding="utf-8")
    assert Tokenizer.load("someone/model").eos_id == 0
    (snapshot / "tokenizer_config.json").write_text('{"eos_token": "A"}')
    loaded = Tokenizer.load("someone/model")
    assert (loaded.name, loaded.fingerprint) == ("someone/model", bundled.fingerprint)
    assert loaded.eos_id == bundled.encode("A")[0]


def test_a_hub_name_that_cannot_be_had_says_so(offline_hub: Path) -> None:
    """It names the tokenizer asked for."""
    with pytest.raises(NotFoundError, match="someone/else"):
        Tokenizer.load("someone/else")
