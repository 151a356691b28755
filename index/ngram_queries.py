"""Checking n-grams that callers give, and writing them as token streams do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError
from lodex.index.tokenizer import TokenIds
from lodex.index.tokens import TokenStream
from lodex.types import TokenQuery

Int64s = npt.NDArray[np.int64]
Ngram = Sequence[TokenQuery]
"""An n-gram: the token sequences that stand for it. One, or several for the variants of a text, counted together."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The ids that callers use. They name the end of a document by the tokenizer's EOS, streams by their separator."""

    size: int
    eos_id: int
    separator: int
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, stream: TokenStream) -> Vocabulary:
        """The vocabulary of a stream."""
        return cls(stream.vocab_size, stream.eos_id, stream.separator, stream.dtype)

    def encode(self, ids: TokenQuery, field: str) -> TokenIds:
        """Token ids as the stream writes them. InvalidArgumentError names the first that is none: `field.tokens[7]`."""
        array = np.asarray(ids)
        if array.size == 0 and array.ndim == 1:
            return np.empty(0, self.dtype)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InvalidArgumentError(f"{field} must be a list of token ids, not {_describe(array)}", field)
        if array.min() < 0 or array.max() >= self.size:
            i = int(np.flatnonzero((array < 0) | (array >= self.size))[0])
            where = f"{field}.tokens[{i}]"
            raise InvalidArgumentError(f"{where} is {array[i]}, the vocabulary has the ids [0, {self.size})", where)
        tokens = array.astype(self.dtype)
        tokens[array == self.eos_id] = self.separator
        return tokens

    def encode_variants(self, ngram: Ngram, field: str) -> list[TokenIds]:
        """Every sequence of an n-gram, at least one."""
        if len(ngram) == 0:
            raise InvalidArgumentError(f"{field} has no token sequence", field)
        fields = [field] if len(ngram) == 1 else [f"{field}.variants[{i}]" for i in range(len(ngram))]
        return [self.encode(ids, name) for ids, name in zip(ngram, fields, strict=True)]

    def encode_flat(self, sequences: Sequence[TokenQuery]) -> tuple[TokenIds, Int64s] | None:
        """`encode` of many at once: one array, and offsets (sequences + 1,) into it.

        None unless each is a list, a tuple or an array of integers that are ids of the vocabulary: `encode` of each by
        itself then says what is wrong, if anything is.
        """
        kinds = {*map(type, sequences)}
        if not kinds <= {list, tuple, np.ndarray}:
            return None
        arrays = [one for one in sequences if isinstance(one, np.ndarray)] if np.ndarray in kinds else []
        if any(one.ndim != 1 for one in arrays):
            return None
        offsets = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum(list(map(len, sequences)), out=offsets[1:])
        if arrays and len(arrays) == len(sequences):
            tokens = self._encode_arrays(arrays)
        else:
            tokens = self._encode_lists([one.tolist() if isinstance(one, np.ndarray) else one for one in sequences])
        return None if tokens is None else (tokens, offsets)

    def _encode_lists(self, sequences: Sequence[Sequence[int]]) -> TokenIds | None:
        ids = list(chain.from_iterable(sequences))
        if not ids:
            return np.empty(0, self.dtype)
        # A bool passes for an integer, and an array's items are slow to look at.
        if {*map(type, ids)} != {int} or min(ids) < 0 or max(ids) >= self.size:
            return None
        tokens = np.array(ids, self.dtype)
        if self.eos_id in ids:
            tokens[tokens == self.eos_id] = self.separator
        return tokens

    def _encode_arrays(self, sequences: Sequence[npt.NDArray[Any]]) -> TokenIds | None:
        ids = np.concatenate(sequences)
        are_integers = all(dtype.kind in "iu" for dtype in {ids.dtype, *(one.dtype for one in sequences)})
        if not are_integers or not ids.size or ids.min() < 0 or ids.max() >= self.size:
            return None
        tokens = ids.astype(self.dtype)
        tokens[ids == self.eos_id] = self.separator
        return tokens

    def decode(self, tokens: TokenIds) -> tuple[int, ...]:
        """The ids that callers know tokens by."""
        return tuple(self.eos_id if token == self.separator else token for token in tokens.tolist())

    def decode_flat(self, tokens: TokenIds, offsets: Int64s) -> list[tuple[int, ...]]:
        """`decode` of each sequence of a batch."""
        ids, bounds = tokens.tolist(), offsets.tolist()
        if self.separator in ids:
            ids = [self.eos_id if token == self.separator else token for token in ids]
        return [tuple(ids[begin:end]) for begin, end in pairwise(bounds)]

    def has_separator(self, tokens: TokenIds) -> bool:
        """Whether a document ends among these tokens."""
        return bool((tokens == self.separator).any())

    def last_document(self, tokens: TokenIds) -> TokenIds:
        """The tokens from the last separator on."""
        separators = np.flatnonzero(tokens == self.separator)
        return tokens[separators[-1] :] if len(separators) else tokens


def literals(ngrams: Sequence[Any]) -> list[TokenQuery] | None:
    """The token sequences of n-grams that have one each; None if one has several, or is something else."""
    if any(type(ngram) not in (list, tuple) or len(ngram) != 1 for ngram in ngrams):
        return None
    return [ngram[0] for ngram in ngrams]


def pack(sequences: Sequence[TokenIds], dtype: np.dtype[Any]) -> tuple[TokenIds, Int64s]:
    """Sequences of `dtype`, any number and of any length, as one array, and offsets (sequences + 1,) into it."""
    offsets = np.zeros(len(sequences) + 1, np.int64)
    np.cumsum([len(sequence) for sequence in sequences], out=offsets[1:])
    return np.concatenate([np.empty(0, dtype), *sequences]), offsets


def require(condition: bool, message: str, field: str) -> None:
    """InvalidArgumentError naming a field unless a condition holds."""
    if not condition:
        raise InvalidArgumentError(message, field)


def without_endings(variants: Iterable[TokenIds]) -> tuple[TokenIds, ...]:
    """The variants that do not end with another one, each once: at no place of a text do two of them end."""
    return _without(variants, lambda longer, n: longer[len(longer) - n :])


def without_beginnings(variants: Iterable[TokenIds]) -> tuple[TokenIds, ...]:
    """The variants that do not begin with another one, each once: at no place of a text do two of them begin."""
    return _without(variants, lambda longer, n: longer[:n])


def _without(variants: Iterable[TokenIds], part: Callable[[TokenIds, int], TokenIds]) -> tuple[TokenIds, ...]:
    kept: list[TokenIds] = []
    for variant in sorted(variants, key=len):
        if not any(np.array_equal(part(variant, len(shorter)), shorter) for shorter in kept):
            kept.append(variant)
    return tuple(kept)


def _describe(array: Any) -> str:
    return f"an array of shape {array.shape} and type {array.dtype}" if array.ndim else repr(array.item())
