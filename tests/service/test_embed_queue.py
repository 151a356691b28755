"""The queue before an embedder, with one that records its batches."""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError as FutureCancelledError

import pytest

from lodex.embed.tokens.framing import TokenRow
from lodex.errors import CancelledError, DeadlineExceededError, ResourceExhaustedError, UnavailableError
from lodex.service import embed_queue
from lodex.service.embed_queue import EmbedQueue, Priority
from tests.service.recording_encoder import RecordingEncoder, eventually, row

Open = Callable[..., EmbedQueue]


@pytest.fixture
def opened() -> Iterator[Open]:
    """`opened(encoder, ...)` gives a queue that is closed at the end."""
    queues: list[tuple[EmbedQueue, RecordingEncoder]] = []

    def make(encoder: RecordingEncoder, **options: object) -> EmbedQueue:
        queue = EmbedQueue(encoder, **{"max_queued_tokens": 10**6, **options})
        queues.append((queue, encoder))
        return queue

    yield make
    for queue, encoder in queues:
        encoder.gate.set()
        queue.close()


def rows(*firsts: int, length: int = 1) -> list[TokenRow]:
    return [row(first, length) for first in firsts]


def test_a_lone_request_starts_at_once(opened: Open) -> None:
    """There is nothing to wait for: its batch is as small as it is."""
    encoder = RecordingEncoder()
    queue = opened(encoder)
    embedded = queue.submit(rows(5, 6)).result(20)
    assert encoder.batches == [[5, 6]]
    assert embedded.vectors[:, 0].tolist() == [5, 6]


def test_what_comes_while_the_model_is_busy_shares_the_next_batch(opened: Open) -> None:
    """Of all requests, as many texts as the budget holds, and not one more."""
    encoder = RecordingEncoder(max_batch_tokens=4)
    queue = opened(encoder)
    encoder.gate.clear()
    first = queue.submit(rows(1))
    encoder.wait_for(1)
    others = [queue.submit(rows(i)) for i in range(2, 8)]
    encoder.gate.set()
    for i, future in enumerate([first, *others], start=1):
        assert future.result(20).vectors[0, 0] == i
    assert encoder.batches == [[1], [2, 3, 4, 5], [6, 7]]


def test_no_batch_holds_more_than_the_budget_but_for_one_long_text(opened: Open) -> None:
    """A text that is longer by itself goes alone."""
    encoder = RecordingEncoder(max_batch_tokens=8)
    queue = opened(encoder)
    lengths = [3, 3, 3, 20, 1, 8, 7, 1, 1]
    embedded = queue.submit([row(i, length) for i, length in enumerate(lengths)]).result(20)
    assert embedded.vectors[:, 1].tolist() == lengths
    assert all(tokens <= 8 or len(batch) == 1 for batch, tokens in zip(encoder.batches, encoder.tokens, strict=True))
    assert encoder.batches == [[0, 1], [2], [3], [4], [5], [6, 7], [8]]


def test_a_short_request_does_not_wait_for_the_end_of_a_long_one(opened: Open) -> None:
    """Requests take turns, a text each."""
    encoder = RecordingEncoder(max_batch_tokens=4)
    queue = opened(encoder)
    encoder.gate.clear()
    queue.submit(rows(0))
    encoder.wait_for(1)
    long = queue.submit(rows(*range(100, 120)))
    short = queue.submit(rows(7))
    encoder.gate.set()
    assert short.result(20).vectors[0, 0] == 7
    long.result(20)
    assert encoder.batches[1] == [100, 7, 101, 102]


def test_queries_go_before_bulk(opened: Open) -> None:
    """Though it came first; what room they leave is bulk's."""
    encoder = RecordingEncoder(max_batch_tokens=4)
    queue = opened(encoder, bulk_share=0)
    encoder.gate.clear()
    queue.submit(rows(0))
    encoder.wait_for(1)
    bulk = queue.submit(rows(100, 101, 102), priority=Priority.BULK)
    queries = queue.submit(rows(*range(1, 7)))
    encoder.gate.set()
    bulk.result(20)
    queries.result(20)
    assert encoder.batches == [[0], [1, 2, 3, 4], [5, 6, 100, 101], [102]]


