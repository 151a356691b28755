"""Which texts go through the model together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby


def plan_batches(lengths: Sequence[int], max_batch_tokens: int) -> list[list[int]]:
    """Positions in batches of at most `max_batch_tokens` tokens, or of one text that has more; longest first.

    Texts of one length stand together, in their order, so that attention can take them at once; texts of other lengths
    fill what is left of a batch. Every position is in one batch.
    """
    batches: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or lengths[i] > room:
            batches.append([])
            room = max_batch_tokens
        batches[-1].append(i)
        room -= lengths[i]
    return batches


def batches_of_equal_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions in batches of one length each, longest first, at most `batch_tokens` tokens or one text a batch.

    One length means no padding where a model takes rows: no work is wasted and no mask is needed. Equal lengths keep
    their order.
    """
    by_length = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for length, group in groupby(by_length, key=lambda i: lengths[i]):
        members = list(group)
        size = max(1, batch_tokens // length)
        for start in range(0, len(members), size):
            yield members[start : start + size]
