"""Where n-grams stand: documents in the order of the corpus, page by page, with the text around one place in each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from lodex.errors import DataLossError, InvalidArgumentError
from lodex.index.segment import Segment
from lodex.index.suffix import SuffixSegment
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.index.tokens import TokenStream
from lodex.types import Occurrence

_PAGE_TOKEN = re.compile(r"([0-9]{1,20})-([0-9a-f]{16})-(\w{1,64})-([0-9]{1,10})", re.ASCII)


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


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page of a listing begins: at a document of a segment, of a version, for the query of a digest."""

    version: int
    query: str
    segment_id: str
    row: int

    def encode(self) -> str:
        """The page as a token for callers."""
        return f"{self.version}-{self.query}-{self.segment_id}-{self.row}"

    @classmethod
    def decode(cls, token: str, field: str) -> Page:
        """The page of a token; InvalidArgumentError for what is none."""
        match = _PAGE_TOKEN.fullmatch(token)
        if match is None:
            raise InvalidArgumentError(f"{field} is not a page token: {token[:80]!r}", field)
        version, query, segment_id, row = match.groups()
        return cls(int(version), query, segment_id, int(row))


@dataclass(frozen=True, slots=True)
class Listing:
    """The documents of an index that hold any of some token sequences, in the order of segments and then of places."""

    index: str
    version: int
    parts: Sequence[SuffixSegment]
    variants: Sequence[TokenIds]

    def page(self, token: str, size: int, field: str) -> tuple[list[Place], str]:
        """The first place in each of up to `size` documents, from a page token on, and the token of the next page.

        "" is the token of the first page, and the one after the last. InvalidArgumentError names `field` for a token
        of another query or version.
        """
        number, row = self._start(Page.decode(token, field), field) if token else (0, 0)
        places: list[Place] = []
        for part in self.parts[number:]:
            places += _first_places(part, self.variants, row, size + 1 - len(places))
            row = 0
            if len(places) > size:
                next_place = places.pop()
                following = Page(self.version, self._digest(), next_place.part.segment.id, next_place.row)
                return places, following.encode()
        return places, ""

    def _start(self, page: Page, field: str) -> tuple[int, int]:
        if page.version != self.version:
            raise InvalidArgumentError(f"{field} is of version {page.version}, this is version {self.version}", field)
        if page.query != self._digest():
            raise InvalidArgumentError(f"{field} is of another query", field)
        for number, part in enumerate(self.parts):
            if part.segment.id == page.segment_id and page.row < part.stream.num_documents:
                return number, page.row
        raise InvalidArgumentError(f"{field} names no document of index {self.index!r}", field)

    def _digest(self) -> str:
        hasher = xxhash.xxh3_64(self.index.encode())
        for tokens in self.variants:
            hasher.update(len(tokens).to_bytes(8, "little") + tokens.tobytes())
        return hasher.hexdigest()


def _first_places(part: SuffixSegment, variants: Sequence[TokenIds], first_row: int, limit: int) -> list[Place]:
    """The first place of any variant in each document that holds one, for up to `limit` documents from a row on."""
    if not part.stream.num_documents or not variants:
        return []
    found = [part.positions(tokens) for tokens in variants]
    # One sortable number for each: by position, then by variant.
    keys = np.concatenate([positions * len(variants) + i for i, positions in enumerate(found)])
    first_position = int(part.stream.offsets[first_row]) // part.stream.dtype.itemsize
    keys = keys[keys >= first_position * len(variants)]
    return [_place(part, variants, int(key)) for key in _first_of_each_document(part, keys, len(variants), limit)]


def _first_of_each_document(
    part: SuffixSegment, keys: npt.NDArray[np.int64], num_variants: int, limit: int
) -> npt.NDArray[np.int64]:
    """The least key of each of the first `limit` documents. A frequent n-gram is not sorted beyond what they take."""
    size = 4 * limit
    while True:
        nearest = np.sort(np.partition(keys, size - 1)[:size] if size < len(keys) else keys)
        _, firsts = np.unique(part.stream.rows_of(nearest // num_variants), return_index=True)
        if len(firsts) >= limit or len(nearest) == len(keys):
            return nearest[firsts[:limit]]
        size *= 4


def _place(part: SuffixSegment, variants: Sequence[TokenIds], key: int) -> Place:
    position, variant = divmod(key, len(variants))
    begin = max(int(part.stream.positions_in_document(position)), 0)  # a separator in front is not a token of it
    length = int((variants[variant] != part.stream.separator).sum())
    return Place(part, int(part.stream.rows_of(position)), begin, begin + length)


def read_occurrence(place: Place, tokenizer: Tokenizer, context_tokens: int) -> Occurrence:
    """A place as text, with up to `context_tokens` tokens of its document on each side.

    The context is widened to whole characters; a match that begins or ends inside one shows U+FFFD for its part.
    """
    segment, row = place.part.segment, place.row
    document_begin, size = int(segment.begins[row]), int(segment.ends[row] - segment.begins[row])
    first = max(place.begin - context_tokens, 0)
    spans = _byte_spans(place, tokenizer, place.end + context_tokens)
    begin = _begin(place, spans)
    end = int(spans[place.end - 1, 1]) if place.begin < place.end else begin
    begin_before = int(spans[first, 0]) if first < place.begin else begin
    end_after = int(spans[-1, 1]) if place.end < len(spans) else end
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
    before, match, after = (text[a:b].decode(errors="replace") for a, b in pairwise(cuts))
    head = segment.header(row)
    return Occurrence(head.doc_id, begin, end, before, match, after, head.title, head.source, head.url)


def _begin(place: Place, spans: npt.NDArray[np.int64]) -> int:
    """Where a match begins; one of no tokens stands at the start of its document, or behind a token of it."""
    if place.begin < place.end:
        return int(spans[place.begin, 0])
    return int(spans[place.begin - 1, 1]) if place.begin else 0


def _byte_spans(place: Place, tokenizer: Tokenizer, stop: int) -> npt.NDArray[np.int64]:
    """Where the first `stop` tokens of the document of a place stand in its UTF-8 text, (at most stop, 2)."""
    stream = place.part.stream
    tokens = stream.document(place.row)
    if len(tokens) and tokens.max() >= stream.vocab_size:
        raise DataLossError(
            f"the {stream.tokenizer_name} stream of segment {place.part.segment.id} has ids beyond its vocabulary"
        )
    if tokenizer.byte_lengths is not None:
        lengths = tokenizer.byte_lengths[tokens[:stop]].astype(np.int64)
        ends = np.cumsum(lengths)
        return np.stack([ends - lengths, ends], axis=1)
    segment = place.part.segment
    text = segment.read(int(segment.begins[place.row]), int(segment.ends[place.row]))
    return tokenizer.byte_spans(tokens, text.decode())[:stop]


def _is_inside_character(text: bytes, at: int) -> bool:
    return 0 < at < len(text) and text[at] & 0xC0 == 0x80
