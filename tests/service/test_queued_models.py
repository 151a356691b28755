"""Embedders that index builds share with requests."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lodex.service.models import Models
from lodex.service.queued_models import QueuedModels


def test_vectors_are_the_same_by_turns() -> None:
    """Bit for bit, however many texts there are; progress adds up, and what it raises stops the work."""
    models = Models()
    direct = models.load(models.default)
    queued = QueuedModels(models)
    assert queued.load(models.default) is direct
    with ThreadPoolExecutor(1) as executor:
        queued.queue_on(lambda name: executor)
        encoder = queued.load_same(direct.info)
        for n in (0, 1, 8, 19):
            texts = [f"passage {i} " * (i % 5 + 1) for i in range(n)]
            told: list[int] = []
            by_turns, at_once = encoder.embed_passages(texts, told.append), direct.embed_passages(texts)
            assert np.array_equal(by_turns.vectors, at_once.vectors)
            assert np.array_equal(by_turns.truncated, at_once.truncated)
            assert (by_turns.tokens, by_turns.fingerprint, sum(told)) == (at_once.tokens, at_once.fingerprint, n)
