"""Texts to the token ids a BERT encoder reads, cut to its length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from lodex.embed.tokens.unicode import refuse_surrogates
from lodex.errors import InvalidArgumentError

# A text is tokenised no further than this many characters a token, unless that gives too few tokens.
_CHARACTERS_PER_TOKEN = 32
# The tokenizer's own record of a text is many times the size of its ids.
_TEXTS_AT_ONCE = 256


class BertTokens:
    """[CLS] text [SEP], at most `max_tokens` of it, without padding.

    The truncation and padding that a `tokenizer.json` may carry are those of its training, and are ignored.
    """

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if len(self._tokenizer.encode("").ids) != 2 or not isinstance(self._tokenizer.pre_tokenizer, BertPreTokenizer):
            raise InvalidArgumentError(f"{path} is not a BERT tokenizer that frames a text by [CLS] and [SEP]")
        self._max_tokens = max_tokens

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """The ids of each text, and whether they were cut. InvalidArgumentError names a text that is not Unicode."""
        refuse_surrogates(texts)
        heads = [self._head(text) for text in texts]
        ids = self._encode_whole(heads)
        short = [i for i, text in enumerate(texts) if len(heads[i]) < len(text) and len(ids[i]) <= self._max_tokens]
        for i, whole in zip(short, self._encode_whole([texts[i] for i in short]), strict=True):
            ids[i] = whole
        return [self._cut(row) for row in ids], [len(row) > self._max_tokens for row in ids]

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self._max_tokens else [*ids[: self._max_tokens - 1], ids[-1]]

    def _head(self, text: str) -> str:
        """As much of a long text as is sure to hold the first `max_tokens`, but for texts of very long words.

        BERT splits at spaces before anything else, so what stands before a space is tokenised alike without the rest.
        """
        limit = self._max_tokens * _CHARACTERS_PER_TOKEN
        end = text.rfind(" ", 0, limit) if len(text) > limit else -1
        return text[:end] if end > 0 else text

    def _encode_whole(self, texts: list[str]) -> list[list[int]]:
        slices = (texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE))
        return [encoding.ids for part in slices for encoding in self._tokenizer.encode_batch_fast(part)]
