"""Chunk and average: long texts in pieces that fit, and the mean of their vectors (LongEmbed's baseline).

Zhu et al. 2024, LongEmbed (arXiv:2404.12096), section 3.1. It needs nothing of the model, and tokens of different
pieces never see each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class ChunkAverage:
    """Texts of up to `chunks` times an embedder's length, in as few pieces as it takes."""

    chunks: int

    def __post_init__(self) -> None:
        """InvalidArgumentError for none."""
        if self.chunks < 1:
            raise InvalidArgumentError(f"chunks is {self.chunks}, expected at least 1", "long_context")


def split_row(row: TokenRow, max_tokens: int, begin: int, end: int) -> list[TokenRow]:
    """A row in pieces of at most `max_tokens`, itself where it fits.

    Its first `begin` tokens (special tokens and the prompt) and its last `end` ones stand around every piece, and enter
    each one's pool as they enter the row's. Pieces are as long as they can be but for the last, and do not overlap.
    InvalidArgumentError where nothing of the text would fit between.
    """
    length = len(row.ids)
    if length <= max_tokens:
        return [row]
    inside = max_tokens - begin - end
    if inside < 1:
        raise InvalidArgumentError(
            f"pieces of {max_tokens} tokens: the {begin + end} around a text leave no room", "max_tokens"
        )
    ids = list(row.ids)
    head, text, tail = ids[:begin], ids[begin : length - end], ids[length - end :]
    pieces = []
    for start in range(0, len(text), inside):
        part = text[start : start + inside]
        after = begin + len(part)
        pool_end = after + max(0, row.pool_end - (length - end))
        pieces.append(TokenRow([*head, *part, *tail], min(row.pool_begin, begin), pool_end, row.truncated))
    return pieces


@dataclass(frozen=True, slots=True)
class Chunks:
    """How an embedder's rows are cut: to `max_tokens`, with `begin` and `end` special tokens around each piece."""

    max_tokens: int
    begin: int
    end: int

    def split(self, row: TokenRow) -> list[TokenRow]:
        """`split_row`; what is left out of the pool before a text, its instruction, stands before every piece."""
        return split_row(row, self.max_tokens, max(self.begin, row.pool_begin), self.end)


def average_pieces(vectors: npt.NDArray[np.float32], counts: Sequence[int]) -> npt.NDArray[np.float32]:
    """The vectors of pieces (M, d), each of length 1, to those of B texts of `counts` pieces: (B, d), of length 1.

    A text of one piece has its vector, bit for bit; so has one whose pieces cancel out that of its first, for a mean
    of nothing has no direction.
    """
    if sum(counts) != len(vectors) or min(counts, default=1) < 1:
        raise InvalidArgumentError(f"{len(vectors)} vectors for texts of {list(counts)} pieces", "vectors")
    means = np.empty((len(counts), vectors.shape[1]), np.float32)
    begin = 0
    for text, count in enumerate(counts):
        pieces = vectors[begin : begin + count]
        begin += count
        mean = pieces.mean(axis=0, dtype=np.float64)
        norm = np.linalg.norm(mean)
        means[text] = pieces[0] if count == 1 or norm < np.finfo(np.float32).eps else mean / norm
    return means
