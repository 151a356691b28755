"""Jobs that outlast a request: each runs on a thread, tells how far it is, and keeps its result for a while."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from lodex.errors import (
    CancelledError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    LodexError,
    NotFoundError,
    ResourceExhaustedError,
)
from lodex.index.store import Store
from lodex.service.status import as_lodex_error, to_status
from lodex.v1 import datastore_pb2

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[["JobMeter"], Message]
"""What a job does; its message is the response. It stops at the next progress it tells after it is cancelled."""
KEEP_S = 24 * 3600.0
"""How long a finished operation is kept."""
KEEP = 1000
"""How many operations are kept; of the finished ones the oldest go first."""
_PREFIX = "operations/"


class JobMeter:
    """A `Progress` that keeps how far a job is. Where it was cancelled, it raises the reason instead."""

    def __init__(self, job: str, store: str) -> None:
        self._progress = datastore_pb2.JobProgress(job=job, store=store)
        self._progress.start_time.GetCurrentTime()
        self._lock = threading.Lock()
        self._reason: LodexError | None = None

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Begin a phase."""
        self.check()
        with self._lock:
            self._progress.phase, self._progress.done, self._progress.unit = label, 0, unit
            self._progress.ClearField("total")
            if total is not None:
                self._progress.total = total

    def advance(self, amount: int) -> None:
        """Go on."""
        with self._lock:
            self._progress.done += amount
        self.check()

    def finish(self) -> None:
        """The next phase, or the end, tells more."""

    def tasks(self, done: int, total: int | None) -> None:
        """So many tasks of the job have ended."""
        with self._lock:
            self._progress.tasks_done, self._progress.tasks_total = done, total or 0

    def check(self) -> None:
        """The reason, where the job was cancelled."""
        if self._reason is not None:
            raise self._reason

    @property
    def is_cancelled(self) -> bool:
        """Whether the job is to stop."""
        return self._reason is not None

    def cancel(self, reason: LodexError | None = None) -> None:
        """Let the job stop at its next check, with CancelledError unless another reason is given. The first counts."""
        self._reason = self._reason or reason or CancelledError("the operation was cancelled")

    def end(self) -> None:
        """Take down when the job ended."""
        with self._lock:
            self._progress.end_time.GetCurrentTime()

    def message(self) -> datastore_pb2.JobProgress:
        """How far it is now."""
        copy = datastore_pb2.JobProgress()
        with self._lock:
            copy.CopyFrom(self._progress)
        return copy


def on_kept_version(store: Store, work: Callable[[], T], meter: JobMeter) -> T:
    """What `work` gives; it is done again, on the newest version, where one was removed under it."""
    while True:
        begun = store.version
        try:
            return work()
        except (DataLossError, NotFoundError) as error:
            meter.check()
            if all(store.keeps(version) for version in range(begun, store.version)):
                raise
            logger.debug("a version of %s was removed under its readers, again on the newest: %s", store.path, error)


class Operation:
    """A job with a name. `ended` is done when the job is; `response` or `error` is then there."""

    def __init__(self, name: str, job: str, store: str) -> None:
        self.name = name
        self.job = job
        self.store = store
        self.meter = JobMeter(job, store)
        self.ended: Future[None] = Future()
        self.end_time = 0.0
        self.response: Message | None = None
        self.error: Exception | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.ended.done()

    def run(self, work: Work) -> None:
        """Do the work, unless it was cancelled before it began."""
        try:
            self.meter.check()
            self.response = work(self.meter)
        except Exception as error:  # noqa: BLE001  # every error becomes the operation's
            self.error = as_lodex_error(error)
        self.meter.end()
        self.end_time = time.monotonic()
        self.ended.set_result(None)

    def message(self) -> operations_pb2.Operation:
        """The operation as it is now."""
        reply = operations_pb2.Operation(name=self.name, done=self.is_done)
        reply.metadata.Pack(self.meter.message())
        if reply.done and self.response is not None:
            reply.response.Pack(self.response)
        elif reply.done and self.error is not None:
            reply.error.CopyFrom(to_status(self.error))
        return reply


