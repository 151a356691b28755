"""Texts to token ids: against the tokenizer asked plainly."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lodex.embed.registry import encoder_folder
from lodex.embed.tokens.bert_tokens import BertTokens
from lodex.errors import InvalidArgumentError

MINILM = encoder_folder("minilm") / "tokenizer.json"
HEADS = BertTokens(MINILM, 8)
PLAIN = Tokenizer.from_file(str(MINILM))
PLAIN.no_padding()
PLAIN.no_truncation()


def test_the_truncation_and_padding_of_the_file_are_ignored(tiny_bert: Path) -> None:
    """A file that says "cut to 5 and pad to 5" neither cuts nor pads."""
    ids, truncated = BertTokens(tiny_bert / "tokenizer.json", 12).encode(["the cat", "the cats sat on the mat."])
    assert ids == [[2, 4, 5, 3], [2, 4, 5, 9, 6, 7, 4, 8, 14, 3]]
    assert truncated == [False, False]


def test_a_text_is_cut_only_beyond_the_limit_and_keeps_its_sep(tiny_bert: Path) -> None:
    """A text that just fits is whole; one token more is cut, marked, and still ends with [SEP]."""
    ids, truncated = BertTokens(tiny_bert / "tokenizer.json", 6).encode(["cat cat cat cat", "cat cat cat dog the"])
    assert ids == [[2, 5, 5, 5, 5, 3], [2, 5, 5, 5, 10, 3]]
    assert truncated == [False, True]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.sampled_from("ab ,.é中\u0301\u200b\n\t\x0b\x1c\u2003#"), max_size=400),
    repeat=st.integers(1, 40),
)
def test_reading_only_the_head_of_a_long_text_changes_nothing(text: str, repeat: int) -> None:
    """Ids and marks equal those of the whole text, whatever spaces, words and marks it is made of."""
    text *= repeat
    whole = PLAIN.encode(text).ids
    ids, truncated = HEADS.encode([text])
    assert truncated == [len(whole) > 8]
    assert ids == [whole if len(whole) <= 8 else [*whole[:7], whole[-1]]]


def test_a_text_that_is_not_unicode_is_named(tiny_bert: Path) -> None:
    """A lone surrogate is refused with the position of its text."""
    with pytest.raises(InvalidArgumentError, match="text 1") as caught:
        BertTokens(tiny_bert / "tokenizer.json", 12).encode(["fine", "\ud800"])
    assert caught.value.field == "texts[1]"
