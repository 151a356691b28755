"""How far a long text must be tokenised to have its first tokens."""

from __future__ import annotations

import re

from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordLevel
from tokenizers.pre_tokenizers import BertPreTokenizer

# A text is tokenised no further than this many characters a token, unless that gives too few tokens.
_CHARACTERS_PER_TOKEN = 32
# A token with a space behind another character; the marks are SentencePiece's and the byte-level ones.
_CROSSES_A_SPACE = re.compile(r"[^\s▁Ġ][ ▁Ġ]")
_BETWEEN_WORDS = re.compile(r"(?<=\w) (?=\w)")


class TextHead:
    """Cuts a long text where what stands before the cut is sure to have the tokens it has in the whole text.

    That is before a space between words, where no token may reach over it: BERT splits at spaces before anything
    else, and in a vocabulary none of whose tokens has a space behind another character no merge and no best
    segmentation crosses one. Texts of other tokenizers are left whole.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._limit = max_tokens * _CHARACTERS_PER_TOKEN
        self._cuts = isinstance(tokenizer.pre_tokenizer, BertPreTokenizer) or (
            isinstance(tokenizer.model, BPE | Unigram | WordLevel)
            and not any(_CROSSES_A_SPACE.search(token) for token in tokenizer.get_vocab())
        )

    def __call__(self, text: str) -> str:
        """The text, or of a long one as much as most likely holds the first `max_tokens` tokens."""
        if not self._cuts or len(text) <= self._limit:
            return text
        last = None
        for last in _BETWEEN_WORDS.finditer(text, self._limit // 2, self._limit):  # noqa: B007 - the last one is it
            pass
        return text if last is None else text[: last.start()]
