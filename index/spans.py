"""Spans of a text that stand in the corpus word by word.

Liu et al. 2025, OLMoTrace (arXiv:2504.07096), section 3: from each token the longest run that occurs, cut so that it
neither goes on behind a delimiter nor breaks a word; of these the maximal ones that are rare enough, the most telling
first. Deviations: counts are exact and of live documents alone, documents are told apart, and no span holds an EOS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.filters import Filter
from lodex.index.ngram_queries import pack, require
from lodex.index.occurrences import Place
from lodex.index.pacing import Check
from lodex.index.places import passing_rows
from lodex.index.suffix import RankRuns, SuffixSegment, spread
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.kernels._suffix import Corpus
from lodex.types import SpanRanking

# Of a span that occurs more often, more ranks are looked at only where these have too few documents.
_FIRST_RANKS = 64
_GROWTH = 16

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SpanRules:
    """Which spans of a text are kept, and how many documents are shown of each.

    At least `min_length` tokens, at most `max_count` occurrences (0: no limit), and as many spans as `max_density` of
    the text's tokens, rounded up. A span may end with a delimiter and never goes on behind it: `is_delimiter`
    (vocabulary,) says which tokens are one, `delimiter_runs` are the longer ones, as streams write them.
    `is_word_start` (vocabulary,) says which tokens begin a word: a span begins with one and ends before one, or with
    the text; None lets it begin and end anywhere. `where` is a filter of the documents that are shown.
    """

    min_length: int = 1
    max_count: int = 10
    max_density: float = 0.05
    ranking: SpanRanking = SpanRanking.UNIGRAM
    max_documents: int = 10
    is_delimiter: Mask | None = None
    delimiter_runs: Sequence[TokenIds] = ()
    is_word_start: Mask | None = None
    where: Filter | None = None

    def require(self, vocabulary_size: int) -> None:
        """InvalidArgumentError for values out of range, naming the field."""
        require(self.min_length > 0, f"min_length must be positive, got {self.min_length}", "min_length")
        require(self.max_count >= 0, f"max_count must not be negative, got {self.max_count}", "max_count")
        require(0 <= self.max_density <= 1, f"max_density must be 0 to 1, got {self.max_density}", "max_density")
        require(
            self.max_documents >= 0, f"max_documents must not be negative, got {self.max_documents}", "max_documents"
        )
        given = None if self.is_word_start is None else self.is_word_start.shape
        require(
            given in (None, (vocabulary_size,)),
            f"is_word_start has shape {given}, the vocabulary has {vocabulary_size} tokens",
            "is_word_start",
        )


@dataclass(frozen=True, slots=True)
class Spans:
    """Tokens [begins[i], ends[i]) of a text, in its order, with occurrences and unigram log-probabilities, (n,)."""

    begins: Int64s
    ends: Int64s
    counts: Int64s
    log_probabilities: Floats

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, chosen: npt.NDArray[np.intp] | Mask) -> Spans:
        return Spans(self.begins[chosen], self.ends[chosen], self.counts[chosen], self.log_probabilities[chosen])


def find_spans(
    corpus: Corpus, tokens: TokenIds, unigrams: Floats, separator: int, rules: SpanRules, check: Check | None = None
) -> Spans:
    """The spans of a text (n,) that the rules keep.

    `unigrams` (vocabulary,) is the log-probability of each token.
    """
    # The matches themselves are not counted, which would take as long again: spans are few.
    begins, ends = _maximal(tokens, corpus.match_lengths(tokens, 1, check), separator, rules)
    sizes = ends - begins
    offsets = np.zeros(len(begins) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    within = tokens[spread(begins, sizes)]
    counts = corpus.count_many(within, offsets)
    log_probabilities = np.add.reduceat(unigrams[within], offsets[:-1]) if len(begins) else np.zeros(0)
    spans = Spans(begins, ends, counts, log_probabilities)
    if rules.max_count:
        spans = spans[spans.counts <= rules.max_count]
    return spans[np.sort(_ranked(spans, rules.ranking)[: math.ceil(rules.max_density * len(tokens))])]


def _maximal(tokens: TokenIds, lengths: Int64s, separator: int, rules: SpanRules) -> tuple[Int64s, Int64s]:
    """Begins and ends of the longest spans, cut by the rules, of which none lies within another."""
    n = len(tokens)
    starts = np.arange(n)
    ends = np.minimum(starts + lengths, _limits(tokens, separator, rules))
    is_begin = np.ones(n, np.bool_)
    if rules.is_word_start is not None:
        is_boundary = _word_boundaries(tokens, separator, rules.is_word_start)
        is_begin = is_boundary[:-1]
        ends = np.maximum.accumulate(np.where(is_boundary, np.arange(n + 1), 0))[ends]
    kept = np.flatnonzero(is_begin & (ends - starts >= rules.min_length))
    # Ends ascend with their starts, so a span lies within another just where it ends no later than the one before.
    kept = kept[np.diff(ends[kept], prepend=-1) > 0]
    return kept, ends[kept]


def _limits(tokens: TokenIds, separator: int, rules: SpanRules) -> Int64s:
    """How far a span may go from each token: to the end of the first delimiter that begins there or later."""
    n = len(tokens)
    is_separator = tokens == separator
    limits = np.full(n, n)
    if rules.is_delimiter is not None:
        at = np.flatnonzero(rules.is_delimiter[np.where(is_separator, 0, tokens)])
        limits[at] = at + 1
    for delimiter in rules.delimiter_runs:
        size = len(delimiter)
        if size <= n:
            windows = np.lib.stride_tricks.sliding_window_view(tokens, size)
            at = np.flatnonzero((windows == delimiter).all(axis=1))
            limits[at] = np.minimum(limits[at], at + size)
    at = np.flatnonzero(is_separator)
    limits[at] = at
    return np.asarray(np.minimum.accumulate(limits[::-1])[::-1], np.int64)


def _word_boundaries(tokens: TokenIds, separator: int, is_word_start: Mask) -> Mask:
    """Before which tokens a word begins, (n + 1,): the ends of the text and of its documents are boundaries too."""
    is_separator = tokens == separator
    is_boundary = np.ones(len(tokens) + 1, np.bool_)
    is_boundary[:-1] = is_word_start[np.where(is_separator, 0, tokens)] | is_separator
    is_boundary[1:] |= is_separator
    is_boundary[:1] = True
    return is_boundary


def _ranked(spans: Spans, ranking: SpanRanking) -> npt.NDArray[np.intp]:
    """The spans, those to be kept first in front; equals (to nine decimals) in the order of the text."""
    if ranking is SpanRanking.LENGTH:
        return np.argsort(spans.begins - spans.ends, kind="stable")
    return np.argsort(np.round(spans.log_probabilities, 9), kind="stable")


# ------------------------------------------------------------------------------------------ documents


def span_places(parts: Sequence[SuffixSegment], tokens: TokenIds, spans: Spans, rules: SpanRules) -> list[list[Place]]:
    """For each span its first place in each of up to `max_documents` live documents that pass the filter.

    They come in the order of segments and rows. Of a span with more than 64 occurrences in a segment, the first
    documents by rank are taken: those where it is followed by what comes first in the order of suffixes.
    """
    sizes = spans.ends - spans.begins
    lengths = sizes.tolist()
    found: list[list[Place]] = [[] for _ in lengths]
    wanting = list(range(len(spans)))
    queries = tokens[spread(spans.begins, sizes)], np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    for part in parts if rules.max_documents else ():
        if len(still := [i for i in wanting if len(found[i]) < rules.max_documents]) < len(wanting):
            wanting = still
            queries = pack([tokens[spans.begins[i] : spans.ends[i]] for i in wanting], tokens.dtype)
        limit = max(_FIRST_RANKS, _GROWTH * rules.max_documents)
        # No span holds a separator, so none stands behind the end of the stream.
        begins, ends = part.table.find(*queries)
        runs = RankRuns(begins, ends, np.arange(len(wanting)))[ends > begins]
        before = {i: len(found[i]) for i in wanting}
        while len(runs):
            looked_at = np.minimum(runs.lengths, limit)
            positions = part.positions(spread(runs.begins, looked_at))
            owners, rows, places = _documents(part, positions, np.repeat(runs.owners, looked_at), rules.where)
            firsts = part.stream.positions_in_document(places)
            for owner in set(runs.owners.tolist()):
                del found[wanting[owner]][before[wanting[owner]] :]
            for owner, row, begin in zip(owners.tolist(), rows.tolist(), firsts.tolist(), strict=True):
                i = wanting[owner]
                if len(found[i]) < rules.max_documents:
                    found[i].append(Place(part, row, begin, begin + lengths[i]))
            has_few = np.array([len(found[wanting[o]]) < rules.max_documents for o in runs.owners.tolist()])
            runs = runs[has_few & (runs.lengths > limit)]
            limit *= _GROWTH
    return found


def _documents(
    part: SuffixSegment, positions: Int64s, owners: Int64s, where: Filter | None
) -> tuple[Int64s, Int64s, Int64s]:
    """The first place of each owner in each document that passes: owners, rows and positions, ascending."""
    order = np.lexsort((positions, owners))
    positions, owners = positions[order], owners[order]
    rows = part.stream.rows_of(positions)
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = (rows[1:] != rows[:-1]) | (owners[1:] != owners[:-1])
    kept = np.flatnonzero(is_first & part.is_live(rows))
    if where is not None:
        kept = kept[passing_rows(part, where, rows[kept])]
    return owners[kept], rows[kept], positions[kept]


# ------------------------------------------------------------------------------------------ words and delimiters


def word_starts(tokenizer: Tokenizer) -> Mask:
    """Which tokens begin a word, (vocab_size,): those whose text begins with anything but a letter or a digit."""
    texts = tokenizer.decode_tokens(np.arange(tokenizer.vocab_size))
    return np.array([not text[:1].isalnum() and text[:1] != "\ufffd" for text in texts], np.bool_)


def delimiter_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> Int64s:
    """The tokens whose own text holds one of some texts, however the tokenizer joins them, ascending."""
    decoded = tokenizer.decode_tokens(np.arange(tokenizer.vocab_size))
    ids = [i for i, token in enumerate(decoded) if i != tokenizer.eos_id and any(text in token for text in texts)]
    return np.array(ids, np.int64)
