"""Which tokens of a text begin words."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.index.tokenizer import Tokenizer

Mask = npt.NDArray[np.bool_]


def word_starts(tokenizer: Tokenizer, ids: npt.NDArray[Any], text: str | None, vocab_size: int) -> Mask:
    """For each token of the vocabulary whether it begins a word wherever it stands in a text, (vocab_size,).

    Words are runs of letters, digits and underscores, but each wide character (of Chinese, Japanese, Korean) is a word
    of its own. `ids` (n,) are the text's, which is None where only they are known. A token without a space begins a
    word behind a line break and goes on with one elsewhere: what it is, the text says. Where it is both, no word is
    broken.
    """
    tokens = np.asarray(ids, np.int64)
    written = _decoded(tokenizer, tokens) if text is None else text
    if written is None:
        is_start = _by_tokens(tokenizer, tokens)
    else:
        is_start = _by_text(written, tokenizer.byte_spans(tokens, written)[:, 0])
    starts = np.zeros(vocab_size, np.bool_)
    starts[tokens[is_start]] = True
    starts[tokens[~is_start]] = False
    return starts


def _decoded(tokenizer: Tokenizer, tokens: npt.NDArray[np.int64]) -> str | None:
    """The text of tokens, None where it does not have their very bytes: a part of a character is replaced."""
    if tokenizer.byte_lengths is None:
        return None
    text = tokenizer.decode(tokens)
    return text if len(text.encode()) == int(tokenizer.byte_lengths[tokens].sum()) else None


def _by_text(text: str, begins: npt.NDArray[np.int64]) -> Mask:
    """Whether words begin at some bytes of a text, (n,)."""
    data = np.frombuffer(text.encode(), np.uint8)
    is_character = (data & 0xC0) != 0x80
    characters = np.cumsum(is_character) - 1
    is_start = np.ones(len(begins), np.bool_)
    for i, begin in enumerate(begins.tolist()):
        if 0 < begin < len(data):
            at = int(characters[begin])
            is_start[i] = is_character[begin] and not (_joins(text[at - 1]) and _joins(text[at]))
    return is_start


def _by_tokens(tokenizer: Tokenizer, tokens: npt.NDArray[np.int64]) -> Mask:
    """The same of tokens by their own texts: a part of a character begins no word."""
    pieces = tokenizer.decode_tokens(tokens)
    is_start = np.ones(len(pieces), np.bool_)
    for i, piece in enumerate(pieces[1:], 1):
        is_start[i] = not (_joins(pieces[i - 1][-1:]) and _joins(piece[:1]))
    return is_start


def _joins(character: str) -> bool:
    """Whether a character is of one word with such a one beside it."""
    if character == "\ufffd":
        return True
    is_of_word = character.isalnum() or character == "_"
    return is_of_word and unicodedata.east_asian_width(character) not in ("W", "F")