@pytest.mark.parametrize(("bulk_length", "share"), [(1, 0.1), (4, 0.1), (20, 0.1), (3, 0.25)])
def test_bulk_is_never_starved(opened: Open, bulk_length: int, share: float) -> None:
    """While queries keep coming, it gets its share of the tokens, and no more than a batch beyond it."""
    encoder = RecordingEncoder(max_batch_tokens=10)
    queue = opened(encoder, bulk_share=share)
    encoder.gate.clear()
    queue.submit(rows(0))
    encoder.wait_for(1)
    bulk = queue.submit(rows(*[9] * 400, length=bulk_length), priority=Priority.BULK)
    queries = queue.submit(rows(*[1] * 2000))
    encoder.gate.set()
    queries.result(60)
    # The last batch may hold bulk because no queries were left.
    contested = encoder.batches[1 : max(i for i, batch in enumerate(encoder.batches) if 1 in batch)]
    of_bulk = bulk_length * sum(batch.count(9) for batch in contested)
    total = of_bulk + sum(batch.count(1) for batch in contested)
    assert of_bulk >= share * total - max(10, bulk_length)
    assert of_bulk <= share * total + max(10, bulk_length)
    bulk.cancel()


def test_a_request_that_was_given_up_never_reaches_the_model(opened: Open) -> None:
    """It leaves the queue at once, and makes room in it."""
    encoder = RecordingEncoder(max_batch_tokens=2)
    queue = opened(encoder)
    encoder.gate.clear()
    queue.submit(rows(0))
    encoder.wait_for(1)
    given_up, kept = queue.submit(rows(5, 6, 7)), queue.submit(rows(8))
    assert queue.statistics.waiting_tokens == 4
    assert given_up.cancel()
    assert queue.statistics.waiting_tokens == 1
    encoder.gate.set()
    kept.result(20)
    assert encoder.batches == [[0], [8]]
    assert queue.statistics.dropped_texts == 3
    with pytest.raises(FutureCancelledError):
        given_up.result(0)


def test_a_request_given_up_half_way_goes_no_further(opened: Open) -> None:
    """What is in the model is lost, what waits is dropped."""
    encoder = RecordingEncoder(max_batch_tokens=2)
    queue = opened(encoder)
    encoder.gate.clear()
    given_up = queue.submit(rows(1, 2, 3, 4))
    encoder.wait_for(1)
    assert given_up.cancel()
    encoder.gate.set()
    queue.submit(rows(9)).result(20)
    assert encoder.batches == [[1, 2], [9]]


@pytest.mark.parametrize("error", [CancelledError, DeadlineExceededError])
def test_a_request_that_is_too_late_is_dropped_before_the_forward(opened: Open, error: type[Exception]) -> None:
    """It is asked for before each batch that it has a part in, once."""
    encoder = RecordingEncoder(max_batch_tokens=2)
    queue = opened(encoder)
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 2:
            raise error("nobody waits")

    late = queue.submit(rows(1, 2, 3, 4), check=check)
    with pytest.raises(error, match="nobody waits"):
        late.result(20)
    assert encoder.batches == [[1, 2]]
    assert checks == 2
    eventually(lambda: queue.statistics.dropped_texts == 2)
    assert queue.statistics.waiting_tokens == 0


def test_a_full_queue_refuses_at_once(opened: Open) -> None:
    """Each class for itself: bulk never keeps a query out."""
    encoder = RecordingEncoder()
    queue = opened(encoder, max_queued_tokens=3)
    encoder.gate.clear()
    queue.submit(rows(0))
    encoder.wait_for(1)
    queue.submit(rows(*range(50)), priority=Priority.BULK)
    with pytest.raises(ResourceExhaustedError, match="50 tokens wait for embedder 'model', the limit is 3"):
        queue.submit(rows(1), priority=Priority.BULK)
    queue.submit(rows(1, 2))
    queue.submit(rows(3, 4))
    with pytest.raises(ResourceExhaustedError):
        queue.submit(rows(5))
    assert queue.statistics.refused_requests == 2
    assert len(encoder.batches) == 1


