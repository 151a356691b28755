"""One queue before each embedder: texts of many requests share a forward, and nothing waits on purpose."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lodex.embed.tokens.framing import TokenRow
from lodex.errors import ResourceExhaustedError, UnavailableError

Vectors = npt.NDArray[np.float32]

# Threads without work end, and with them the last that holds a model that was forgotten.
_IDLE_S = 10.0
# Where threads are free, a batch is still no smaller than this part of a whole one: below, a forward gains nothing.
_LEAST_PART = 4


class Priority(Enum):
    """Who waits for vectors: somebody now, or work that takes long anyway."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class EmbedsRows(Protocol):
    """What the queue asks of an embedder. Threads may share it."""

    @property
    def max_batch_tokens(self) -> int:
        """A good size of a batch."""
        ...

    @property
    def batches_at_once(self) -> int:
        """How many batches go side by side, each in a thread: the cores of a CPU, 1 on an accelerator."""
        ...

    def embed_tokens(self, rows: Sequence[TokenRow]) -> Vectors:
        """The vectors (n, d) of rows, by one forward."""
        ...


@dataclass(frozen=True, slots=True)
class EmbeddedRows:
    """Vectors (n, d) float32 in the order of the rows; how long they waited, and from their first batch to the last."""

    vectors: Vectors
    queue_ns: int
    compute_ns: int


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """What waits in a queue, and what it has done since it was made. `busy_ns` adds up all threads."""

    waiting_texts: int = 0
    waiting_tokens: int = 0
    batches: int = 0
    texts: int = 0
    tokens: int = 0
    dropped_texts: int = 0
    refused_requests: int = 0
    busy_ns: int = 0