class Operations:
    """The jobs of this process. Those of one lane run in turn, in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: dict[str, Operation] = {}
        # What was asked under an id of a request, and the operation that it began.
        self._requests: dict[tuple[str, str, str], tuple[bytes, str]] = {}
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._is_closed = False

    def start(
        self, job: str, store: str, request_id: str, work: Work, lane: str = "", request: bytes = b""
    ) -> Operation:
        """Begin a job, or find the one that this request began before. `lane` is the store's own unless given.

        `request` is all that was asked: InvalidArgumentError where the id was used for something else before.
        ResourceExhaustedError where too many are unfinished, FailedPreconditionError after `close`.
        """
        with self._lock:
            self._forget()
            known = self._requests.get((job, store, request_id)) if request_id else None
            if known is not None:
                if known[0] != request:
                    raise InvalidArgumentError(
                        f"request_id {request_id!r} was used for another {job} of store {store!r}, which asked for "
                        "something else: take a new id",
                        "request_id",
                    )
                return self._operations[known[1]]
            if self._is_closed:
                raise FailedPreconditionError("the server is leaving and begins no further job")
            if len(self._operations) >= KEEP:
                raise ResourceExhaustedError(f"{KEEP} operations are unfinished, the limit")
            operation = Operation(f"{_PREFIX}{secrets.token_hex(8)}", job, store)
            self._operations[operation.name] = operation
            if request_id:
                self._requests[job, store, request_id] = request, operation.name
            lane = lane or store
            if lane not in self._lanes:
                self._lanes[lane] = ThreadPoolExecutor(1, f"lodex-job-{lane}")
            self._lanes[lane].submit(self._run, operation, work)
        return operation

    def get(self, name: str) -> Operation:
        """An operation by its name; NotFoundError."""
        found = self._operations.get(name)
        if found is None:
            raise NotFoundError(f"no operation {name!r} on this server; finished ones are kept for a day")
        return found

    def all(self) -> tuple[Operation, ...]:
        """Every operation, oldest first."""
        with self._lock:
            self._forget()
            return tuple(self._operations.values())

    def cancel(self, name: str) -> None:
        """Let an operation stop at its next check. It then ends with CancelledError, unless it ended before."""
        self.get(name).meter.cancel()

    def drop_store(self, store: str) -> None:
        """Let the jobs of a store that was dropped end with NotFoundError, and forget which requests began them."""
        with self._lock:
            self._requests = {key: known for key, known in self._requests.items() if key[1] != store}
            unfinished = [each for each in self._operations.values() if each.store == store and not each.is_done]
        for operation in unfinished:
            operation.meter.cancel(NotFoundError(f"store {store!r} was dropped"))

    def delete(self, name: str) -> None:
        """Forget an operation that has ended; FailedPreconditionError for one that has not."""
        if not self.get(name).is_done:
            raise FailedPreconditionError(f"operation {name!r} is not done; cancel it first")
        with self._lock:
            self._operations.pop(name, None)

    def close(self) -> None:
        """Cancel what is unfinished, and wait for it to stop."""
        with self._lock:
            self._is_closed = True
            unfinished = [operation for operation in self._operations.values() if not operation.is_done]
        for operation in unfinished:
            operation.meter.cancel()
        for executor in self._lanes.values():
            executor.shutdown(wait=True)

    def _run(self, operation: Operation, work: Work) -> None:
        logger.info("operation %s begins: %s of %s", operation.name, operation.job, operation.store)
        operation.run(work)
        logger.info("operation %s ended: %s", operation.name, operation.error or "well")

    def _forget(self) -> None:
        """Let go of finished operations that are too old or too many."""
        for name in list(self._superfluous()):
            del self._operations[name]
        self._requests = {key: known for key, known in self._requests.items() if known[1] in self._operations}

    def _superfluous(self) -> Iterator[str]:
        excess = len(self._operations) - KEEP + 1
        oldest = time.monotonic() - KEEP_S
        for operation in self._operations.values():
            if operation.is_done and (excess > 0 or operation.end_time < oldest):
                excess -= 1
                yield operation.name
