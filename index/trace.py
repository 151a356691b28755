"""A text traced: its spans with their bytes, their text and the documents that hold them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lodex.index.ngram_queries import Vocabulary, pack, require
from lodex.index.occurrences import OccurrenceReader
from lodex.index.pacing import Check
from lodex.index.spans import SpanRules, Spans, find_spans, span_places
from lodex.index.suffix import SuffixSegment
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.kernels._suffix import Corpus
from lodex.types import Occurrence, TokenQuery, Trace, TraceSpan

Int64s = npt.NDArray[np.int64]


class Tracer:
    """Traces texts in one corpus, whose unigram counts are taken once."""

    def __init__(
        self,
        corpus: Corpus,
        parts: Sequence[SuffixSegment],
        tokenizer: Tokenizer,
        reader: OccurrenceReader,
        vocabulary: Vocabulary,
    ) -> None:
        self._corpus = corpus
        self._parts = parts
        self._tokenizer = tokenizer
        self._reader = reader
        self._separator = vocabulary.separator
        counts = np.zeros(vocabulary.size, np.int64)
        tokens, found = corpus.next_tokens([])
        is_token = tokens != vocabulary.separator
        counts[tokens[is_token]] = found[is_token]
        with np.errstate(divide="ignore"):
            self._unigrams = np.asarray(np.log(counts / max(len(corpus), 1)), np.float64)

    def trace(
        self,
        ids: Int64s,
        tokens: TokenIds,
        rules: SpanRules,
        context_tokens: int,
        string: str | None,
        check: Check | None = None,
    ) -> Trace:
        """The spans of a text, given as callers and as streams write it and, where that is known, as a string."""
        spans = find_spans(self._corpus, tokens, self._unigrams, self._separator, rules, check)
        documents = [
            tuple(self._reader.read(place, context_tokens) for place in places)
            for places in span_places(self._parts, tokens, spans, rules)
        ]
        return Trace(ids, self._written(ids, spans, documents, string))

    def _written(
        self, ids: Int64s, spans: Spans, documents: Sequence[tuple[Occurrence, ...]], string: str | None
    ) -> tuple[TraceSpan, ...]:
        """The spans with their text, and their bytes where the string is known."""
        if string is None:
            bounds = np.zeros((len(spans), 2), np.int64)
            texts = [self._tokenizer.decode(ids[b:e]) for b, e in zip(spans.begins, spans.ends, strict=True)]
        else:
            places, data = self._tokenizer.byte_spans(ids, string), string.encode()
            bounds = np.stack([places[spans.begins, 0], places[spans.ends - 1, 1]], axis=1)
            texts = [data[b:e].decode(errors="replace") for b, e in bounds.tolist()]
        numbers = (spans.begins, spans.ends, bounds[:, 0], bounds[:, 1], spans.counts, spans.log_probabilities)
        return tuple(
            TraceSpan(begin, end, begin_byte, end_byte, text, count, log_probability, shown)
            for begin, end, begin_byte, end_byte, count, log_probability, text, shown in zip(
                *(column.tolist() for column in numbers), texts, documents, strict=True
            )
        )


def encode_delimiters(
    vocabulary: Vocabulary, delimiters: Sequence[TokenQuery] | Int64s
) -> tuple[npt.NDArray[np.bool_], list[TokenIds]]:
    """Which tokens are a delimiter, (vocabulary,), and the longer delimiters as streams write them.

    Delimiters are token sequences, or one array of tokens that each are one.
    """
    if isinstance(delimiters, np.ndarray) and delimiters.ndim == 1:
        runs: list[TokenIds] = []
        single = vocabulary.encode(delimiters, "delimiters")
    else:
        runs = [vocabulary.encode(ids, f"delimiters[{i}]") for i, ids in enumerate(delimiters)]
        require(all(map(len, runs)), "a delimiter must have a token", "delimiters")
        single, _ = pack([run for run in runs if len(run) == 1], vocabulary.dtype)
    is_delimiter = np.zeros(vocabulary.size, np.bool_)
    is_delimiter[single[single != vocabulary.separator]] = True  # an EOS breaks spans anyway
    return is_delimiter, [run for run in runs if len(run) > 1]
