"""The sequences of tokens that a text stands for, as a person means it.

A tokenizer gives "word", " word" and " Word" different tokens, and a text in the middle of a corpus mostly has a space
before it. So, unless a request is literal:

- A *search* (count, search_docs, find, each n-gram of a conjunction, and the prompt of prob and of next-token
  distributions) stands for the text as typed, in lower case, with its first letter a capital, and in upper case, each
  as it is and with a space before it: at most eight variants, counted together.
- A *continuation* (of prob and infgram_prob) stands for the same eight: ("once upon a", "time") asks what it says.
- A *context* (the prompt of the ∞-gram) is read rather than searched: it stands for itself, and for itself with a space
  before it.

White space at the end of a prompt is dropped, since the tokens that follow bring their own; a literal prompt keeps it.
Where a text stands once in the corpus it is counted once, even if two of its variants end there (`NgramIndex`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product


def literal_variants(text: str) -> tuple[str, ...]:
    """The text as it is written."""
    return (text,)


def search_variants(text: str) -> tuple[str, ...]:
    """A text in four cases, each without and with a space before it."""
    body = text.lstrip()
    capitalised = text[: len(text) - len(body)] + body[:1].upper() + body[1:]
    cases = (text, text.lower(), capitalised, text.upper())
    return _distinct(space + case for case, space in product(cases, ("", " ")))


def prompt_variants(text: str) -> tuple[str, ...]:
    """`search_variants` of a prompt without the white space at its end; the empty prompt stands for itself."""
    prompt = text.rstrip()
    return search_variants(prompt) if prompt else ("",)


def context_variants(text: str) -> tuple[str, ...]:
    """A context without white space at its end, without and with a space before it."""
    context = text.rstrip()
    return _distinct((context, " " + context)) if context else ("",)


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
