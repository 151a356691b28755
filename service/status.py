"""Errors as gRPC statuses: the one table, and the google.rpc.Status that carries what else an error knows."""

from __future__ import annotations

import logging
import secrets

import grpc
from google.rpc import error_details_pb2, status_pb2

from lodex import errors

logger = logging.getLogger(__name__)

DOMAIN = "lodex"
# A status travels twice in the trailing metadata, of which clients accept 8 KiB.
_MAX_MESSAGE = 2000

CODES: dict[type[errors.LodexError], grpc.StatusCode] = {
    errors.InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.DuplicateDocumentError: grpc.StatusCode.ALREADY_EXISTS,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ConflictError: grpc.StatusCode.ABORTED,
    errors.DataLossError: grpc.StatusCode.DATA_LOSS,
    errors.ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.CancelledError: grpc.StatusCode.CANCELLED,
    errors.UnimplementedError: grpc.StatusCode.UNIMPLEMENTED,
    errors.InternalError: grpc.StatusCode.INTERNAL,
    errors.MissingExtraError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LodexError: grpc.StatusCode.INTERNAL,
}
"""A class that is not listed has the code of its nearest ancestor."""


def code_of(error: errors.LodexError) -> grpc.StatusCode:
    """The gRPC status code of an error."""
    return next(CODES[ancestor] for ancestor in type(error).__mro__ if ancestor in CODES)


def as_lodex_error(error: Exception) -> errors.LodexError:
    """The error itself, or, for a defect, an InternalError with the id under which the log has its traceback."""
    if isinstance(error, errors.LodexError):
        return error
    defect = secrets.token_hex(4)
    logger.error("defect %s", defect, exc_info=error)
    return errors.InternalError(f"a defect of Lodex, logged as {defect}")


def to_status(error: Exception) -> status_pb2.Status:
    """An error as it travels, of an RPC or of one item: ErrorInfo always, and the field of a wrong argument."""
    known = as_lodex_error(error)
    status = status_pb2.Status(code=code_of(known).value[0], message=str(known)[:_MAX_MESSAGE])
    info = error_details_pb2.ErrorInfo(reason=reason_of(type(known)), domain=DOMAIN)
    if isinstance(known, errors.InputError):
        info.metadata.update({"source": known.source, "line": str(known.line), "reason": known.reason[:_MAX_MESSAGE]})
    if isinstance(known, errors.MissingExtraError):
        info.metadata["extra"] = known.extra
    status.details.add().Pack(info)
    if isinstance(known, errors.InvalidArgumentError):
        violation = error_details_pb2.BadRequest.FieldViolation(field=known.field, description=status.message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return status


def reason_of(kind: type[errors.LodexError]) -> str:
    """The class of an error in upper snake case: NOT_FOUND_ERROR. One that a room defines goes by its parent's."""
    name = next(ancestor.__name__ for ancestor in kind.__mro__ if ancestor.__module__ == errors.__name__)
    return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()
