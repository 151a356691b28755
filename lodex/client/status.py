"""Statuses back to errors: what failed on a server raises the class that it would have raised in process.

The class is named by `ErrorInfo.reason`, its name in upper snake case; a status without one, from another server or a
proxy on the way, falls back on its code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import grpc
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from lodex import errors
from lodex.errors import LodexError

DOMAIN = "lodex"

_BY_CODE: dict[int, type[LodexError]] = {
    grpc.StatusCode.CANCELLED.value[0]: errors.CancelledError,
    grpc.StatusCode.INVALID_ARGUMENT.value[0]: errors.InvalidArgumentError,
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0]: errors.DeadlineExceededError,
    grpc.StatusCode.NOT_FOUND.value[0]: errors.NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS.value[0]: errors.AlreadyExistsError,
    grpc.StatusCode.PERMISSION_DENIED.value[0]: errors.UnauthenticatedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]: errors.ResourceExhaustedError,
    grpc.StatusCode.FAILED_PRECONDITION.value[0]: errors.FailedPreconditionError,
    grpc.StatusCode.ABORTED.value[0]: errors.ConflictError,
    grpc.StatusCode.OUT_OF_RANGE.value[0]: errors.InvalidArgumentError,
    grpc.StatusCode.UNIMPLEMENTED.value[0]: errors.UnimplementedError,
    grpc.StatusCode.INTERNAL.value[0]: errors.InternalError,
    grpc.StatusCode.UNAVAILABLE.value[0]: errors.UnavailableError,
    grpc.StatusCode.DATA_LOSS.value[0]: errors.DataLossError,
    grpc.StatusCode.UNAUTHENTICATED.value[0]: errors.UnauthenticatedError,
}


def reason_of(error: type[LodexError]) -> str:
    """The `ErrorInfo.reason` of a class of errors: `NotFoundError` is NOT_FOUND_ERROR."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).upper()


def error_of(status: Status) -> LodexError:
    """The error that a status stands for, of its own class and with its attributes."""
    cls, metadata, field = _BY_CODE.get(status.code, errors.InternalError), {}, ""
    for detail in status.details:
        info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info) and info.domain == DOMAIN:
            cls, metadata = _BY_REASON.get(info.reason, cls), dict(info.metadata)
        elif detail.Unpack(violations) and violations.field_violations:
            field = violations.field_violations[0].field
    # The message is complete as it stands, so the constructors, which compose messages, are passed by.
    error = cls.__new__(cls, status.message)
    if isinstance(error, errors.InvalidArgumentError):
        error.field = field
    elif isinstance(error, errors.InputError):
        error.source, error.line = metadata.get("source", ""), int(metadata.get("line", 0))
        error.reason = metadata.get("reason", status.message)
    elif isinstance(error, errors.MissingExtraError):
        error.extra = metadata.get("extra", "")
    return error


# What grpc.aio says, of itself and not of the server, where a stream ends under a message that is on its way out.
_BROKEN_WHILE_SENDING = "Internal error from Core"


def error_of_rpc(error: grpc.RpcError, address: str) -> LodexError:
    """The error that a failed RPC stands for. Where the transport itself failed, the message names the address."""
    status = rpc_status.from_call(error)
    if status is not None:
        return error_of(status)
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.INTERNAL and details == _BROKEN_WHILE_SENDING:
        code, details = grpc.StatusCode.UNAVAILABLE, "the connection broke while a message was sent"
    return error_of(Status(code=code.value[0], message=f"{address}: {details or code.name}"))


def _classes(cls: type[LodexError]) -> Iterator[type[LodexError]]:
    yield cls
    for below in cls.__subclasses__():
        yield from _classes(below)


_BY_REASON = {reason_of(cls): cls for cls in _classes(LodexError)}
