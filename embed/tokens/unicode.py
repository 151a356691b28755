"""Texts that no tokenizer can read, told by their place."""

from __future__ import annotations

from collections.abc import Sequence

from lodex.errors import InvalidArgumentError


def surrogate_error(text: str, i: int) -> InvalidArgumentError | None:
    """What is wrong with text `i` of a request if it is not valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return InvalidArgumentError(f"text {i} is not valid Unicode: {error}", f"texts[{i}]")
    return None


def refuse_surrogates(texts: Sequence[str]) -> None:
    """InvalidArgumentError names the first text that is not valid Unicode."""
    for i, text in enumerate(texts):
        error = surrogate_error(text, i)
        if error is not None:
            raise error
