"""n-grams and ∞-grams over all segments of a snapshot as one corpus.

A corpus is an unordered bag of documents, each read as EOS, tokens, EOS. So EOS as the first token of an n-gram says
"at the start of a document" and as its last "at the end of one"; `[EOS]` counts the documents, `[EOS, EOS]` the empty
ones, and EOS between other tokens matches nothing. The empty n-gram occurs at every token and at the end of every
document. Counts are exact, and do not depend on how the documents are spread over segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from lodex.errors import FailedPreconditionError, InvalidArgumentError, LodexError
from lodex.filters import Filter
from lodex.index.conjunctions import AnchoredConjunction, EncodedConjunction, TokenConjunction, count_conjunction
from lodex.index.distributions import Group, distributions
from lodex.index.document_search import Listing
from lodex.index.longest_suffixes import longest_suffixes, require_support
from lodex.index.ngram_queries import Ngram, Vocabulary, literals, pack, require, without_beginnings, without_endings
from lodex.index.occurrences import OccurrenceReader, Place
from lodex.index.pacing import Check
from lodex.index.ranks import find_ranks, locate_rank
from lodex.index.snapshot import Snapshot
from lodex.index.spans import SpanRules, delimiter_tokens, word_starts
from lodex.index.suffix import SuffixBuilder, corpus_of, suffix_parts
from lodex.index.tokenizer import TokenIds
from lodex.index.trace import Tracer, encode_delimiters
from lodex.types import (
    Count,
    Found,
    InfgramProbability,
    InfgramScores,
    LongestMatches,
    Occurrence,
    Occurrences,
    Probability,
    Rank,
    SpanRanking,
    TokenDistribution,
    TokenQuery,
    Trace,
)

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class NgramIndex:
    """A suffix index of a snapshot, over those segments that have it: `segments_ok` of `segments_total`.

    Every method takes a batch and answers in its order. An n-gram is given by its variants, one token sequence or more,
    whose occurrences are added up. No place is counted twice: of an n-gram or a prompt, variants that end with another
    one are left out; of a continuation, those that begin with another. Ids outside the vocabulary raise
    InvalidArgumentError naming their place in the request; ids that no document has simply do not occur. Safe to share
    between threads.

    The ∞-gram takes the longest suffix of a prompt that occurs at least `min_support` times, of at most
    `max_suffix_length` tokens: a prompt is then read as if it were its last so many tokens. What reads whole texts
    calls `check` now and then, which may raise to end it.
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
        if not self.segments_total:
            raise FailedPreconditionError(f"the store has no documents in version {snapshot.version}")
        if not self._parts:
            raise FailedPreconditionError(
                f"index {name!r} has no segment yet in version {snapshot.version}; run: lodex index update STORE"
            )
        self._corpus = corpus_of(self._parts)
        self.tokenizer = self._parts[0].stream.tokenizer
        self.vocabulary = Vocabulary.of(self._parts[0].stream)

    # ------------------------------------------------------------------------------------ n-grams

    def count(self, queries: Sequence[Ngram | TokenConjunction]) -> list[Count]:
        """How often each n-gram occurs, or each conjunction holds."""
        if (encoded := self._literal(queries)) is not None:
            found = self._corpus.count_many(*encoded)
            return [
                Count(n, (ids,)) for n, ids in zip(found.tolist(), self.vocabulary.decode_flat(*encoded), strict=True)
            ]
        sought = [self._query(query, f"queries[{i}]") for i, query in enumerate(queries)]
        counts = iter(self._count([group for group in sought if not isinstance(group, EncodedConjunction)]))
        return [
            count_conjunction(query, self._corpus, self._parts, self.vocabulary)
            if isinstance(query, EncodedConjunction)
            else Count(next(counts), tuple(self.vocabulary.decode(tokens) for tokens in query))
            for query in sought
        ]

    def prob(self, prompts: Sequence[Ngram], continuations: Sequence[Ngram]) -> list[Probability]:
        """The probability that each continuation, of one token or more, follows its prompt.

        A prompt occurs where something can follow it: one that goes on behind the end of a document does not.
        """
        if (encoded := self._literal_continued(prompts, continuations)) is not None:
            wholes, parts = self._corpus.prob_many(*encoded)
            counted = list(zip(wholes.tolist(), parts.tolist(), strict=True))
        else:
            groups = [self._ngram(prompt, f"prompts[{i}]") for i, prompt in enumerate(prompts)]
            counted = self._count_continued(groups, self._continuations(groups, continuations))
        return [Probability(part / whole if whole else None, whole, part) for whole, part in counted]

    def ntd(self, prompts: Sequence[Ngram], top_k: int | None = None) -> list[TokenDistribution]:
        """The complete distribution of the token after each prompt, or its `top_k` most frequent tokens."""
        groups = [self._ngram(prompt, f"prompts[{i}]") for i, prompt in enumerate(prompts)]
        return distributions(
            self._corpus, self.vocabulary, groups, [max(map(len, prompt)) for prompt in prompts], top_k
        )

    # ------------------------------------------------------------------------------------ ∞-grams

    def infgram_prob(
        self,
        prompts: Sequence[Ngram],
        continuations: Sequence[Ngram],
        *,
        min_support: int = 1,
        max_suffix_length: int | None = None,
    ) -> list[InfgramProbability]:
        """The probability of each continuation after the longest suffix of its prompt that occurs."""
        require_support(min_support, max_suffix_length)
        if (encoded := self._literal_continued(prompts, continuations)) is not None:
            answers = self._corpus.infgram_prob_many(*encoded, min_support, max_suffix_length)
            return [
                InfgramProbability(part / whole if whole else None, whole, part, length)
                for length, whole, part in zip(*(column.tolist() for column in answers), strict=True)
            ]
        groups = self._longest_suffixes(prompts, min_support, max_suffix_length)
        counted = self._count_continued(groups, self._continuations(groups, continuations))
        return [
            InfgramProbability(part / whole if whole else None, whole, part, max(map(len, group)))
            for group, (whole, part) in zip(groups, counted, strict=True)
        ]

    def infgram_ntd(
        self,
        prompts: Sequence[Ngram],
        top_k: int | None = None,
        *,
        min_support: int = 1,
        max_suffix_length: int | None = None,
    ) -> list[TokenDistribution]:
        """The distribution of the token after the longest suffix of each prompt that occurs."""
        groups = self._longest_suffixes(prompts, min_support, max_suffix_length)
        return distributions(self._corpus, self.vocabulary, groups, [max(map(len, g)) for g in groups], top_k)

    def infgram_score(
        self,
        texts: Sequence[TokenQuery],
        *,
        min_support: int = 1,
        max_suffix_length: int | None = None,
        check: Check | None = None,
    ) -> list[InfgramScores]:
        """The ∞-gram log-probability of every token of each text, which is a document of its own.

        Its first token follows the start of a document; an EOS within it ends a document and starts the next.
        """
        scores = []
        for i, text in enumerate(texts):
            ids, _ = self._text(text, f"texts[{i}]")
            lengths, wholes, parts = self.infgram_counts(
                text, min_support=min_support, max_suffix_length=max_suffix_length, check=check, field=f"texts[{i}]"
            )
            with np.errstate(divide="ignore"):
                scores.append(InfgramScores(ids, np.log(parts / np.maximum(wholes, 1)), lengths, wholes))
        return scores

    def infgram_counts(
        self,
        text: TokenQuery,
        *,
        min_support: int = 1,
        max_suffix_length: int | None = None,
        check: Check | None = None,
        field: str = "text",
    ) -> tuple[Int64s, Int64s, Int64s]:
        """What `infgram_score` rests on, of one text: suffix lengths, their occurrences, those that the token follows.

        Three arrays (n,). `field` is what errors call the text.
        """
        require_support(min_support, max_suffix_length)
        _, tokens = self._text(text, field)
        document = np.concatenate([np.array([self.vocabulary.separator], tokens.dtype), tokens])
        lengths, wholes, parts = self._corpus.score(document, min_support, max_suffix_length, check)
        return lengths[1:], wholes[1:], parts[1:]

    def longest_matches(self, texts: Sequence[TokenQuery], *, check: Check | None = None) -> list[LongestMatches]:
        """From each token of each text the longest run that occurs, and its occurrences."""
        answers = []
        for i, text in enumerate(texts):
            ids, tokens = self._text(text, f"texts[{i}]")
            answers.append(LongestMatches(ids, *self._corpus.longest_matches(tokens, 1, check)))
        return answers

    # ------------------------------------------------------------------------------------ documents

    def search_docs(
        self,
        queries: Sequence[Ngram | TokenConjunction],
        page_size: int = 10,
        page_tokens: Sequence[str] = (),
        context_tokens: int = 50,
        *,
        seed: int | None = None,
        where: Filter | None = None,
    ) -> list[Occurrences]:
        """The documents that hold each n-gram, each once with the first place where it stands, `page_size` at a time.

        Of a conjunction it is the first place of its rarest clause where all others hold; `max_clause_count` is left
        aside, so that the listing and its count are exact. With `where` only documents that pass the filter are listed
        and counted in `documents`. They come in the order of segments, then of their places, or with a `seed` in a
        random one that is the same for all pages. Up to 1,000,000 occurrences `documents` is exact, beyond it is
        estimated from an even sample of occurrences.

        `page_tokens` has for each query the `next_page_token` of its page before, or "". InvalidArgumentError for one
        of another query, seed, filter or version.
        """
        require(page_size > 0, f"page_size must be positive, got {page_size}", "page_size")
        require(context_tokens >= 0, f"context_tokens must not be negative, got {context_tokens}", "context_tokens")
        require(seed is None or seed >= 0, f"seed must not be negative, got {seed}", "seed")
        tokens = page_tokens or [""] * len(queries)
        require(len(tokens) == len(queries), f"{len(tokens)} page tokens for {len(queries)} queries", "page_tokens")
        answers = []
        for i, asked in enumerate(queries):
            listing, count = self._listing(self._query(asked, f"queries[{i}]"), seed, where)
            page = listing.page(tokens[i], page_size, f"page_tokens[{i}]")
            count = page.occurrences if count is None else count
            shown = tuple(self._reader.read(place, context_tokens) for place in page.places)
            answers.append(Occurrences(count, shown, page.next_page_token, page.documents, page.is_approximate))
        return answers

    def find(self, queries: Sequence[Ngram]) -> list[Found]:
        """The ranks of each n-gram in the suffix array of each segment, in the order of segments, then of variants.

        The place where the last document of a segment ends with an n-gram that ends in EOS has a range of its own.
        """
        groups = [self._ngram(query, f"queries[{i}]") for i, query in enumerate(queries)]
        counts = self._count(groups)
        return [
            Found(count, find_ranks(self._parts, self._matchable(g))) for g, count in zip(groups, counts, strict=True)
        ]

    def locate(
        self, ranks: Sequence[Rank], match_tokens: int = 1, context_tokens: int = 50
    ) -> list[Occurrence | LodexError]:
        """The document at each rank or position, with the text around it: `match_tokens` tokens of it as the match.

        An item fails by itself: NotFoundError for a deleted document, an unknown segment, and a place beyond it.
        """
        require(match_tokens > 0, f"match_tokens must be positive, got {match_tokens}", "match_tokens")
        require(context_tokens >= 0, f"context_tokens must not be negative, got {context_tokens}", "context_tokens")
        answers: list[Occurrence | LodexError] = []
        for i, rank in enumerate(ranks):
            found = locate_rank(self._parts, rank, match_tokens, f"ranks[{i}]")
            if isinstance(found, Place):
                answers.append(self._reader.read(found, context_tokens))
            else:
                answers.append(found)
        return answers

    # ------------------------------------------------------------------------------------ traces

    def trace(
        self,
        texts: Sequence[TokenQuery],
        *,
        min_length: int = 1,
        max_count: int = 10,
        max_density: float = 0.05,
        ranking: SpanRanking = SpanRanking.UNIGRAM,
        max_documents: int = 10,
        context_tokens: int = 50,
        delimiters: Sequence[TokenQuery] | Int64s | None = None,
        is_word_start: Mask | None = None,
        where: Filter | None = None,
        strings: Sequence[str | None] | None = None,
        check: Check | None = None,
    ) -> list[Trace]:
        """The maximal spans of each text that stand in the corpus, in its order, with documents that hold them.

        See `index.spans.SpanRules` for what is kept. `where` filters the documents that are shown, not the spans.
        `delimiters` are token sequences, or one array of tokens that each are one.
        `strings` are the texts themselves where they are known: spans then have their bytes in them.
        """
        require(context_tokens >= 0, f"context_tokens must not be negative, got {context_tokens}", "context_tokens")
        require(strings is None or len(strings) == len(texts), "there must be a string for each text", "strings")
        is_delimiter, runs = encode_delimiters(self.vocabulary, () if delimiters is None else delimiters)
        rules = SpanRules(
            min_length, max_count, max_density, ranking, max_documents, is_delimiter, runs, is_word_start, where
        )
        rules.require(self.vocabulary.size)
        encoded = [self._text(text, f"texts[{i}]") for i, text in enumerate(texts)]
        return [
            self._tracer.trace(ids, tokens, rules, context_tokens, None if strings is None else strings[i], check)
            for i, (ids, tokens) in enumerate(encoded)
        ]

    @cached_property
    def word_starts(self) -> Mask:
        """For `is_word_start` of a trace: the tokens that begin a word, (vocabulary,)."""
        return word_starts(self.tokenizer)

    def delimiter_tokens(self, texts: Sequence[str]) -> Int64s:
        """For `delimiters` of a trace: every token that holds one of some texts."""
        return delimiter_tokens(self.tokenizer, texts)

    @cached_property
    def _tracer(self) -> Tracer:
        return Tracer(self._corpus, self._parts, self.tokenizer, self._reader, self.vocabulary)

    @cached_property
    def _reader(self) -> OccurrenceReader:
        return OccurrenceReader(self.tokenizer)

    # ------------------------------------------------------------------------------------ from requests to groups

    def _text(self, text: TokenQuery, field: str) -> tuple[Int64s, TokenIds]:
        """A text as callers and as streams write it."""
        tokens = self.vocabulary.encode(text, field)
        return np.asarray(text, np.int64).reshape(-1), tokens

    def _literal(self, ngrams: Sequence[Ngram | TokenConjunction]) -> tuple[TokenIds, Int64s] | None:
        """N-grams of one variant each as a batch for the corpus; None if one is not, or is wrong."""
        sequences = literals(ngrams)
        return None if sequences is None else self.vocabulary.encode_flat(sequences)

    def _literal_continued(
        self, prompts: Sequence[Ngram], continuations: Sequence[Ngram]
    ) -> tuple[TokenIds, Int64s, Int64s] | None:
        """Prompts of one variant each with such continuations behind them, whose lengths come last."""
        before, after = literals(prompts), literals(continuations)
        if before is None or after is None or len(before) != len(after):
            return None
        encoded = self.vocabulary.encode_flat([ids for pair in zip(before, after, strict=True) for ids in pair])
        if encoded is None:
            return None
        tokens, offsets = encoded
        lengths = offsets[2::2] - offsets[1::2]
        return (tokens, offsets[::2].copy(), lengths) if lengths.all() else None

    def _query(self, query: Ngram | TokenConjunction, field: str) -> Group | EncodedConjunction:
        if isinstance(query, TokenConjunction):
            return EncodedConjunction.of(query, self.vocabulary, f"{field}.conjunction")
        return self._ngram(query, field)

    def _ngram(self, ngram: Ngram, field: str) -> Group:
        return without_endings(self.vocabulary.encode_variants(ngram, field))

    def _continuations(self, prompts: Sequence[Group], continuations: Sequence[Ngram]) -> list[Group]:
        """The continuation of each prompt, each of one token or more."""
        n = len(continuations)
        require(n == len(prompts), f"{n} continuations for {len(prompts)} prompts", "continuations")
        groups: list[Group] = []
        for i, continuation in enumerate(continuations):
            field = f"continuations[{i}]"
            group = without_beginnings(self.vocabulary.encode_variants(continuation, field))
            require(all(map(len, group)), f"{field} must have a token", field)
            groups.append(group)
        return groups

    def _longest_suffixes(
        self, prompts: Sequence[Ngram], min_support: int, max_suffix_length: int | None
    ) -> list[Group]:
        require_support(min_support, max_suffix_length)
        variants = [self.vocabulary.encode_variants(prompt, f"prompts[{i}]") for i, prompt in enumerate(prompts)]
        return longest_suffixes(self._corpus, self.vocabulary, variants, min_support, max_suffix_length)

    def _matchable(self, group: Group) -> Group:
        """The sequences that can match: the separator stands at their ends only."""
        return [tokens for tokens in group if not self.vocabulary.has_separator(tokens[1:-1])]

    def _listing(
        self, query: Group | EncodedConjunction, seed: int | None, where: Filter | None
    ) -> tuple[Listing, int | None]:
        """The documents of a query, and its count where that is not what a listing counts."""
        if isinstance(query, EncodedConjunction):
            anchored = AnchoredConjunction.of(query, self._corpus, self.vocabulary)
            return Listing(self.name, self.version, self._parts, anchored, anchored.anchor_count, seed, where), None
        start = np.array([self.vocabulary.separator], self.vocabulary.dtype)
        # The empty sequence is everywhere: it is listed at the start of each document.
        group = [tokens if len(tokens) else start for tokens in self._matchable(query)]
        count, findable = self._count([query, group])
        return Listing(self.name, self.version, self._parts, group, findable, seed, where), count

    # ------------------------------------------------------------------------------------ from groups to answers

    def _count(self, groups: Sequence[Group]) -> list[int]:
        """The occurrences of each group."""
        found = self._corpus.count_many(*pack([tokens for group in groups for tokens in group], self.vocabulary.dtype))
        counts = np.zeros(len(groups), np.int64)
        np.add.at(counts, np.repeat(np.arange(len(groups)), [len(group) for group in groups]), found)
        return list(counts.tolist())

    def _count_continued(self, prompts: Sequence[Group], continuations: Sequence[Group]) -> list[tuple[int, int]]:
        """The occurrences of each prompt, and of it with its continuation."""
        pairs = [
            (i, prompt, following, number == 0)
            for i, (group, after) in enumerate(zip(prompts, continuations, strict=True))
            for prompt, (number, following) in product(group, enumerate(after))
        ]
        tokens, offsets = pack([np.concatenate(pair[1:3]) for pair in pairs], self.vocabulary.dtype)
        lengths = np.array([len(pair[2]) for pair in pairs], np.int64)
        wholes, parts = self._corpus.prob_many(tokens, offsets, lengths)
        totals = np.zeros((len(prompts), 2), np.int64)
        owners = np.array([pair[0] for pair in pairs], np.int64)
        # A prompt is counted once, however many continuations are tried.
        np.add.at(totals[:, 0], owners, wholes * np.array([pair[3] for pair in pairs], np.int64))
        np.add.at(totals[:, 1], owners, parts)
        return [(whole, part) for whole, part in totals.tolist()]