def test_a_request_that_breaks_the_model_leaves_the_others_unharmed(opened: Open) -> None:
    """Those that shared its batch are embedded without it, and the queue goes on."""
    encoder = RecordingEncoder(max_batch_tokens=8)
    encoder.poison = 13
    queue = opened(encoder)
    encoder.gate.clear()
    queue.submit(rows(0))
    encoder.wait_for(1)
    good, bad, also_good = queue.submit(rows(1, 2)), queue.submit(rows(13, 3)), queue.submit(rows(4))
    encoder.gate.set()
    assert good.result(20).vectors[:, 0].tolist() == [1, 2]
    assert also_good.result(20).vectors[:, 0].tolist() == [4]
    with pytest.raises(ZeroDivisionError):
        bad.result(20)
    assert queue.submit(rows(5)).result(20).vectors[0, 0] == 5


def test_batches_go_side_by_side_where_the_encoder_allows(opened: Open) -> None:
    """A batch a thread; where all are free, each takes its part of what waits."""
    encoder = RecordingEncoder(max_batch_tokens=8, batches_at_once=2)
    queue = opened(encoder)
    encoder.gate.clear()
    embedded = queue.submit(rows(*range(8)))
    encoder.wait_for(2)
    assert sorted(encoder.batches) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    queue.submit(rows(9))
    assert len(encoder.batches) == 2
    encoder.gate.set()
    assert embedded.result(20).vectors[:, 0].tolist() == list(range(8))


def test_no_rows_are_no_work(opened: Open) -> None:
    """Answered without a thread."""
    encoder = RecordingEncoder()
    assert len(opened(encoder).submit([]).result(0).vectors) == 0
    assert encoder.batches == []


def test_closing_ends_what_waits(opened: Open) -> None:
    """With UnavailableError; what is in the model is answered, and nothing is taken any more."""
    encoder = RecordingEncoder(max_batch_tokens=1)
    queue = opened(encoder)
    encoder.gate.clear()
    at_work = queue.submit(rows(1))
    encoder.wait_for(1)
    waiting = queue.submit(rows(2, 3))
    waiting.add_done_callback(lambda future: encoder.gate.set())
    queue.close()
    with pytest.raises(UnavailableError):
        waiting.result(20)
    assert at_work.result(20).vectors[0, 0] == 1
    with pytest.raises(UnavailableError):
        queue.submit(rows(4))
    assert encoder.batches == [[1]]


def test_threads_without_work_end(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that was forgotten holds no model; one that is used again has a thread again."""
    monkeypatch.setattr(embed_queue, "_IDLE_S", 0.01)
    queue = opened(RecordingEncoder())
    for i in range(3):
        queue.submit(rows(i)).result(20)
        eventually(lambda: not queue._threads)


def test_what_was_done_is_counted(opened: Open) -> None:
    """Batches, texts, tokens and the time they took; how long a request waited and was worked on."""
    encoder = RecordingEncoder(max_batch_tokens=4)
    queue = opened(encoder)
    encoder.gate.clear()
    first = queue.submit(rows(1, length=2))
    encoder.wait_for(1)
    second = queue.submit(rows(2, 3, length=3))
    assert (queue.statistics.waiting_texts, queue.statistics.waiting_tokens) == (2, 6)
    encoder.gate.set()
    assert second.result(20).queue_ns > 0
    assert first.result(20).compute_ns > 0
    eventually(lambda: queue.statistics.batches == 3)
    done = queue.statistics
    assert (done.texts, done.tokens, done.waiting_texts, done.waiting_tokens) == (3, 8, 0, 0)
    assert done.busy_ns > 0
