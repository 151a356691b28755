"""Sliding windows over more candidates than one prompt holds."""

from __future__ import annotations

from collections.abc import Iterator


def sliding_windows(count: int, window: int, stride: int) -> Iterator[tuple[int, int]]:
    """The windows [begin, end) over `count` candidates, from the end to the front, `stride` apart.

    The last begins at 0, and may be shorter; so does the only one of a short list. 100 candidates at 20 and 10 make
    nine windows. Sun et al. 2023, RankGPT (arXiv:2304.09542), section 3.2; unlike its code, none follows the one that
    begins at 0.
    """
    end = count
    while end > 0:
        begin = max(0, end - window)
        yield begin, end
        if begin == 0:
            return
        end -= stride
