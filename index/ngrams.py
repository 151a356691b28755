"""n-grams and ∞-grams over all segments of a snapshot as one corpus.

A corpus is an unordered bag of documents, each read as EOS, tokens, EOS. So EOS as the first token of an n-gram says
"at the start of a document" and as its last "at the end of one"; `[EOS]` counts the documents, `[EOS, EOS]` the empty
ones, and EOS between other tokens matches nothing. The empty n-gram occurs at every token and at the end of every
document. Counts are exact, and do not depend on how the documents are spread over segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from lodex.errors import FailedPreconditionError, InvalidArgumentError
from lodex.index.ngram_queries import Ngram, Vocabulary, without_beginnings, without_endings
from lodex.index.occurrences import Listing, read_occurrence
from lodex.index.snapshot import Snapshot
from lodex.index.sorted_stream import Needles
from lodex.index.suffix import SuffixBuilder, suffix_parts
from lodex.index.tokenizer import TokenIds
from lodex.types import Count, InfgramProbability, Occurrences, Probability, TokenDistribution

Int64s = npt.NDArray[np.int64]
Group = Sequence[TokenIds]
"""Token sequences that are counted together, as streams write them."""


class NgramIndex:
    """A suffix index of a snapshot, over those segments that have it: `segments_ok` of `segments_total`.

    Every method takes a batch and answers in its order. An n-gram is given by its variants, one token sequence or more,
    whose occurrences are added up. No place is counted twice: of an n-gram or a prompt, variants that end with another
    one are left out; of a continuation, those that begin with another. Ids outside the vocabulary raise
    InvalidArgumentError naming their place in the request; ids that no document has simply do not occur.
    """

    def __init__(self, snapshot: Snapshot, name: str = "suffix") -> None:
        entry = snapshot.index(name)
        if entry.kind != SuffixBuilder.kind:
            raise InvalidArgumentError(
                f"index {name!r} is of kind {entry.kind!r}; n-grams need a suffix index", "index"
            )
        self.name = name
        self.version = snapshot.version
        self.stream_name: str = entry.config["stream"]
        self._parts = tuple(suffix_parts(snapshot, name, self.stream_name))
        self.segments_ok, self.segments_total = len(self._parts), len(snapshot.segments)
        if not self._parts:
            raise FailedPreconditionError(
                f"index {name!r} has no segment yet in version {snapshot.version}; run: lodex index update STORE"
            )
        self.tokenizer = self._parts[0].stream.tokenizer
        self.vocabulary = Vocabulary.of(self._parts[0].stream)

    # ------------------------------------------------------------------------------------ n-grams

    def count(self, queries: Sequence[Ngram]) -> list[Count]:
        """How often each n-gram occurs."""
        groups = [self._ngram(query, f"queries[{i}]") for i, query in enumerate(queries)]
        return [
            Count(count, tuple(self.vocabulary.decode(tokens) for tokens in group))
            for group, count in zip(groups, self._count(groups), strict=True)
        ]

    def prob(self, prompts: Sequence[Ngram], continuations: Sequence[Ngram]) -> list[Probability]:
        """The probability that each continuation, of one token or more, follows its prompt.

        A prompt occurs where something can follow it: one that goes on behind the end of a document does not.
        """
        groups = self._prompts(prompts)
        return [
            Probability(part / whole if whole else None, whole, part)
            for whole, part in self._count_continued(groups, continuations)
        ]

    def ntd(self, prompts: Sequence[Ngram], top_k: int | None = None) -> list[TokenDistribution]:
        """The complete distribution of the token after each prompt, or its `top_k` most frequent tokens."""
        return self._distributions(self._prompts(prompts), [max(map(len, prompt)) for prompt in prompts], top_k)

    # ------------------------------------------------------------------------------------ ∞-grams

    def infgram_prob(self, prompts: Sequence[Ngram], continuations: Sequence[Ngram]) -> list[InfgramProbability]:
        """The probability of each continuation after the longest suffix of its prompt that occurs."""
        groups = self._longest_suffixes(prompts)
        return [
            InfgramProbability(part / whole if whole else None, whole, part, max(map(len, group)))
            for group, (whole, part) in zip(groups, self._count_continued(groups, continuations), strict=True)
        ]

    def infgram_ntd(self, prompts: Sequence[Ngram], top_k: int | None = None) -> list[TokenDistribution]:
        """The distribution of the token after the longest suffix of each prompt that occurs."""
        groups = self._longest_suffixes(prompts)
        return self._distributions(groups, [max(map(len, group)) for group in groups], top_k)

    # ------------------------------------------------------------------------------------ documents

    def search_docs(
        self, queries: Sequence[Ngram], page_size: int = 10, page_tokens: Sequence[str] = (), context_tokens: int = 50
    ) -> list[Occurrences]:
        """The documents that hold each n-gram, each once with the first place where it stands, `page_size` at a time.

        `page_tokens` has for each query the `next_page_token` of its page before, or "". InvalidArgumentError for one
        of another query or version. The documents come in the order of segments, then of their places.
        """
        _require(page_size > 0, f"page_size must be positive, got {page_size}", "page_size")
        _require(context_tokens >= 0, f"context_tokens must not be negative, got {context_tokens}", "context_tokens")
        tokens = page_tokens or [""] * len(queries)
        _require(len(tokens) == len(queries), f"{len(tokens)} page tokens for {len(queries)} queries", "page_tokens")
        groups = [self._ngram(query, f"queries[{i}]") for i, query in enumerate(queries)]
        answers = []
        for i, (group, count) in enumerate(zip(groups, self._count(groups), strict=True)):
            listing = Listing(self.name, self.version, self._parts, self._findable(group))
            places, following = listing.page(tokens[i], page_size, f"page_tokens[{i}]")
            found = tuple(read_occurrence(place, self.tokenizer, context_tokens) for place in places)
            answers.append(Occurrences(count, found, following))
        return answers

    # ------------------------------------------------------------------------------------ from requests to groups

    def _ngram(self, ngram: Ngram, field: str) -> Group:
        return without_endings(self.vocabulary.encode_variants(ngram, field))

    def _prompts(self, prompts: Sequence[Ngram]) -> list[Group]:
        """The variants of each prompt that can be followed by anything: EOS is at most their first token."""
        groups = [self._ngram(prompt, f"prompts[{i}]") for i, prompt in enumerate(prompts)]
        return [[tokens for tokens in group if not self.vocabulary.has_separator(tokens[1:])] for group in groups]

    def _longest_suffixes(self, prompts: Sequence[Ngram]) -> list[Group]:
        """The longest suffixes of each prompt that occur in any segment, one of no tokens if need be.

        A variant that occurs whole is preferred to a suffix of another one that has more tokens. What stands before the
        last EOS of a prompt is of another document, and of no account.
        """
        groups = [
            without_endings(
                map(self.vocabulary.last_document, self.vocabulary.encode_variants(prompt, f"prompts[{i}]"))
            )
            for i, prompt in enumerate(prompts)
        ]
        needles, owners = self._pack(groups)
        lengths = np.zeros(len(needles), np.int64)
        for part in self._parts:
            np.maximum(lengths, part.longest_suffixes(needles), out=lengths)
        bounds = np.searchsorted(owners, np.arange(len(groups) + 1))
        return [
            _keep_longest(group, lengths[begin:end].tolist())
            for group, (begin, end) in zip(groups, pairwise(bounds), strict=True)
        ]

    def _matchable(self, group: Group) -> Group:
        """The sequences that can match: the separator stands at their ends only."""
        return [tokens for tokens in group if not self.vocabulary.has_separator(tokens[1:-1])]

    def _findable(self, group: Group) -> Group:
        """The sequences that can match, with the start of a document in place of the empty one, which is everywhere."""
        start = np.array([self.vocabulary.separator], self.vocabulary.dtype)
        return [tokens if len(tokens) else start for tokens in self._matchable(group)]

    def _pack(self, groups: Sequence[Group]) -> tuple[Needles, npt.NDArray[np.int64]]:
        """All sequences as one batch, and the number of the group of each."""
        owners = np.repeat(np.arange(len(groups)), np.array([len(group) for group in groups], np.int64))
        return Needles.of([tokens for group in groups for tokens in group], self.vocabulary.dtype), owners

    # ------------------------------------------------------------------------------------ from groups to answers

    def _count(self, groups: Sequence[Group]) -> list[int]:
        """The occurrences of each group over all segments."""
        needles, owners = self._pack([self._matchable(group) for group in groups])
        counts = np.zeros(len(groups), np.int64)
        for part in self._parts:
            np.add.at(counts, owners, part.count(needles))
        return list(counts.tolist())

    def _count_continued(self, prompts: Sequence[Group], continuations: Sequence[Ngram]) -> list[tuple[int, int]]:
        """The occurrences of each prompt, and of it with its continuation."""
        _require(
            len(continuations) == len(prompts),
            f"{len(continuations)} continuations for {len(prompts)} prompts",
            "continuations",
        )
        continued: list[Group] = []
        for i, (prompt, continuation) in enumerate(zip(prompts, continuations, strict=True)):
            field = f"continuations[{i}]"
            following = without_beginnings(self.vocabulary.encode_variants(continuation, field))
            _require(all(map(len, following)), f"{field} must have a token", field)
            continued.append([np.concatenate(pair) for pair in product(prompt, following)])
        counts = self._count([*prompts, *continued])
        return list(zip(counts[: len(prompts)], counts[len(prompts) :], strict=True))

    def _distributions(
        self, groups: Sequence[Group], lengths: Sequence[int], top_k: int | None
    ) -> list[TokenDistribution]:
        """What follows each group, most frequent first, equal counts by id."""
        _require(top_k is None or top_k > 0, f"top_k must be positive, got {top_k}", "top_k")
        needles, owners = self._pack(groups)
        found = []
        for part in self._parts:
            for tokens, counts, offsets in part.next_tokens(needles):
                found.append((np.repeat(owners, np.diff(offsets)), tokens, counts))
        owner, tokens, counts = (np.concatenate(column) for column in zip(*found, strict=True))
        ids = np.where(tokens == self.vocabulary.separator, self.vocabulary.eos_id, tokens)
        owner, ids, counts = _sum_equal(owner, ids, counts)
        order = np.lexsort((ids, -counts, owner))
        bounds = np.searchsorted(owner, np.arange(len(groups) + 1)).tolist()
        answers = []
        for length, (begin, end) in zip(lengths, pairwise(bounds), strict=True):
            every = order[begin:end]
            kept = every[:top_k]
            answers.append(TokenDistribution(ids[kept], counts[kept], int(counts[every].sum()), len(every), length))
        return answers


def _keep_longest(variants: Group, lengths: Sequence[int]) -> Group:
    """The variants that occur whole, else the suffixes of the greatest length, given the length of each that occurs."""
    whole = [tokens for tokens, length in zip(variants, lengths, strict=True) if length == len(tokens)]
    if whole:
        return whole
    longest = max(lengths)
    return without_endings(
        tokens[len(tokens) - length :] for tokens, length in zip(variants, lengths, strict=True) if length == longest
    )


def _sum_equal(owner: Int64s, ids: Int64s, counts: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Add up the counts of equal (owner, id); returns those that are not zero, sorted by both."""
    order = np.lexsort((ids, owner))
    owner, ids, counts = owner[order], ids[order], counts[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (owner[1:] != owner[:-1]) | (ids[1:] != ids[:-1])
    firsts = np.flatnonzero(is_first)
    sums = np.add.reduceat(counts, firsts) if len(firsts) else counts
    kept = sums != 0  # what only deleted documents held
    return owner[firsts][kept], ids[firsts][kept], sums[kept]


def _require(condition: bool, message: str, field: str) -> None:
    if not condition:
        raise InvalidArgumentError(message, field)
