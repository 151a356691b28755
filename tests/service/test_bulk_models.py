"""Embedders that index builds share with requests."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from lodex.errors import CancelledError, InvalidArgumentError
from lodex.service.bulk_models import BulkEncoder, BulkModels
from lodex.service.embed_queue import EmbedQueue
from lodex.service.models import Embedder, Models
from tests.service.recording_encoder import RecordingEncoder, row


@pytest.fixture
def recording() -> Iterator[Callable[[RecordingEncoder], Embedder]]:
    """`recording(encoder)` puts an embedder behind a queue."""
    queues: list[EmbedQueue] = []

    def make(encoder: RecordingEncoder) -> Embedder:
        queues.append(EmbedQueue(encoder, max_queued_tokens=10))
        return Embedder(encoder, queues[-1])

    yield make
    for queue in queues:
        queue.close()


def test_vectors_are_the_same_as_bulk() -> None:
    """Bit for bit, however many texts there are; progress adds up, and so do tokens."""
    models = Models()
    direct = models.load(models.default)
    encoder = BulkModels(models).load_same(direct.info)
    for n in (0, 1, 8, 200):
        texts = [f"passage {i} " * (i % 5 + 1) for i in range(n)]
        told: list[int] = []
        queued, at_once = encoder.embed_passages(texts, told.append), direct.embed_passages(texts)
        assert np.array_equal(queued.vectors, at_once.vectors)
        assert np.array_equal(queued.truncated, at_once.truncated)
        assert (queued.tokens, queued.fingerprint, sum(told)) == (at_once.tokens, direct.info.fingerprint, n)
        assert queued.token_counts.sum() == queued.tokens
    models.close()


def test_queries_do_not_wait_for_an_index_build(recording: Callable[[RecordingEncoder], Embedder]) -> None:
    """A query that comes while it is at work is in the very next batch."""
    encoder = RecordingEncoder(max_batch_tokens=4)
    embedder = recording(encoder)
    asked = []

    def advance(done: int) -> None:
        if not asked:
            asked.append(len(encoder.batches))
            embedder.queue.submit([row(77)]).result(20)
            asked.append(next(i for i, batch in enumerate(encoder.batches) if 77 in batch))

    BulkEncoder(embedder).embed_passages(["5"] * 640, advance)
    assert asked[1] - asked[0] <= 2
    assert sum(map(len, encoder.batches)) == 641


def test_a_build_that_is_stopped_leaves_nothing_behind(recording: Callable[[RecordingEncoder], Embedder]) -> None:
    """What `advance` raises comes out, and what was ahead is dropped."""
    encoder = RecordingEncoder(max_batch_tokens=64)
    embedder = recording(encoder)

    def advance(done: int) -> None:
        encoder.gate.clear()
        raise CancelledError("enough")

    with pytest.raises(CancelledError):
        BulkEncoder(embedder).embed_passages(["5"] * 6400, advance)
    encoder.gate.set()
    assert embedder.queue.statistics.waiting_texts == 0
    assert len(encoder.batches) <= 4


def test_a_passage_without_a_row_is_an_error(recording: Callable[[RecordingEncoder], Embedder]) -> None:
    """An index has no place for a passage without a vector."""
    with pytest.raises(InvalidArgumentError):
        BulkEncoder(recording(RecordingEncoder())).embed_passages(["1", "unreadable"])
