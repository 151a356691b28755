"""Handles of jobs that run on the server: how far they are, their results, and their end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from lodex.client.plan import Call, Plan
from lodex.client.results import JobStatus
from lodex.client.status import error_of
from lodex.errors import DeadlineExceededError, InternalError
from lodex.v1 import datastore_pb2

if TYPE_CHECKING:
    from lodex.client.client import AsyncClient, Client

R = TypeVar("R")
SERVICE = "google.longrunning.Operations"
# A call of this length is waited for by the server; the next one goes on.
_WAIT_S = 20.0
_CALL_S = 30.0


@dataclass(frozen=True, slots=True)
class Started(Generic[R]):
    """An operation as the server began it, the message of its response, and what makes a value of that."""

    message: operations_pb2.Operation
    response: type[Message]
    read: Callable[[Any], R]


class _Handle(Generic[R]):
    """What is known of an operation since it was last looked at."""

    def __init__(self, started: Started[R]) -> None:
        self._started = started
        self._latest = started.message

    @property
    def name(self) -> str:
        """Its name on the server, by which another client finds it."""
        return str(self._latest.name)

    def _progress(self) -> JobStatus:
        progress = datastore_pb2.JobProgress()
        self._latest.metadata.Unpack(progress)
        return JobStatus(
            job=progress.job,
            store=progress.store,
            phase=progress.phase,
            done=progress.done,
            total=progress.total if progress.HasField("total") else None,
            unit=progress.unit,
            tasks_done=progress.tasks_done,
            tasks_total=progress.tasks_total,
        )

    def _result(self) -> R:
        if self._latest.HasField("error"):
            raise error_of(self._latest.error)
        response = self._started.response()
        if not self._latest.response.Unpack(response):
            raise InternalError(f"operation {self.name} answered with {self._latest.response.type_url}")
        return self._started.read(response)

    def _too_late(self, timeout_s: float | None) -> DeadlineExceededError:
        return DeadlineExceededError(f"operation {self.name} is not done after {timeout_s} s; it goes on")


class Operation(_Handle[R]):
    """A job on the server. It goes on when nobody looks, and when the client is closed."""

    def __init__(self, client: Client, started: Started[R]) -> None:
        super().__init__(started)
        self._client = client

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not; asks the server."""
        if not self._latest.done:
            self._latest = self._client.run(look(self.name))
        return bool(self._latest.done)

    @property
    def progress(self) -> JobStatus:
        """How far it is; asks the server."""
        _ = self.done
        return self._progress()

    def result(self, timeout_s: float | None = None) -> R:
        """Wait until it has ended, and return its result or raise its error.

        DeadlineExceededError after `timeout_s`; the job goes on. None waits as long as it takes.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._latest.done:
            left_s = _WAIT_S if end is None else end - time.monotonic()
            if left_s <= 0:
                raise self._too_late(timeout_s)
            self._latest = self._client.run(await_end(self.name, min(left_s, _WAIT_S)))
        return self._result()

    def cancel(self) -> None:
        """Ask it to stop. `result` then raises CancelledError, unless it ended before."""
        self._client.run(cancel(self.name))


class AsyncOperation(_Handle[R]):
    """As `Operation`, for `AsyncClient`."""

    def __init__(self, client: AsyncClient, started: Started[R]) -> None:
        super().__init__(started)
        self._client = client

    async def done(self) -> bool:
        """Whether it has ended, well or not."""
        if not self._latest.done:
            self._latest = await self._client.run(look(self.name))
        return bool(self._latest.done)

    async def progress(self) -> JobStatus:
        """How far it is."""
        await self.done()
        return self._progress()

    async def result(self, timeout_s: float | None = None) -> R:
        """Await its end, and return its result or raise its error; see `Operation.result`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._latest.done:
            left_s = _WAIT_S if end is None else end - time.monotonic()
            if left_s <= 0:
                raise self._too_late(timeout_s)
            self._latest = await self._client.run(await_end(self.name, min(left_s, _WAIT_S)))
        return self._result()

    async def cancel(self) -> None:
        """Ask it to stop."""
        await self._client.run(cancel(self.name))


def look(name: str) -> Plan[operations_pb2.Operation]:
    """The operation as it is now."""
    reply: operations_pb2.Operation = yield Call(SERVICE, "GetOperation", operations_pb2.GetOperationRequest(name=name))
    return reply


def await_end(name: str, timeout_s: float) -> Plan[operations_pb2.Operation]:
    """The operation when it has ended, or as it is after `timeout_s`."""
    request = operations_pb2.WaitOperationRequest(name=name)
    request.timeout.FromNanoseconds(int(timeout_s * 1e9))
    reply: operations_pb2.Operation = yield Call(SERVICE, "WaitOperation", request, timeout_s + _CALL_S)
    return reply


def cancel(name: str) -> Plan[None]:
    """Ask an operation to stop."""
    yield Call(SERVICE, "CancelOperation", operations_pb2.CancelOperationRequest(name=name))
