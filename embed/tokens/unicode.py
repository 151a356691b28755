"""Texts that no tokenizer can read, told by their place."""

from __future__ import annotations

from lodex.errors import InvalidArgumentError


def surrogate_error(text: str, i: int) -> InvalidArgumentError | None:
    """What is wrong with text `i` of a request if it is not valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return InvalidArgumentError(f"text {i} is not valid Unicode: {error}", f"texts[{i}]")
    return None
