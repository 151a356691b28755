"""Statuses become the errors that they were."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from lodex import errors
from lodex.client.status import error_of, error_of_rpc, reason_of
from lodex.errors import LodexError


def tree(cls: type[LodexError] = LodexError) -> Iterator[type[LodexError]]:
    """The classes of lodex.errors; one that a room defines below them travels as its parent."""
    yield cls
    for below in cls.__subclasses__():
        if below.__module__ == LodexError.__module__:
            yield from tree(below)


def status(
    code: int, message: str, reason: str, metadata: dict[str, str] | None = None, domain: str = "lodex"
) -> Status:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(domain=domain, reason=reason, metadata=metadata))
    return Status(code=code, message=message, details=[detail])


@pytest.mark.parametrize("cls", list(tree()), ids=lambda cls: cls.__name__)
def test_every_class_comes_back_as_itself(cls: type[LodexError]) -> None:
    """The reason names the class exactly, whatever the code, and the message stays as it was."""
    error = error_of(status(13, "what happened", reason_of(cls)))
    assert type(error) is cls
    assert str(error) == "what happened"


def test_reasons_are_upper_snake_case_and_short_enough() -> None:
    """A reason is a constant of at most 63 characters, one for each class."""
    reasons = [reason_of(cls) for cls in tree()]
    assert reason_of(errors.FingerprintMismatchError) == "FINGERPRINT_MISMATCH_ERROR"
    assert len(set(reasons)) == len(reasons)
    assert max(map(len, reasons)) <= 63


def test_a_bad_document_keeps_its_place() -> None:
    """File, line and reason travel as metadata, and the message is not composed a second time."""
    message = "books.jsonl:12: field 'text' is missing"
    metadata = {"source": "books.jsonl", "line": "12", "reason": "field 'text' is missing"}
    sent = status(3, message, "INPUT_ERROR", metadata)
    error = error_of(sent)
    assert isinstance(error, errors.InputError)
    assert (error.source, error.line, error.reason) == ("books.jsonl", 12, "field 'text' is missing")
    assert str(error) == message


def test_a_missing_extra_keeps_its_name() -> None:
    """The extra to install is an attribute there too."""
    error = error_of(status(9, "MiniLM needs an extra", "MISSING_EXTRA_ERROR", {"extra": "minilm"}))
    assert isinstance(error, errors.MissingExtraError)
    assert error.extra == "minilm"


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (1, errors.CancelledError),
        (2, errors.InternalError),
        (3, errors.InvalidArgumentError),
        (4, errors.DeadlineExceededError),
        (5, errors.NotFoundError),
        (6, errors.AlreadyExistsError),
        (7, errors.UnauthenticatedError),
        (8, errors.ResourceExhaustedError),
        (9, errors.FailedPreconditionError),
        (10, errors.ConflictError),
        (12, errors.UnimplementedError),
        (14, errors.UnavailableError),
        (15, errors.DataLossError),
        (16, errors.UnauthenticatedError),
        (99, errors.InternalError),
    ],
)
def test_a_status_without_a_reason_goes_by_its_code(code: int, cls: type[LodexError]) -> None:
    """A proxy, an older server, or a class this client does not know still gives the nearest error."""
    assert type(error_of(Status(code=code, message="m"))) is cls
    assert type(error_of(status(code, "m", "NOT_FOUND_ERROR", domain="example.com"))) is cls
    assert type(error_of(status(code, "m", "ERROR_OF_A_LATER_RELEASE"))) is cls


@pytest.mark.parametrize(
    ("details", "expected"),
    [("Internal error from Core", errors.UnavailableError), ("what the server did wrong", errors.InternalError)],
)
def test_a_connection_that_broke_under_a_message_may_be_tried_again(details: str, expected: type[LodexError]) -> None:
    """To gRPC it is an internal error; one of the server stays one."""
    nothing = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, nothing, nothing, details)
    assert type(error_of_rpc(error, "host:1")) is expected
