"""Text of tokens as they come."""

import random

import pytest

from lodex.index.tokenizer import Tokenizer
from lodex.lm.writer import TextWriter

TEXTS = [
    "plain words follow",
    "ça coûte 5 € à Zürich",
    "漢字とかな",
    "emoji 👩‍🚀 and 🏳️‍🌈!",
    " leading  spaces\n\n",
    "\u0000\u0301",
    "\ufffd😀 \ufffd\ufffd x\ufffd",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_are_the_text_and_never_half_a_character(text: str, tokenizer: Tokenizer) -> None:
    """Joined, the pieces are the whole text, and no replacement character is in them that is not in it."""
    before, ids = tokenizer.encode("before").tolist(), tokenizer.encode(text).tolist()
    writer = TextWriter(tokenizer.decode, before, ())
    pieces = [writer.add(token) for token in ids] + [writer.finish()]
    assert "".join(pieces) == text
    assert sum(piece.count("\N{REPLACEMENT CHARACTER}") for piece in pieces) == text.count("\ufffd")


def test_bytes_that_are_no_character_are_written_in_the_end(tokenizer: Tokenizer) -> None:
    """A tail that never becomes a character appears as what it decodes to."""
    first = tokenizer.encode("€").tolist()[:1]
    writer = TextWriter(tokenizer.decode, (), ())
    assert writer.add(first[0]) == ""
    assert writer.finish() == tokenizer.decode(first)


@pytest.mark.parametrize("stop", [("stop",), ("t", "stop"), ("xyz",), ("ab", "abc"), ("\n\n",)])
def test_the_text_ends_before_the_first_stop_text(stop: tuple[str, ...]) -> None:
    """Whatever the tokens, what comes out is the text up to the first place where a stop text is complete."""
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choice("stop abcxyz\n") for _ in range(30))
        writer = TextWriter(lambda ids: "".join(map(chr, ids)), (), stop)
        written = ""
        fed = ""
        for letter in text:
            written += writer.add(ord(letter))
            fed += letter
            if writer.is_stopped:
                break
        written += writer.finish()
        ends = [fed.find(s) for s in stop if s in fed]
        assert written == (fed[: min(ends)] if ends else fed)
        assert writer.is_stopped == bool(ends)
        assert not ends or not any(s in fed[:-1] for s in stop)


def test_what_may_become_a_stop_text_waits() -> None:
    """Nothing is written that a caller would have to take back."""
    writer = TextWriter(lambda ids: "".join(map(chr, ids)), (), ("stop",))
    assert [writer.add(ord(letter)) for letter in "a sto"] == ["a", " ", "", "", ""]
    assert writer.add(ord("n")) == "ston"
