"""A run of tokens in a document, with the text around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.segment import Segment
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokenStream
from lodex.types import Occurrence


class StreamPart(Protocol):
    """What has text and tokens: a segment's part of an index over a token stream."""

    @property
    def segment(self) -> Segment:
        """The segment, for the text."""
        ...

    @property
    def stream(self) -> TokenStream:
        """Its tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A run of tokens in a document: [begin, end) among the document's own."""

    part: StreamPart
    row: int
    begin: int
    end: int


def read_occurrence(place: Place, tokenizer: Tokenizer, context_tokens: int) -> Occurrence:
    """A place as text, with up to `context_tokens` tokens of its document on each side.

    The context is widened to whole characters; a match that begins or ends inside one shows U+FFFD for its part.
    """
    segment, row = place.part.segment, place.row
    document_begin, size = int(segment.begins[row]), int(segment.ends[row] - segment.begins[row])
    before = min(context_tokens, place.begin)
    # A match of no tokens stands behind the token before it.
    first = max(place.begin - max(before, 1), 0)
    spans = _byte_spans(place, tokenizer, first, place.end + context_tokens)
    at, stop = place.begin - first, place.end - first
    if at < stop:
        begin, end = int(spans[at, 0]), int(spans[stop - 1, 1])
    else:
        begin = end = int(spans[at - 1, 1]) if at else 0
    begin_before = int(spans[at - before, 0]) if before else begin
    end_after = int(spans[-1, 1]) if stop < len(spans) else end
    if end_after > size:
        raise DataLossError(f"the {place.part.stream.tokenizer_name} stream of segment {segment.id} is not of its text")

    # A character has at most 3 bytes after its first.
    origin = max(begin_before - 3, 0)
    text = segment.read(document_begin + origin, document_begin + min(end_after + 3, size))
    cuts = [cut - origin for cut in (begin_before, begin, end, end_after)]
    while cuts[0] < cuts[1] and _is_inside_character(text, cuts[0]):
        cuts[0] -= 1
    while cuts[3] > cuts[2] and _is_inside_character(text, cuts[3]):
        cuts[3] += 1
    left, match, right = (text[a:b].decode(errors="replace") for a, b in pairwise(cuts))
    head = segment.header(row)
    return Occurrence(head.doc_id, begin, end, left, match, right, head.title, head.source, head.url)


def _byte_spans(place: Place, tokenizer: Tokenizer, first: int, stop: int) -> npt.NDArray[np.int64]:
    """Where tokens [first, stop) of the document of a place, or as many as it has, stand in its UTF-8 text, (n, 2)."""
    tokens = place.part.stream.document(place.row)
    try:
        if tokenizer.byte_lengths is not None:
            # The tokens before are only summed up: a document may be a whole book.
            origin = int(tokenizer.byte_lengths[tokens[:first]].sum(dtype=np.int64))
            lengths = tokenizer.byte_lengths[tokens[first:stop]].astype(np.int64)
            ends = origin + np.cumsum(lengths)
            return np.stack([ends - lengths, ends], axis=1)
        if len(tokens) and tokens.max() >= place.part.stream.vocab_size:
            raise IndexError
    except IndexError as error:
        stream, segment = place.part.stream, place.part.segment
        raise DataLossError(
            f"the {stream.tokenizer_name} stream of segment {segment.id} has ids beyond its vocabulary"
        ) from error
    segment = place.part.segment
    text = segment.read(int(segment.begins[place.row]), int(segment.ends[place.row]))
    return tokenizer.byte_spans(tokens, text.decode())[first:stop]


def _is_inside_character(text: bytes, at: int) -> bool:
    return 0 < at < len(text) and text[at] & 0xC0 == 0x80
