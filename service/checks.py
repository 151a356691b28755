"""What is asked of requests before any work is done, each refusal naming the field."""

from __future__ import annotations

from collections.abc import Sized

from google.protobuf.message import Message

from lodex.errors import InvalidArgumentError, UnimplementedError


def require_built(message: Message, built: frozenset[str], path: str = "") -> None:
    """UnimplementedError where a field is set that is not among the `built` ones: it must not be ignored."""
    for field, _ in message.ListFields():
        if field.name not in built:
            where = f"{path}.{field.name}" if path else field.name
            raise UnimplementedError(f"{where} of {message.DESCRIPTOR.name} is promised by the protocol, not built yet")


def at_most(items: Sized, limit: int, path: str, unit: str) -> None:
    """InvalidArgumentError for more items than the limit."""
    if len(items) > limit:
        raise InvalidArgumentError(f"{path} has {len(items)} {unit}, the limit is {limit}", path)


def within(value: int, least: int, most: int, path: str) -> int:
    """The value; InvalidArgumentError unless it is `least` to `most`."""
    if not least <= value <= most:
        raise InvalidArgumentError(f"{path} is {value}, it must be {least} to {most}", path)
    return value


def at_least(value: int, least: int, path: str) -> int:
    """The value; InvalidArgumentError where it is below `least`."""
    if value < least:
        raise InvalidArgumentError(f"{path} is {value}, it must be at least {least}", path)
    return value


def short_text(text: str, limit: int, path: str) -> str:
    """The text; InvalidArgumentError for more UTF-8 bytes than the limit."""
    # At most 4 bytes a character: most texts need no encoding to be measured.
    if len(text) * 4 > limit:
        size = len(text.encode())
        if size > limit:
            raise InvalidArgumentError(f"{path} has {size} bytes, the limit of a text is {limit}", path)
    return text
