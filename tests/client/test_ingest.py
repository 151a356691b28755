"""Ingest as the clients send it, to a server whose answers each test writes by hand."""

import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from lodex.client import async_ingest, ingest, ingest_state
from lodex.client.ingest_state import Batches, IngestOptions, IngestState
from lodex.errors import InvalidArgumentError, UnavailableError
from lodex.types import Document
from lodex.v1 import datastore_pb2

Ask = Callable[..., Any]
INGEST = "DatastoreService.Ingest"


def documents(n: int) -> list[Document]:
    return [Document(f"d{i}", f"text {i}", metadata={"i": i}) for i in range(n)]


class Ledger:
    """A server of Ingest: it keeps batches by their numbers, and breaks streams where a test says."""

    def __init__(self) -> None:
        self.streams = 0
        self.durable = 0
        self.batches: dict[int, list[str]] = {}
        self.arrivals: list[tuple[int, float]] = []
        self.breaks: set[int] = set()
        self.wait_ms = 0

    async def answer(self, requests: Any, context: Any) -> Any:
        """Acknowledge every batch, but for those that break the stream: they are kept the second time."""
        self.streams += 1
        async for message in requests:
            if message.HasField("start"):
                self.start = message.start
                yield datastore_pb2.IngestResponse(started={"next_sequence": self.durable + 1})
                continue
            batch = message.batch
            self.arrivals.append((batch.sequence, time.monotonic()))
            if batch.sequence in self.breaks:
                self.breaks.discard(batch.sequence)
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            assert batch.sequence == self.durable + 1
            self.durable = batch.sequence
            self.batches[batch.sequence] = [document.doc_id for document in batch.documents]
            if self.wait_ms:
                yield datastore_pb2.IngestResponse(backoff={"wait_ms": self.wait_ms})
            yield datastore_pb2.IngestResponse(acknowledged={"sequence": batch.sequence, "version": batch.sequence})
        count = sum(map(len, self.batches.values()))
        yield datastore_pb2.IngestResponse(finished={"version": self.durable, "documents": count})


@pytest.fixture
def ledger(server: Any) -> Ledger:
    """Such a server."""
    made = Ledger()
    server.on(INGEST, made.answer)
    return made


def test_documents_are_sent_in_batches(ledger: Ledger, ask: Ask) -> None:
    """Of as many as are asked for, numbered from 1, with what the caller said."""
    result = ask("ingest", "docs", documents(7), batch=3, request_id="r", replace=True)
    assert list(map(len, ledger.batches.values())) == [3, 3, 1]
    assert (ledger.start.store, ledger.start.request_id, ledger.start.replace) == ("docs", "r", True)
    assert (result.documents, result.version, result.request_id) == (7, 3, "r")


def test_a_broken_stream_is_resumed(ledger: Ledger, ask: Ask) -> None:
    """What was not acknowledged is sent again, and nothing else."""
    ledger.breaks = {2, 4}
    assert ask("ingest", "docs", documents(10), batch=2).documents == 10
    assert ledger.streams == 3
    assert [doc_id for batch in ledger.batches.values() for doc_id in batch] == [f"d{i}" for i in range(10)]
    assert [sequence for sequence, _ in ledger.arrivals].count(1) == 1


def test_an_ingest_goes_on_where_another_process_stopped(ledger: Ledger, ask: Ask) -> None:
    """With the same documents and batches, those that are durable are passed over."""
    ledger.durable = 3
    ask("ingest", "docs", documents(10), batch=2, request_id="r")
    assert ledger.batches == {4: ["d6", "d7"], 5: ["d8", "d9"]}


def test_a_server_that_stays_away_is_given_up(server: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some streams without any progress."""
    streams = 0

    async def refuse(requests: Any, context: Any) -> Any:
        nonlocal streams
        streams += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        yield

    server.on(INGEST, refuse)
    for module in (ingest, async_ingest):
        monkeypatch.setattr(module, "ATTEMPTS", 3)
    with pytest.raises(UnavailableError):
        ask("ingest", "docs", documents(1))
    assert streams >= 3


def test_a_client_waits_when_it_is_asked_to(ledger: Ledger, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each time it is asked."""
    monkeypatch.setattr(ingest_state, "WINDOW_BYTES", 1)
    ledger.wait_ms = 150
    ask("ingest", "docs", documents(4), batch=1)
    times = [at for _, at in ledger.arrivals]
    assert times[-1] - times[0] > 0.25


def test_no_more_is_kept_than_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch that fills it asks to be published; what is acknowledged is let go."""
    monkeypatch.setattr(ingest_state, "WINDOW_BYTES", 100)
    state = IngestState(IngestOptions.make("docs", "r", False, False, 10))
    batches = Batches(10)
    batches.add(Document("a", "x" * 60))
    state.keep(batches.rest())
    assert not state.is_full
    batches.add(Document("b", "x" * 60))
    state.keep(batches.rest())
    first, second = state.get(1), state.get(2)
    assert state.is_full
    assert first is not None
    assert second is not None
    assert (first.batch.publish, second.batch.publish) == (False, True)
    state.read(datastore_pb2.IngestResponse(acknowledged={"sequence": 1, "version": 5}))
    assert not state.is_full
    assert state.get(1) is None


def test_a_batch_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless one document alone is larger."""
    monkeypatch.setattr(ingest_state, "BATCH_BYTES", 100)
    batches = Batches(10)
    sizes = [len(full) for text in ("x" * 40, "x" * 40, "x" * 300, "x") if (full := batches.add(Document("a", text)))]
    assert [*sizes, len(batches.rest())] == [2, 1, 1]


@pytest.mark.parametrize("wrong", ["text", Document("a", "x", metadata={"a": float("nan")}), Document(3, "x")])  # type: ignore[arg-type]
def test_what_is_no_document_is_refused(ledger: Ledger, ask: Ask, wrong: Any) -> None:
    """Before it is sent."""
    with pytest.raises(InvalidArgumentError):
        ask("ingest", "docs", [wrong])
    with pytest.raises(InvalidArgumentError):
        ask("ingest", "docs", documents(1), batch=0)
