"""Listwise prompts as token ids: each passage is tokenised once and cut so that all of them fit the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tokenizers

from lodex.errors import InvalidArgumentError
from lodex.index.tokenizer import Tokenizer
from lodex.rerank.template import IDENTIFIERS, Template, line_parts, without_imitations

Ids = npt.NDArray[np.int64]
MAX_QUERY_TOKENS = 128
# A text is cut to so many characters for each token it may have before it is tokenised: words have four or five, and
# only ruled lines and the like have more than sixteen.
_CHARACTERS_OF_A_TOKEN = 16
_PASSAGE = "{passage}"


def go_on() -> None:
    """The check of a caller who waits as long as it takes."""


@dataclass(frozen=True, slots=True)
class ChatFrame:
    """What a model's chat template puts before and after the words of the user, special tokens as text."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """A passage as token ids: those of the template before, of the text, and of the template after it.

    `is_cut` says that the text goes on, and was too long to be read to its end.
    """

    before: tuple[int, ...]
    text: tuple[int, ...]
    after: tuple[int, ...]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """The ids of a prompt (T,), which end in "["; `line_ends` (n,) are the places of the last token of each line.

    `truncated` (n,) marks the passages that were cut.
    """

    ids: Ids
    line_ends: Ids
    truncated: npt.NDArray[np.bool_]


class PromptBuilder:
    """Puts queries and passages into a template, for one tokenizer.

    `open_id` is the token "[" and `letter_ids` (26,) int64 those of the identifiers. InvalidArgumentError for a
    tokenizer that does not keep them apart: scores are read from single tokens, so they must be single tokens.
    """

    def __init__(self, tokenizer: Tokenizer, template: Template, start_id: int, chat: ChatFrame | None = None) -> None:
        if template.chat and chat is None:
            raise InvalidArgumentError(
                f"template {template.name!r} is for models with a chat template, and this one has none", "template"
            )
        self.template = template
        self.open_id, self.letter_ids = identifier_tokens(tokenizer)
        self._tokenizer = tokenizer
        self._parts = line_parts(template)
        self._before, self._after = [start_id], list[int]()
        if chat is not None and template.chat:
            self._before, self._after = _with_special_tokens(tokenizer, chat)

    def read(
        self, texts: Sequence[str], max_tokens: int | None = None, check: Callable[[], None] = go_on
    ) -> list[ReadPassage]:
        """Tokenise passages, each once for all windows that will hold it.

        Of a passage that is given at most `max_tokens`, no more than the first 16 characters for each are read.
        `check` is called before each passage and may raise.
        """
        literal, _ = next(part for part in self._parts if _PASSAGE in part[0])
        before, after = literal.split(_PASSAGE)
        # A tokenizer joins a space to the word that follows it: what stands right before the passage is read with it.
        head, joined = (before.rstrip(" "), before[len(before.rstrip(" ")) :])
        head_ids, tail_ids = map(tuple, self._encode([head, after]))
        passages = []
        for text in texts:
            check()
            safe = without_imitations(" ".join(text.split()))
            shown = safe if max_tokens is None else safe[: max_tokens * _CHARACTERS_OF_A_TOKEN]
            (ids,) = self._encode([joined + shown])
            passages.append(ReadPassage(head_ids, tuple(ids), tail_ids, is_cut=len(shown) < len(safe)))
        return passages

    def assemble(
        self, query: str, passages: Sequence[ReadPassage], max_tokens: int, max_passage_tokens: int | None = None
    ) -> Prompt:
        """The prompt of one window, at most `max_tokens` long.

        The longest passages are cut first, down to one length for all that are cut, and no passage is longer than
        `max_passage_tokens`. InvalidArgumentError for more passages than identifiers, and where the query leaves no
        room for them; a query is cut to 128 tokens.
        """
        if not 1 <= len(passages) <= len(IDENTIFIERS):
            raise InvalidArgumentError(
                f"a window has {len(passages)} candidates, expected 1 to {len(IDENTIFIERS)}", "window"
            )
        head, tail = self.prefix(query, len(passages)), self.suffix(query, len(passages))
        frame = sum(len(self._line(passage, number, 0)) for number, passage in enumerate(passages))
        room = max_tokens - len(head) - len(tail) - frame
        if room < len(passages):
            raise InvalidArgumentError(
                f"template and query leave {max(room, 0)} tokens for {len(passages)} passages in a context of "
                f"{max_tokens}: shorten the query or take a smaller window",
                "window",
            )
        limit = fair_limit([len(passage.text) for passage in passages], room)
        limit = min(limit, max_passage_tokens) if max_passage_tokens else limit
        lines = [self._line(passage, number, limit) for number, passage in enumerate(passages)]
        line_ends = len(head) - 1 + np.cumsum([len(line) for line in lines])
        body = [i for line in lines for i in line]
        truncated = np.array([passage.is_cut or len(passage.text) > limit for passage in passages], np.bool_)
        return Prompt(np.array([*head, *body, *tail], np.int64), line_ends, truncated)

    def prefix(self, query: str, count: int) -> list[int]:
        """The ids before the first passage."""
        text = self._filled(self.template.prefix, query, count)
        return self._before + self._encode([text])[0]

    def suffix(self, query: str, count: int) -> list[int]:
        """The ids after the last passage, up to the "[" that the best identifier follows."""
        text = self._filled(self.template.suffix, query, count)
        return [*self._encode([text])[0], *self._after, self.open_id]

    def _line(self, passage: ReadPassage, number: int, limit: int) -> list[int]:
        ids: list[int] = []
        for literal, has_identifier in self._parts:
            if _PASSAGE in literal:
                ids += [*passage.before, *passage.text[:limit], *passage.after]
            elif literal:
                ids += self._encode([literal])[0]
            if has_identifier:
                ids += [self.open_id, int(self.letter_ids[number])]
        return ids

    def _filled(self, text: str, query: str, count: int) -> str:
        if "{query}" not in text:
            return text.replace("{count}", str(count))
        safe = without_imitations(" ".join(query.split()))[: MAX_QUERY_TOKENS * _CHARACTERS_OF_A_TOKEN]
        ids = self._tokenizer.encode(safe)
        if len(ids) > MAX_QUERY_TOKENS:
            safe = self._tokenizer.decode(ids[:MAX_QUERY_TOKENS]).rstrip("\N{REPLACEMENT CHARACTER}")
        return text.replace("{count}", str(count)).replace("{query}", safe)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [ids.tolist() for ids in self._tokenizer.encode_batch(texts)]


def fair_limit(lengths: Sequence[int], room: int) -> int:
    """The largest length to cut to so that the sum is at most `room`; short ones leave their share to the long."""
    left = len(lengths)
    for length in sorted(lengths):
        if length * left > room:
            return room // left
        room -= length
        left -= 1
    return max(lengths, default=0)


def identifier_tokens(tokenizer: Tokenizer) -> tuple[int, Ids]:
    """The ids of "[" and of the 26 bare letters; InvalidArgumentError names what a tokenizer merges or lacks."""
    letters = np.empty(len(IDENTIFIERS), np.int64)
    open_id = -1
    for number, letter in enumerate(IDENTIFIERS):
        ids = tokenizer.encode(f"1[{letter}]")
        tokens = tokenizer.decode_tokens(ids)
        if tokens[-3:] != ["[", letter, "]"]:
            raise InvalidArgumentError(
                f"tokenizer {tokenizer.name} reads '[{letter}]' as {tokens[1:]}, and identifiers must be single tokens "
                "for their logits to be scores",
                "model",
            )
        open_id, letters[number] = int(ids[-3]), int(ids[-2])
    return open_id, letters


def _with_special_tokens(tokenizer: Tokenizer, chat: ChatFrame) -> tuple[list[int], list[int]]:
    """The frame's ids: here alone a special token is more than its letters, since no user wrote this text."""
    reading = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    reading.encode_special_tokens = False
    before, after = (reading.encode(text, add_special_tokens=False).ids for text in (chat.before, chat.after))
    return list(before), list(after)


def answer_ids(tokenizer: Tokenizer, open_id: int, answer: str) -> list[int]:
    """The ids of an answer such as "[B] > [A]" after its first "[", which the prompt has already."""
    ids: list[int] = tokenizer.encode(f"1{answer}").tolist()
    return ids[ids.index(open_id) + 1 :]
