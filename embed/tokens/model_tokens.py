"""Texts to the token ids that an embedder reads: prompt, special tokens, the cut, and what of it is pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from lodex.embed.conventions.convention import Convention
from lodex.embed.conventions.templates import TEXT
from lodex.embed.tokens.framing import TokenRow
from lodex.embed.tokens.offsets import last_copy, shortened, tokens_within
from lodex.embed.tokens.text_head import TextHead
from lodex.embed.tokens.unicode import surrogate_error
from lodex.errors import InvalidArgumentError, LodexError

# The tokenizer's own record of a text is many times the size of its ids.
_TEXTS_AT_ONCE = 256
_PROMPTS_KEPT = 64


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Of a model's configuration: `start` is what a text without a single token is read as, `end` the EOS if any."""

    start: int = 0
    end: int | None = None


class ModelTokens:
    """A text behind its prompt, between the special tokens that the tokenizer.json puts around it, without padding.

    Where the convention adds an end and the tokenizer has none, the EOS is appended. A text that is too long is cut on
    the right; what stands behind it stays, unless the convention gives the end up. The truncation and padding that a
    tokenizer.json may carry are those of its training, and are ignored; special tokens spelled in a text are read as
    such, for published prompts have them.

    What is pooled follows `Convention.instruction_mask`, with tokens [0, n) left out:

    - "none": n = 0.
    - "exact": everything before the first token that has a character of the text, by the offsets of prompt and text
      tokenised together. A token over the seam is pooled. Without a prompt n = 0.
    - "nvembed": n is the number of tokens of the prompt alone, special ones not counted, as in the published code of
      NV-Embed: the BOS is among the n, and the last token of the prompt is pooled.
    - "sentence-transformers": n is the number of tokens of the prompt alone, framed as a text is, without the special
      token that ends it, as `include_prompt: false` means there.

    A prompt with the text twice is an echo (Springer et al. 2024, arXiv:2402.15449): of the last copy alone the tokens
    are pooled, and with last-token pooling what stands behind it too; both copies are cut alike.
    """

    def __init__(self, path: Path, convention: Convention, *, vocab_size: int, special: SpecialIds) -> None:
        self._tokenizer = _open(path)
        largest = max(self._tokenizer.get_vocab().values(), default=-1)
        if largest >= vocab_size:
            raise InvalidArgumentError(f"{path} has token id {largest}, the model {vocab_size} tokens", "model")
        self._begin, self._own_end = self._frame(path)
        self._end = self._own_end
        if convention.adds_end and not self._end:
            if special.end is None:
                raise InvalidArgumentError(
                    f"{path} puts no token behind a text, and the configuration names no eos_token_id", "model"
                )
            self._end = [special.end]
        if len(self._begin) + len(self._end) >= convention.max_tokens:
            raise InvalidArgumentError(
                f"{path}: special tokens alone fill a length of {convention.max_tokens}", "model"
            )
        self._start_id = special.start
        self._convention = convention
        self._max_tokens = convention.max_tokens
        self._head = TextHead(self._tokenizer, convention.max_tokens)
        decoder = self._tokenizer.get_added_tokens_decoder()
        self._special = {token_id for token_id, token in decoder.items() if token.special}
        self._left_out = lru_cache(_PROMPTS_KEPT)(self._count_left_out)
        self._fills = lru_cache(_PROMPTS_KEPT)(self._has_no_room)

    @property
    def frame(self) -> tuple[int, int]:
        """How many special tokens stand before a text and behind one that is not cut."""
        return len(self._begin), len(self._end)

    def encode(self, texts: Sequence[str], prompt: str = "") -> list[TokenRow | LodexError]:
        """A row for each text; InvalidArgumentError in the place of a text of which nothing would be pooled."""
        errors = [surrogate_error(text, i) for i, text in enumerate(texts)]
        readable = [text if error is None else "" for text, error in zip(texts, errors, strict=True)]
        prefix, *rest = prompt.split(TEXT)
        if self._fills(prefix):
            return [error or self._no_room(i) for i, error in enumerate(errors)]
        if len(rest) > 1 or any(rest) or (prefix and self._convention.instruction_mask == "exact"):
            rows = self._encode_by_offsets(readable, (prefix, *(rest or [""])))
        else:
            rows = self._encode_behind(readable, prefix)
        return [
            error or (row if row.pool_begin < row.pool_end else self._empty_pool(i))
            for i, (row, error) in enumerate(zip(rows, errors, strict=True))
        ]

    # -------------------------------------------------------------------------------- prompt, then text

    def _encode_behind(self, texts: Sequence[str], prefix: str) -> list[TokenRow]:
        left_out = self._left_out(prefix) if prefix else 0
        heads = [self._head(text) for text in texts]
        rows = self._framed(prefix + head for head in heads)
        short = [i for i, text in enumerate(texts) if len(heads[i]) < len(text) and len(rows[i]) <= self._max_tokens]
        for i, row in zip(short, self._framed(prefix + texts[i] for i in short), strict=True):
            rows[i] = row
        cut = [self._cut(row) for row in rows]
        return [
            TokenRow(ids, min(left_out, len(ids)), len(ids), truncated=len(row) > self._max_tokens)
            for ids, row in zip(cut, rows, strict=True)
        ]

    def _framed(self, texts: Iterable[str]) -> list[list[int]]:
        return [[*self._begin, *ids, *self._end] or [self._start_id] for ids in self._encode_plain(list(texts))]

    def _cut(self, row: list[int]) -> list[int]:
        if len(row) <= self._max_tokens:
            return row
        end = self._end if self._convention.keeps_end else []
        return [*row[: self._max_tokens - len(end)], *end]

    def _count_left_out(self, prefix: str) -> int:
        match self._convention.instruction_mask:
            case "nvembed":
                return len(self._encode_plain([prefix])[0])
            case "sentence-transformers":
                row = [*self._begin, *self._encode_plain([prefix])[0], *self._own_end]
                # What a tokenizer puts behind a text is special, though not every file says so.
                return len(row) - bool(self._own_end or (row and row[-1] in self._special))
            case _:
                return 0

    # -------------------------------------------------------------------------------- text within, or twice

    def _encode_by_offsets(self, texts: Sequence[str], around: tuple[str, ...]) -> list[TokenRow]:
        """Rows of around[0] text around[1] ... text around[-1], with the tokens of the last copy found by offsets."""
        heads = [self._head(text) for text in texts]
        rows = self._place(heads, around)
        short = [i for i, text in enumerate(texts) if len(heads[i]) < len(text) and not rows[i].truncated]
        for i, row in zip(short, self._place([texts[i] for i in short], around), strict=True):
            rows[i] = row
        return rows

    def _place(self, texts: Sequence[str], around: tuple[str, ...]) -> list[TokenRow]:
        encodings = self._encode_with_offsets([text.join(around) for text in texts])
        return [self._place_one(text, around, encoding) for text, encoding in zip(texts, encodings, strict=True)]

    def _place_one(self, text: str, around: tuple[str, ...], encoding: Encoding) -> TokenRow:
        room = self._max_tokens - len(self._begin) - len(self._end)
        is_echo, whole = len(around) > 2, text
        while is_echo and text and len(encoding.ids) > room:
            half = -(-(len(encoding.ids) - room) // 2)  # of the tokens too many, rounded up
            text = text[: shortened(encoding, len(around[0]), len(text), half)]
            encoding = self._tokenizer.encode(text.join(around), add_special_tokens=False)
        first, last = tokens_within(encoding, *last_copy(text, around))
        ids, missing = encoding.ids, max(0, len(encoding.ids) - room)
        if missing and self._convention.keeps_end:
            kept = max(first, last - missing)
            ids, last = [*ids[:kept], *ids[last:]], kept
        row = ([*self._begin, *ids, *self._end] or [self._start_id])[: self._max_tokens]
        before = len(self._begin) + first
        end = len(row) if not is_echo or self._convention.pooling == "last" else min(len(self._begin) + last, len(row))
        begin = before if is_echo or self._convention.instruction_mask == "exact" else self._left_out(around[0])
        if not (is_echo or around[0]):
            begin = 0
        return TokenRow(row, min(begin, end), end, truncated=missing > 0 or text != whole)

    # -------------------------------------------------------------------------------- the tokenizer

    def _encode_plain(self, texts: Sequence[str]) -> list[list[int]]:
        slices = (list(texts[start : start + _TEXTS_AT_ONCE]) for start in range(0, len(texts), _TEXTS_AT_ONCE))
        return [
            encoding.ids
            for part in slices
            for encoding in self._tokenizer.encode_batch_fast(part, add_special_tokens=False)
        ]

    def _encode_with_offsets(self, texts: Sequence[str]) -> Iterable[Encoding]:
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            yield from self._tokenizer.encode_batch(
                list(texts[start : start + _TEXTS_AT_ONCE]), add_special_tokens=False
            )

    def _frame(self, path: Path) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text, seen on a text of one letter."""
        plain, framed = (self._tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
        for begin in range(len(framed) - len(plain) + 1):
            if framed[begin : begin + len(plain)] == plain:
                return framed[:begin], framed[begin + len(plain) :]
        raise InvalidArgumentError(f"{path} changes a text where it adds special tokens: {plain} to {framed}", "model")

    def _has_no_room(self, prefix: str) -> bool:
        room = self._max_tokens - len(self._begin) - (len(self._end) if self._convention.keeps_end else 0)
        return bool(prefix) and len(self._encode_plain([prefix])[0]) >= room

    def _no_room(self, i: int) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"text {i} has no room: its prompt alone fills the {self._max_tokens} tokens of the model", f"texts[{i}]"
        )

    def _empty_pool(self, i: int) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"text {i} leaves no token to pool: beside its prompt none is left of it", f"texts[{i}]"
        )


def _open(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise InvalidArgumentError(f"{path} is no tokenizer: {error}", "model") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
