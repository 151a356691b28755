"""Every error Lodex raises, as one tree.

LodexError
├── InvalidArgumentError            a request that can never succeed; names the field
│   ├── DimensionMismatchError      vectors of another size than the index holds
│   └── FingerprintMismatchError    vectors or tokens of another model than the index was built with
├── InputError                      a document that cannot be ingested; names file and line
│   └── DuplicateDocumentError      a doc_id that the store or this ingest already has
├── NotFoundError                   no store, version, document, passage or index of that name
├── AlreadyExistsError              a store or name that is taken
├── FailedPreconditionError         right request, wrong state: an index that is not built yet
├── ConflictError                   another writer won and the change cannot be rebased
├── DataLossError                   bytes on disk that do not verify
├── ResourceExhaustedError          a limit of size, memory, disk or load
├── UnauthenticatedError            no API key, or a wrong one
├── UnavailableError                no server there, or one that is draining
├── DeadlineExceededError           the time given ran out
├── CancelledError                  the caller gave up
├── UnimplementedError              promised by the protocol, not built yet
├── InternalError                   a defect of Lodex itself; report it
└── MissingExtraError               an optional dependency that is not installed

`lodex/service/status.py` maps each class to one gRPC status code, and the client maps it back,
so an error has the same type in process and over the wire.
"""

from __future__ import annotations

from typing import Self


class LodexError(Exception):
    """Base of all errors of Lodex."""


class InvalidArgumentError(LodexError):
    """A request that can never succeed as it stands.

    `field` names the offending field by its path in the request (`queries[3].text`), "" if none can be named.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class DimensionMismatchError(InvalidArgumentError):
    """Vectors whose dimension is not the index's."""


class FingerprintMismatchError(InvalidArgumentError):
    """Vectors or tokens that come from another model or tokenizer than the index records."""


class InputError(LodexError):
    """A document that cannot be ingested. `source` is the file, `line` the 1-based line or 0.

    `reason` is the message without its place; `kind` is the sort of fault, by which faults are counted.
    """

    kind = "refused document"

    def __init__(self, message: str, source: str = "", line: int = 0, kind: str = "") -> None:
        where = f"{source}:{line}: " if line else f"{source}: " if source else ""
        super().__init__(where + message)
        self.source = source
        self.line = line
        self.reason = message
        self.kind = kind or self.kind

    def at(self, source: str, line: int = 0) -> Self:
        """The same fault, with its place."""
        return type(self)(self.reason, source, line, self.kind)


class DuplicateDocumentError(InputError):
    """A doc_id that the store, or this very ingest, already has."""

    kind = "duplicate doc_id"


class NotFoundError(LodexError):
    """No store, version, document, passage or index of that name."""


class AlreadyExistsError(LodexError):
    """A store or a name that is taken."""


class FailedPreconditionError(LodexError):
    """The request is right, the state is not: for example an index that is not built yet."""


class ConflictError(LodexError):
    """Another writer published first, and the change cannot be repeated on top of it."""


class DataLossError(LodexError):
    """Bytes on disk that do not verify. Never answered around: see `lodex verify`."""


class ResourceExhaustedError(LodexError):
    """A limit of size, memory, disk space or load was reached."""


class UnauthenticatedError(LodexError):
    """No API key was sent, or a wrong one."""


class UnavailableError(LodexError):
    """No server answers at the address, or it is draining."""


class DeadlineExceededError(LodexError):
    """The time the caller gave ran out."""


class CancelledError(LodexError):
    """The caller gave up before the answer."""


class UnimplementedError(LodexError):
    """Promised by the protocol and not built yet."""


class InternalError(LodexError):
    """A defect of Lodex itself."""


class MissingExtraError(LodexError):
    """An optional dependency that is not installed; the message names the extra."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed: pip install 'lodex[{extra}]'")
        self.extra = extra
