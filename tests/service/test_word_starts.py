"""Which tokens of a text begin words."""

import numpy as np
import pytest

from lodex.index.tokenizer import Tokenizer
from lodex.service.word_starts import word_starts


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


def starting(tokenizer: Tokenizer, text: str, as_tokens: bool = False) -> set[str]:
    """What the bytes of the text are from each token that begins a word to the next."""
    ids = tokenizer.encode(text)
    mask = word_starts(tokenizer, ids, None if as_tokens else text, tokenizer.vocab_size)
    assert mask.shape == (tokenizer.vocab_size,)
    assert set(np.flatnonzero(mask)) <= set(ids.tolist())
    begins = [int(span[0]) for token, span in zip(ids, tokenizer.byte_spans(ids, text), strict=True) if mask[token]]
    data = text.encode()
    return {data[a:b].decode() for a, b in zip(begins, [*begins[1:], len(data)], strict=False)}


@pytest.mark.parametrize("as_tokens", [False, True])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Foxes\nRun (fast)", {"Foxes", "\n", "Run", " (", "fast", ")"}),
        ("naïvely Zürich_x", {"naïvely", " Zürich_x"}),
        ("東京 is", {"東", "京", " is"}),
        ("don't", {"don", "'t"}),
        ("", set()),
    ],
)
def test_words_begin_where_no_letter_stands_before(
    tokenizer: Tokenizer, text: str, words: set[str], as_tokens: bool
) -> None:
    """Behind line breaks and signs too; within a character none begins, and wide characters are words."""
    found = starting(tokenizer, text, as_tokens)
    # A space may be a token of its own, before what it belongs to.
    assert {word.strip(" ") for word in found if word.strip(" ")} == {word.strip(" ") for word in words}


def test_no_word_is_broken_for_a_token_that_is_both(tokenizer: Tokenizer) -> None:
    """One that begins a word in one place and goes on with one in another begins none."""
    ids = tokenizer.encode("ly fondly")
    mask = word_starts(tokenizer, ids, "ly fondly", tokenizer.vocab_size)
    assert ids[0] == ids[-1]
    assert not mask[ids[0]]
    assert mask[ids[1]]


def test_parts_of_characters_begin_no_word(tokenizer: Tokenizer) -> None:
    """Tokens that are no whole text are judged by what they are by themselves."""
    ids = tokenizer.encode("a ü")[:-1]
    assert not tokenizer.decode(ids).isascii()
    mask = word_starts(tokenizer, np.concatenate([ids, tokenizer.encode(" b")]), None, tokenizer.vocab_size)
    assert mask[tokenizer.encode(" b")[0]]
    assert mask[ids[0]]
