"""How far a long text must be tokenised to have its first tokens."""

from __future__ import annotations

import re

from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordLevel
from tokenizers.pre_tokenizers import BertPreTokenizer

# A text is tokenised no further than this many characters a token, unless that gives too few tokens.
_CHARACTERS_PER_TOKEN = 32
# Words of BERT end at any space. Of other vocabularies a token may reach over one; that of a space behind a letter or
# digit of ASCII can be seen, for normalisations leave both as they are, or change the letter's case.
_ANY_SPACE = re.compile(" ")
_BETWEEN_WORDS = re.compile(r"(?<=[A-Za-z0-9]) (?=[A-Za-z0-9])")
# As the tokens of a vocabulary have it: the marks are SentencePiece's and the byte-level ones.
_OVER_WORDS = re.compile(r"[A-Za-z0-9][ ▁Ġ]")


class TextHead:
    """Cuts a long text where what stands before the cut is sure to have the tokens it has in the whole text.

    BERT splits at spaces before anything else. In a vocabulary none of whose tokens has a space behind an ASCII word,
    no merge and no best segmentation crosses such a place. Other texts and tokenizers are left whole.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._limit = max_tokens * _CHARACTERS_PER_TOKEN
        self._place: re.Pattern[str] | None = None
        if isinstance(tokenizer.pre_tokenizer, BertPreTokenizer):
            self._place = _ANY_SPACE
        elif isinstance(tokenizer.model, BPE | Unigram | WordLevel) and not any(
            _OVER_WORDS.search(token) for token in tokenizer.get_vocab()
        ):
            self._place = _BETWEEN_WORDS

    def __call__(self, text: str) -> str:
        """The text, or of a long one as much as most likely holds the first `max_tokens` tokens."""
        if self._place is None or len(text) <= self._limit:
            return text
        places = [match.start() for match in self._place.finditer(text, self._limit // 2, self._limit)]
        return text[: places[-1]] if places else text
