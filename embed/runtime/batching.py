"""Which texts go through the model together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby


def batches_of_equal_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions in batches of one length each, longest first, at most `batch_tokens` tokens or one text a batch.

    One length means no padding: no work is wasted and no mask is needed. Equal lengths keep their order.
    """
    by_length = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for length, group in groupby(by_length, key=lambda i: lengths[i]):
        members = list(group)
        size = max(1, batch_tokens // length)
        for start in range(0, len(members), size):
            yield members[start : start + size]
