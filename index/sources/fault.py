"""The sorts of bad input."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What can be wrong with an input, as a summary counts it (`InputError.kind`)."""

    UNREADABLE = "unreadable file"
    DAMAGED = "damaged file"
    EMPTY_FILE = "empty file"
    UNDECODABLE = "undecodable bytes"
    NOT_JSON = "not JSON"
    MISSING_FIELD = "missing field"
    WRONG_TYPE = "wrong type of field"
    EMPTY_TEXT = "empty text"
    TOO_LARGE = "too large"
    REFUSED = "refused by the embedder"
