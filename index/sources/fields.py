"""From a row of named values to a document: which field becomes what, and what may stand in it."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.types import Document

# Where a field is not named, the first of these that a row has is taken. `_id` is BEIR's, `contents` Anserini's.
USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("_id", "id", "doc_id", "docid"),
    "text": ("text", "contents", "content", "body"),
    "title": ("title",),
    "source": ("source",),
    "url": ("url",),
    "date": ("date",),
}

_MAX_DEPTH = 64
_YEAR_OR_MONTH = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the fields of a row that become the fields of a document; "" looks for the usual names.

    `text` must be there and be a string. `id` is a string or an integer; a row without one is called by its file and
    line, unless the field was named. `title`, `source`, `url` and `date` are strings and may lack or be null; a date is
    ISO 8601. Where one of these four was found by its usual name and is something else, it stays in the metadata;
    where it was named, that is an error. `metadata` names the fields to keep; None keeps all that have no other use.
    """

    id: str = ""
    text: str = ""
    title: str = ""
    source: str = ""
    url: str = ""
    date: str = ""
    metadata: tuple[str, ...] | None = None

    def document(self, row: Mapping[str, Any], name: str, line: int) -> Document:
        """The document of a row that stands at `line` of the file called `name`. InputError names the field."""
        rest = dict(row)
        doc_id = self._doc_id(rest) or f"{name}:{line}"
        text = self._text(rest)
        title, source, url, date = (self._optional(rest, which) for which in ("title", "source", "url", "date"))
        kept = rest if self.metadata is None else {key: row[key] for key in self.metadata if key in row}
        metadata = {key: plain(value, f"field {key!r}") for key, value in kept.items()}
        return Document(doc_id, text, source or name, title, url, date, metadata)

    def columns(self, names: Sequence[str]) -> list[str]:
        """The columns of a table that `document` looks at. InputError where the text or a named field lacks."""
        for wanted in (self._wanted("text"), *((name,) for name in self._named())):
            if not any(name in names for name in wanted):
                raise _missing(wanted, names)
        used = {self._find(which, names) for which in USUAL_NAMES}
        kept = names if self.metadata is None else self.metadata
        return [name for name in names if name in kept or name in used]

    def _named(self) -> list[str]:
        """Every field that was named."""
        return [name for which in USUAL_NAMES if (name := getattr(self, which))] + list(self.metadata or ())

    def _wanted(self, which: str) -> tuple[str, ...]:
        """The names to look for."""
        named = getattr(self, which)
        return (named,) if named else USUAL_NAMES[which]

    def _find(self, which: str, names: Mapping[str, Any] | Sequence[str]) -> str:
        """The name under which a row has a field, "" where it has none."""
        return next((name for name in self._wanted(which) if name in names), "")

    def _doc_id(self, rest: dict[str, Any]) -> str:
        name = self._find("id", rest)
        if not name:
            if self.id:
                raise _missing((self.id,), list(rest))
            return ""
        value = rest.pop(name)
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise _wrong_type(name, "a string or an integer", value)
        try:
            encoded = str(value).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"field {name!r} is not valid Unicode: {error}", kind=Fault.WRONG_TYPE) from error
        if not encoded:
            raise InputError(f"field {name!r} is empty", kind=Fault.MISSING_FIELD)
        return str(value)

    def _text(self, rest: dict[str, Any]) -> str:
        name = self._find("text", rest)
        if not name:
            raise _missing(self._wanted("text"), list(rest))
        value = rest.pop(name)
        if isinstance(value, bytes):
            value = _decoded(value, f"field {name!r}")
        if not isinstance(value, str):
            raise _wrong_type(name, "a string", value)
        return value

    def _optional(self, rest: dict[str, Any], which: str) -> str:
        name = self._find(which, rest)
        if not name:
            return ""
        value = plain(rest[name], f"field {name!r}")
        if value is None or (isinstance(value, str) and (which != "date" or is_iso_date(value))):
            del rest[name]
            return value or ""
        if getattr(self, which):
            raise _wrong_type(name, "an ISO 8601 date" if which == "date" else "a string", rest[name])
        return ""


def is_iso_date(value: str) -> bool:
    """Whether a string is an ISO 8601 year, month, date, or date and time, or is empty."""
    if not value or _YEAR_OR_MONTH.fullmatch(value):
        return True
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """A value as JSON can hold it. InputError, beginning with `where`, for one that it cannot.

    NaN, which is how numpy and pandas write a missing value, becomes None; an infinite number is refused. Dates and
    times become ISO 8601, decimals strings, bytes the text they hold. At most 64 levels are nested.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise InputError(f"{where} is infinite, which JSON cannot hold", kind=Fault.WRONG_TYPE)
        return None if math.isnan(value) else value
    if depth == _MAX_DEPTH:
        raise InputError(f"{where} is nested more than {_MAX_DEPTH} levels deep", kind=Fault.WRONG_TYPE)
    if isinstance(value, Mapping):
        return {str(key): plain(item, where, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, where, depth + 1) for item in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, datetime.timedelta)):
        return str(value)
    if isinstance(value, bytes):
        return _decoded(value, where)
    raise InputError(f"{where} is of type {type(value).__name__}, which JSON cannot hold", kind=Fault.WRONG_TYPE)


def _decoded(value: bytes, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where} holds bytes that are not UTF-8", kind=Fault.WRONG_TYPE) from error


def _missing(wanted: Sequence[str], there: Sequence[str]) -> InputError:
    return InputError(
        f"no field {' or '.join(map(repr, wanted))}; there are {', '.join(map(repr, there[:12])) or 'none'}"
        + (", ..." if len(there) > 12 else ""),
        kind=Fault.MISSING_FIELD,
    )


def _wrong_type(name: str, expected: str, value: Any) -> InputError:
    got = repr(value) if isinstance(value, str) else type(value).__name__
    return InputError(f"field {name!r} must be {expected}, not {got[:80]}", kind=Fault.WRONG_TYPE)
