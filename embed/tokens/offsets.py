"""Which tokens of a prompt and its text are the text's, by the characters they come from."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Encoding


def last_copy(text: str, around: Sequence[str]) -> tuple[int, int]:
    """Where the last copy of a text stands in around[0] text around[1] ... around[-1], in characters."""
    end = len(text) * (len(around) - 1) + sum(len(part) for part in around[:-1])
    return end - len(text), end


def tokens_within(encoding: Encoding, begin: int, end: int) -> tuple[int, int]:
    """The run [first, last) of tokens that have a character of [begin, end).

    Without any, both are the place where it would be. A token over either bound is in the run.
    """
    offsets = encoding.offsets
    first = next((i for i, (_, its_end) in enumerate(offsets) if its_end > begin), len(offsets))
    last = next((i for i in range(first, len(offsets)) if offsets[i][0] >= end), len(offsets))
    return first, last


def shortened(encoding: Encoding, begin: int, length: int, fewer: int) -> int:
    """How many of the `length` characters from `begin` on to keep for `fewer` tokens less; at least one less."""
    first, last = tokens_within(encoding, begin, begin + length)
    kept = last - fewer
    if kept <= first:
        return 0
    return max(0, min(encoding.offsets[kept - 1][1] - begin, length - 1))
