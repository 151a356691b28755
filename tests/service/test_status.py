"""Errors as statuses, and back by the client."""

import logging

import grpc
import pytest
from google.rpc import error_details_pb2

from lodex import errors
from lodex.client.status import error_of
from lodex.service.status import CODES, as_lodex_error, code_of, reason_of, to_status


def tree() -> list[type[errors.LodexError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LodexError)]


def make(kind: type[errors.LodexError]) -> errors.LodexError:
    if issubclass(kind, errors.InvalidArgumentError):
        return kind("wrong", "queries[3].text")
    if issubclass(kind, errors.InputError):
        return kind("broken line", "a.jsonl", 7)
    return kind("minilm", "minilm") if kind is errors.MissingExtraError else kind("what happened")


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_on_both_sides(kind: type[errors.LodexError]) -> None:
    """A client raises the class, message and attributes that the server raised."""
    sent = make(kind)
    received = error_of(to_status(sent))
    assert type(received) is kind
    assert str(received) == str(sent)
    assert vars(received).items() >= {k: v for k, v in vars(sent).items() if k != "kind"}.items()


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_only_defects_are_internal(kind: type[errors.LodexError]) -> None:
    """Every class has a code by the one table, and UNKNOWN is none of them."""
    internal = {errors.LodexError, errors.InternalError}
    assert (code_of(make(kind)) is grpc.StatusCode.INTERNAL) == (kind in internal)
    assert grpc.StatusCode.UNKNOWN not in CODES.values()


def test_an_unlisted_class_has_the_code_of_its_parent() -> None:
    """A class added below another needs no line of its own in the table."""
    assert code_of(errors.DimensionMismatchError("d=3")) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_class_of_a_room_travels_as_its_parent() -> None:
    """Clients know the classes of lodex/errors.py alone."""

    class TornTableError(errors.DataLossError):
        pass

    assert type(error_of(to_status(TornTableError("torn")))) is errors.DataLossError


def test_every_status_carries_error_info() -> None:
    """ErrorInfo has the domain `lodex` and the class in upper snake case; the field of a wrong argument follows."""
    status = to_status(errors.FingerprintMismatchError("another model", "vectors"))
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(request)
    assert (info.domain, info.reason) == ("lodex", "FINGERPRINT_MISMATCH_ERROR")
    assert request.field_violations[0].field == "vectors"
    assert len(reason_of(errors.FingerprintMismatchError)) <= 63


def test_a_defect_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets an id; the log has that id and the traceback."""
    with caplog.at_level(logging.ERROR):
        try:
            {}["secret"]
        except KeyError as error:
            told = str(as_lodex_error(error))
    assert "secret" not in told
    defect = told.rsplit(" ", 1)[-1]
    assert defect in caplog.text
    assert "KeyError: 'secret'" in caplog.text


def test_a_long_message_is_cut() -> None:
    """A status fits the trailing metadata, whatever the message."""
    assert to_status(errors.InvalidArgumentError("x" * 100_000, "q")).ByteSize() < 8000