class EmbedQueue:
    """Batches of at most `encoder.max_batch_tokens` tokens, or one text that has more, out of the requests that wait.

    There is no timer. A batch starts as soon as a thread is free and anything waits; what comes while all threads are
    at work gathers, so batches grow with the load and a lone request pays nothing. text-embeddings-inference queues so;
    two things are more here.

    Requests of a class take turns, a text each, so that a short one does not wait for the end of a long one.
    Interactive texts go first; but while bulk waits too, its texts get at least `bulk_share` of the tokens, and all the
    room that a batch has left.

    Each class may have `max_queued_tokens` waiting; once it has, `submit` raises ResourceExhaustedError. What nobody
    waits for any more never reaches the model: a future that is cancelled leaves the queue at once, and `check` is
    called before each batch that a request has a part in.
    """

    def __init__(
        self, encoder: EmbedsRows, *, max_queued_tokens: int, bulk_share: float = 0.1, name: str = "model"
    ) -> None:
        self._encoder = encoder
        self._limit = max_queued_tokens
        self._share = bulk_share
        self._name = name
        self._waiting = {priority: _Waiting() for priority in Priority}
        # Tokens that bulk has been passed over for.
        self._owed = 0.0
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._busy = 0
        self._is_closed = False
        self._counts = dict.fromkeys(("batches", "texts", "tokens", "dropped_texts", "refused_requests", "busy_ns"), 0)

    @property
    def statistics(self) -> QueueStatistics:
        """A look at it, at one instant."""
        with self._changed:
            waiting = self._waiting.values()
            return QueueStatistics(
                waiting_texts=sum(each.texts for each in waiting),
                waiting_tokens=sum(each.tokens for each in waiting),
                **self._counts,
            )

    def submit(
        self,
        rows: Sequence[TokenRow],
        *,
        check: Callable[[], None] = lambda: None,
        priority: Priority = Priority.INTERACTIVE,
    ) -> Future[EmbeddedRows]:
        """Line rows up; the future has the vectors of all of them.

        `check` raises where nobody waits any more, and so does the future then. ResourceExhaustedError at once where
        the queue is full, UnavailableError where it was closed.
        """
        request = _Request(rows, check)
        if not rows:
            request.finish(np.empty((0, 0), np.float32))
            return request.future
        with self._changed:
            if self._is_closed:
                raise UnavailableError(f"embedder {self._name!r} is not served any more")
            waiting = self._waiting[priority]
            if waiting.tokens >= self._limit:
                self._counts["refused_requests"] += 1
                raise ResourceExhaustedError(
                    f"{waiting.tokens} tokens wait for embedder {self._name!r}, the limit is {self._limit}"
                )
            waiting.add(request)
            self._staff()
            self._changed.notify_all()
        request.future.add_done_callback(lambda future: self._drop(request) if future.cancelled() else None)
        return request.future

    def close(self) -> None:
        """End with UnavailableError what waits, and wait for the batches at work."""
        with self._changed:
            self._is_closed = True
            left = [request for waiting in self._waiting.values() for request in waiting.clear()]
            self._changed.notify_all()
        for request in left:
            request.fail(UnavailableError(f"embedder {self._name!r} is not served any more"))
        for thread in list(self._threads):
            thread.join()

    def _staff(self) -> None:
        """Have as many threads as there is work for, up to the number of batches that go side by side."""
        texts = sum(waiting.texts for waiting in self._waiting.values())
        wanted = min(self._busy + texts, self._encoder.batches_at_once)
        while len(self._threads) < wanted:
            # A process that ends does not wait for it: what is lost with it is nobody's any more.
            thread = threading.Thread(target=self._work, name=f"lodex-embed-{self._name}", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        """Embed batch after batch, until there has been nothing to do for a while."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or any(self._waiting.values()), _IDLE_S)
                if self._is_closed or not any(self._waiting.values()):
                    self._threads.discard(threading.current_thread())
                    return
                batch, given_up = self._next_batch()
                self._busy += 1
            try:
                for request, reason in given_up:
                    request.fail(reason)
                self._embed(batch)
            finally:
                with self._changed:
                    self._busy -= 1

    def _next_batch(self) -> tuple[list[_Place], list[tuple[_Request, Exception]]]:
        """The texts of the next batch, and requests that were dropped on the way, with the reason."""
        room = _Room(self._batch_tokens())
        given_up: list[tuple[_Request, Exception]] = []
        interactive, bulk = (self._waiting[priority] for priority in (Priority.INTERACTIVE, Priority.BULK))
        contested = bool(interactive) and bool(bulk)
        if contested:
            self._owed -= self._take(bulk, room, given_up, self._owed)
        self._take(interactive, room, given_up)
        self._take(bulk, room, given_up)
        if not contested:
            self._owed = 0.0
        elif bulk:
            # No more than a batch's worth, so that a long wait is not followed by a long turn.
            self._owed = min(self._owed + self._share * room.tokens, max(room.size, bulk.next_tokens))
        return room.places, given_up

    def _batch_tokens(self) -> int:
        """The size of the next batch: where other threads are free too, a fair part of what waits."""
        most = self._encoder.max_batch_tokens
        free = self._encoder.batches_at_once - self._busy
        if free <= 1:
            return most
        waiting = sum(each.tokens for each in self._waiting.values())
        return max(1, most // _LEAST_PART, min(most, -(-waiting // free)))

    def _take(
        self,
        waiting: _Waiting,
        room: _Room,
        given_up: list[tuple[_Request, Exception]],
        allowance: float | None = None,
    ) -> int:
        """Move texts of a class into a batch while they fit, at most `allowance` tokens; returns their tokens."""
        taken = 0
        while waiting:
            tokens = waiting.next_tokens
            if not room.fits(tokens) or (allowance is not None and taken + tokens > allowance):
                break
            request = waiting.first
            if not room.has(request):
                reason = request.reason_to_drop()
                if reason is not None:
                    self._counts["dropped_texts"] += waiting.remove(request)
                    given_up.append((request, reason))
                    continue
            room.add(waiting.take(), tokens)
            taken += tokens
        return taken

    def _embed(self, batch: Sequence[_Place]) -> None:
        if not batch:
            return
        begun_ns = time.perf_counter_ns()
        for place in batch:
            place.request.begun_ns = place.request.begun_ns or begun_ns
        failure: Exception | None = None
        vectors = np.empty((0, 0), np.float32)
        try:
            vectors = self._encoder.embed_tokens([place.row for place in batch])
            if len(vectors) != len(batch):
                raise RuntimeError(f"{len(batch)} rows have {len(vectors)} vectors; this is a bug")
        except Exception as error:  # noqa: BLE001  # it belongs to the requests of the batch, and the thread goes on
            failure = error
        with self._changed:
            self._counts["batches"] += 1
            self._counts["texts"] += len(batch)
            self._counts["tokens"] += sum(len(place.row.ids) for place in batch)
            self._counts["busy_ns"] += time.perf_counter_ns() - begun_ns
        requests = {place.request for place in batch}
        if failure is None:
            for place, vector in zip(batch, vectors, strict=True):
                place.request.put(place.position, vector)
        elif len(requests) > 1:
            # What is wrong with one request is no fault of those that happened to share its batch.
            for request in requests:
                self._embed([place for place in batch if place.request is request])
        else:
            (request,) = requests
            self._drop(request)
            request.fail(failure)

    def _drop(self, request: _Request) -> None:
        """Take what is left of a request out of the queue."""
        with self._changed:
            for waiting in self._waiting.values():
                self._counts["dropped_texts"] += waiting.remove(request)


class _Request:
    """Rows of one request, some of which wait; identity is what tells it from others."""

    def __init__(self, rows: Sequence[TokenRow], check: Callable[[], None]) -> None:
        self.rows = rows
        self.future: Future[EmbeddedRows] = Future()
        self.next = 0
        self.begun_ns = 0
        self._check = check
        self._submitted_ns = time.perf_counter_ns()
        self._vectors: Vectors | None = None
        self._missing = len(rows)
        # Batches of one request may end in several threads.
        self._lock = threading.Lock()

    @property
    def waiting_tokens(self) -> int:
        """Of the rows that are still to go through the model."""
        return sum(len(row.ids) for row in self.rows[self.next :])

    def reason_to_drop(self) -> Exception | None:
        """Why nobody waits for it, None where somebody does."""
        try:
            self._check()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the request's own
            return error
        return None

    def put(self, position: int, vector: Vectors) -> None:
        """Keep a vector; the last one ends the request."""
        with self._lock:
            if self._vectors is None:
                self._vectors = np.empty((len(self.rows), len(vector)), np.float32)
            self._vectors[position] = vector
            self._missing -= 1
            is_last = not self._missing
        if is_last:
            self.finish(self._vectors)

    def finish(self, vectors: Vectors) -> None:
        """Answer, unless it was given up."""
        begun_ns = self.begun_ns or self._submitted_ns
        answer = EmbeddedRows(vectors, begun_ns - self._submitted_ns, time.perf_counter_ns() - begun_ns)
        # Otherwise it was cancelled, or another of its batches failed.
        with suppress(InvalidStateError):
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless it was given up."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Place:
    """A row of a request in a batch."""

    request: _Request
    position: int

    @property
    def row(self) -> TokenRow:
        return self.request.rows[self.position]


class _Room:
    """A batch that is being filled."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.tokens = 0
        self.places: list[_Place] = []
        self._requests: set[_Request] = set()

    def fits(self, tokens: int) -> bool:
        return not self.places or self.tokens + tokens <= self.size

    def has(self, request: _Request) -> bool:
        return request in self._requests

    def add(self, place: _Place, tokens: int) -> None:
        self.places.append(place)
        self._requests.add(place.request)
        self.tokens += tokens


class _Waiting:
    """The requests of one class, which take turns."""

    def __init__(self) -> None:
        self._requests: deque[_Request] = deque()
        self.texts = 0
        self.tokens = 0

    def __bool__(self) -> bool:
        return bool(self._requests)

    @property
    def first(self) -> _Request:
        return self._requests[0]

    @property
    def next_tokens(self) -> int:
        return len(self.first.rows[self.first.next].ids)

    def add(self, request: _Request) -> None:
        self._requests.append(request)
        self.texts += len(request.rows)
        self.tokens += request.waiting_tokens

    def take(self) -> _Place:
        """The next text; its request goes to the end of the line."""
        request = self._requests.popleft()
        place = _Place(request, request.next)
        request.next += 1
        self.texts -= 1
        self.tokens -= len(place.row.ids)
        if request.next < len(request.rows):
            self._requests.append(request)
        return place

    def remove(self, request: _Request) -> int:
        """Forget a request; returns how many of its texts waited."""
        try:
            self._requests.remove(request)
        except ValueError:
            return 0
        texts = len(request.rows) - request.next
        self.texts -= texts
        self.tokens -= request.waiting_tokens
        request.next = len(request.rows)
        return texts

    def clear(self) -> list[_Request]:
        """Forget them all."""
        requests = list(self._requests)
        for request in requests:
            self.remove(request)
        return requests
