"""Texts that no tokenizer can read, told by their place."""

from __future__ import annotations

from collections.abc import Sequence

from lodex.errors import InvalidArgumentError


def refuse_surrogates(texts: Sequence[str]) -> None:
    """InvalidArgumentError names the first text that is not valid Unicode."""
    for i, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(f"text {i} is not valid Unicode: {error}", f"texts[{i}]") from error
