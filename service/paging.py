"""Page tokens: where a listing goes on, at which version, and for which request."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

import xxhash
from google.protobuf.message import Message

from lodex.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Page:
    """A place in a listing: `cursor` as its maker understands it, `version` 0 where none is pinned."""

    cursor: str
    version: int = 0


def encode_page(page: Page, request: Message) -> str:
    """A token that stands for the page of this listing: of what `request` says, its own paging aside."""
    value = [page.cursor, page.version, _digest(request)]
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_page(token: str, request: Message, path: str) -> Page:
    """The page of a token, the first for ""; InvalidArgumentError for what is no token, or one of another listing."""
    if not token:
        return Page("")
    try:
        padded = token + "=" * (-len(token) % 4)
        cursor, version, digest = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not (isinstance(cursor, str) and isinstance(version, int) and version >= 0):
            raise ValueError("another shape")
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidArgumentError(f"{path} is not a page token", path) from error
    if digest != _digest(request):
        raise InvalidArgumentError(f"{path} belongs to another request: only the page may change", path)
    return Page(cursor, version)


def page_size(asked: int, default: int, limit: int) -> int:
    """Items of a page: the default for 0, never more than the limit; InvalidArgumentError below 0."""
    if asked < 0:
        raise InvalidArgumentError(f"page_size is {asked}, it must not be negative", "page_size")
    return min(asked or default, limit)


def _digest(request: Message) -> str:
    return xxhash.xxh3_64_hexdigest(request.SerializeToString(deterministic=True))
