"""The tokens of a written filter, and how a place in it is shown that cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from lodex.errors import InvalidArgumentError
from lodex.filters import COLUMNS, METADATA

_MAX_NUMBER = 2.0**53
_SHOWN = 60
"""Characters of the text on either side of a fault."""

_BLANK = re.compile(r"\s*")
_SYMBOL = re.compile(r"==|!=|<=|>=|\^=|[=<>(),]")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])", re.ASCII)
_WORD = re.compile(r"[^\W\d][\w-]*")
_KEY = re.compile(r"[\w-]+")
_TEXT = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is "symbol", "word", "field", "text", "number" or "end"; a symbol or word has its own text as value."""

    kind: str
    value: str | float
    begin: int


def refuse(text: str, at: int, reason: str) -> NoReturn:
    """Raise InvalidArgumentError with the line of a fault and a caret below its column."""
    first = text.rfind("\n", 0, at) + 1
    last = text.find("\n", at)
    line = text[first : None if last < 0 else last]
    column = at - first
    left, right = max(column - _SHOWN, 0), column + _SHOWN
    shown = ("…" if left else "") + line[left:right] + ("…" if right < len(line) else "")
    # A caret stands right below a character only if each takes one cell.
    shown = "".join(c if c.isprintable() else " " for c in shown)
    where = f"line {text.count(chr(10), 0, at) + 1}, column {column + 1}" if "\n" in text else f"column {column + 1}"
    caret = " " * (column - left + bool(left)) + "^"
    raise InvalidArgumentError(f"{reason}, at {where} of the filter\n  {shown}\n  {caret}", "where")


class Tokenizer:
    """Reads the tokens of a text one after another."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next(self) -> Token:
        """The next token; for ever "end" at the end."""
        self._at = self._match(_BLANK).end()
        begin = self._at
        if begin == len(self._text):
            return Token("end", "", begin)
        if symbol := _SYMBOL.match(self._text, begin):
            self._at = symbol.end()
            return Token("symbol", symbol[0], begin)
        if number := _NUMBER.match(self._text, begin):
            self._at = number.end()
            return Token("number", self._number(number[0], begin), begin)
        if self._text[begin] in "\"'":
            return Token("text", self._quoted(), begin)
        if word := _WORD.match(self._text, begin):
            self._at = word.end()
            return self._word(word[0], begin)
        hint = ": texts and dates stand in quotes" if self._text[begin].isdigit() else ""
        refuse(self._text, begin, f"unexpected {self._text[begin]!r}{hint}")

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        assert match is not None, "blanks may be none; this is a bug"
        return match

    def _number(self, digits: str, begin: int) -> float:
        number = float(digits)
        if not abs(number) < _MAX_NUMBER:
            refuse(self._text, begin, f"the number {digits[:40]} is not below 2^53")
        return number

    def _quoted(self) -> str:
        quoted = _TEXT.match(self._text, self._at)
        if quoted is None:
            refuse(self._text, self._at, "a text without its closing quote")
        begin, self._at = self._at + 1, quoted.end()

        def plain(escape: re.Match[str]) -> str:
            if escape[1] not in _ESCAPED:
                refuse(self._text, begin + escape.start(), f"no escape \\{escape[1]}: write \\\\ for a backslash")
            return _ESCAPED[escape[1]]

        return _ESCAPE.sub(plain, quoted[0][1:-1])

    def _word(self, word: str, begin: int) -> Token:
        """A word, or the field that it begins."""
        if word == METADATA[:-1]:
            keys = []
            while self._text.startswith(".", self._at):
                self._at += 1
                keys.append(self._key())
            if not keys:
                refuse(self._text, begin, f"metadata needs a key: {METADATA}KEY")
            return Token("field", METADATA + ".".join(keys), begin)
        return Token("field" if word in COLUMNS else "word", word, begin)

    def _key(self) -> str:
        begin = self._at
        if self._text[begin : begin + 1] in ('"', "'"):
            key = self._quoted()
            if not key or "." in key:
                refuse(self._text, begin, "a key of the metadata that is empty or has a dot cannot be named")
            return key
        bare = _KEY.match(self._text, begin)
        if bare is None:
            refuse(self._text, begin, "expected a key of the metadata after '.'")
        self._at = bare.end()
        return bare[0]
