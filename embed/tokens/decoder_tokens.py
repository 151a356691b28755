"""Texts to the token ids a decoder reads as an embedder, cut to its length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from lodex.embed.tokens.unicode import refuse_surrogates
from lodex.errors import InvalidArgumentError

# The tokenizer's own record of a text is many times the size of its ids.
_TEXTS_AT_ONCE = 256


class DecoderTokens:
    """A text between the special tokens that its tokenizer.json puts around it, at most `max_tokens`, no padding.

    `end_id` is appended where the tokenizer puts nothing after a text. An over-long text keeps the tokens after it
    unless `cuts_end`. A text without a single token is read as `start_id`. Truncation and padding that a
    tokenizer.json may carry are those of its training, and are ignored; special tokens spelled in a text are read as
    such, for published prompts have them.
    """

    def __init__(
        self,
        path: Path,
        max_tokens: int,
        vocab_size: int,
        start_id: int,
        end_id: int | None = None,
        cuts_end: bool = False,
    ) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise InvalidArgumentError(f"{path} is no tokenizer: {error}", "model") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        largest = max(self._tokenizer.get_vocab().values(), default=-1)
        if largest >= vocab_size:
            raise InvalidArgumentError(f"{path} has token id {largest}, the model {vocab_size} tokens", "model")
        self._begin, self._end = self._frame(path)
        if end_id is not None and not self._end:
            self._end = [end_id]
        if len(self._begin) + len(self._end) >= max_tokens:
            raise InvalidArgumentError(f"{path}: special tokens alone fill a length of {max_tokens}", "model")
        self._start_id = start_id
        self._max_tokens = max_tokens
        self._cuts_end = cuts_end

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """The ids of each text, and whether they were cut. InvalidArgumentError names a text that is not Unicode."""
        refuse_surrogates(texts)
        rows = [[*self._begin, *ids, *self._end] or [self._start_id] for ids in self._encode_plain(texts)]
        return [self._cut(row) for row in rows], [len(row) > self._max_tokens for row in rows]

    def count(self, text: str) -> int:
        """The tokens of a text alone, without special ones around it."""
        return len(self._encode_plain([text])[0])

    def _cut(self, row: list[int]) -> list[int]:
        if len(row) <= self._max_tokens:
            return row
        end = [] if self._cuts_end else self._end
        return [*row[: self._max_tokens - len(end)], *end]

    def _encode_plain(self, texts: Sequence[str]) -> list[list[int]]:
        slices = (list(texts[start : start + _TEXTS_AT_ONCE]) for start in range(0, len(texts), _TEXTS_AT_ONCE))
        return [
            encoding.ids
            for part in slices
            for encoding in self._tokenizer.encode_batch_fast(part, add_special_tokens=False)
        ]

    def _frame(self, path: Path) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text, seen on a text of one letter."""
        plain, framed = (self._tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
        for begin in range(len(framed) - len(plain) + 1):
            if framed[begin : begin + len(plain)] == plain:
                return framed[:begin], framed[begin + len(plain) :]
        raise InvalidArgumentError(f"{path} changes a text where it adds special tokens: {plain} to {framed}", "model")
