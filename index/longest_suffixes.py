"""The longest suffixes of prompts that occur, where a prompt is given by several token sequences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lodex.index.distributions import Group
from lodex.index.ngram_queries import Vocabulary, pack, require, without_endings
from lodex.index.tokenizer import TokenIds
from lodex.kernels._suffix import Corpus


def require_support(min_support: int, max_suffix_length: int | None) -> None:
    """InvalidArgumentError for a support below 1 or a length below 0, naming the field."""
    require(min_support >= 1, f"min_support must be at least 1, got {min_support}", "min_support")
    require(
        max_suffix_length is None or max_suffix_length >= 0,
        f"max_suffix_length must not be negative, got {max_suffix_length}",
        "max_suffix_length",
    )


def longest_suffixes(
    corpus: Corpus,
    vocabulary: Vocabulary,
    prompts: Sequence[Sequence[TokenIds]],
    min_support: int,
    max_length: int | None,
) -> list[Group]:
    """The longest suffixes of each prompt that occur `min_support` times, one of no tokens if need be.

    A variant that occurs whole is preferred to a suffix of another one that has more tokens. What stands before the
    last EOS of a prompt is of another document, and of no account; nor is what stands before its last `max_length`.
    """
    groups = [
        without_endings(_last(vocabulary.last_document(tokens), max_length) for tokens in variants)
        for variants in prompts
    ]
    sequences = [tokens for group in groups for tokens in group]
    lengths = corpus.longest_suffix_many(*pack(sequences, vocabulary.dtype), min_support).tolist()
    bounds = np.cumsum([0, *map(len, groups)]).tolist()
    return [
        _keep_longest(group, lengths[begin:end]) for group, (begin, end) in zip(groups, pairwise(bounds), strict=True)
    ]


def _last(tokens: TokenIds, length: int | None) -> TokenIds:
    return tokens if length is None else tokens[max(0, len(tokens) - length) :]


def _keep_longest(variants: Group, lengths: Sequence[int]) -> Group:
    """The variants that occur whole, else the suffixes of the greatest length, given the length of each that occurs."""
    whole = [tokens for tokens, length in zip(variants, lengths, strict=True) if length == len(tokens)]
    if whole:
        return whole
    longest = max(lengths)
    return without_endings(
        tokens[len(tokens) - length :] for tokens, length in zip(variants, lengths, strict=True) if length == longest
    )
