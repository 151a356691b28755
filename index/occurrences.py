"""A run of tokens in a document, with the text around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.segment import Segment
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokenStream
from lodex.types import Occurrence

_BLOCK_TOKENS = 512
_TOKENS_AT_ONCE = 1 << 20
_MOST_DOCUMENTS = 1024

UInt32s = npt.NDArray[np.uint32]


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


class OccurrenceReader:
    """Reads places as text. What it learns of a document it keeps for the next place there; threads may share it.

    Of up to 1,024 documents that is what an answer names and, where the bytes of tokens are known, where every 512th
    token stands in the text, as far as was needed: 8 bytes for a kilobyte of a u16 stream.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._documents: dict[tuple[str, int], _OpenDocument] = {}

    def read(self, place: Place, context_tokens: int) -> Occurrence:
        """A place as text, with up to `context_tokens` tokens of its document on each side.

        The context is widened to whole characters; a match that begins or ends inside one shows U+FFFD for its part.
        """
        document = self._document(place.part, place.row)
        before = min(context_tokens, place.begin)
        # A match of no tokens stands behind the token before it.
        first = max(place.begin - max(before, 1), 0)
        begins, ends = self._byte_spans(document, first, place.end + context_tokens)
        at, stop = place.begin - first, place.end - first
        if at < stop:
            begin, end = begins[at], ends[stop - 1]
        else:
            begin = end = ends[at - 1] if at else 0
        begin_before = begins[at - before] if before else begin
        end_after = ends[-1] if stop < len(ends) else end
        left, match, right = document.read((begin_before, begin, end, end_after))
        doc_id, title, source, url = document.fields
        return Occurrence(doc_id, begin, end, left, match, right, title, source, url)

    def _document(self, part: StreamPart, row: int) -> _OpenDocument:
        key = (part.segment.id, row)
        document = self._documents.get(key)
        if document is None:
            if len(self._documents) >= _MOST_DOCUMENTS:
                self._documents.clear()
            document = self._documents[key] = _OpenDocument(part, row)
        return document

    def _byte_spans(self, document: _OpenDocument, first: int, stop: int) -> tuple[list[int], list[int]]:
        """Where tokens [first, stop) of a document, or as many as it has, begin and end in its UTF-8 text."""
        try:
            if (byte_lengths := self._tokenizer.byte_lengths) is not None:
                bounds = document.byte_bounds(first, stop, byte_lengths)
                return bounds[:-1], bounds[1:]
            if len(document.tokens) and document.tokens.max() >= document.part.stream.vocab_size:
                raise IndexError
        except IndexError as error:
            stream, segment = document.part.stream, document.part.segment
            raise DataLossError(
                f"the {stream.tokenizer_name} stream of segment {segment.id} has ids beyond its vocabulary"
            ) from error
        text = document.part.segment.read(document.begin, document.begin + document.size)
        spans = self._tokenizer.byte_spans(document.tokens, text.decode())[first:stop]
        return spans[:, 0].tolist(), spans[:, 1].tolist()


def read_occurrence(place: Place, tokenizer: Tokenizer, context_tokens: int) -> Occurrence:
    """`OccurrenceReader.read` of one place."""
    return OccurrenceReader(tokenizer).read(place, context_tokens)


class _OpenDocument:
    """A document that is read: its `tokens` (n,), and its text, of `size` bytes from `begin` on in its segment's."""

    def __init__(self, part: StreamPart, row: int) -> None:
        segment = part.segment
        self.part, self._row = part, row
        self.begin, end = int(segment.begins[row]), int(segment.ends[row])
        self.size = end - self.begin
        # A plain array: each slice of a memmap would be one more memmap.
        self.tokens = part.stream.document(row).view(np.ndarray)
        self._blocks = np.zeros(1, np.int64)

    @cached_property
    def fields(self) -> tuple[str, str, str, str]:
        """Its doc_id, title, source and url; its metadata may be large, and is not kept."""
        head = self.part.segment.header(self._row)
        return head.doc_id, head.title, head.source, head.url

    def byte_bounds(self, first: int, stop: int, byte_lengths: UInt32s) -> list[int]:
        """Where tokens [first, stop), or as many as there are, begin in its text, and where the last one ends."""
        block = first // _BLOCK_TOKENS
        lengths = byte_lengths.take(self.tokens[block * _BLOCK_TOKENS : stop])
        skipped = first - block * _BLOCK_TOKENS
        bounds = np.empty(len(lengths) - skipped + 1, np.int64)
        bounds[0] = self._begin_of_block(block, byte_lengths) + lengths[:skipped].sum(dtype=np.int64)
        bounds[1:] = lengths[skipped:]
        return bounds.cumsum().tolist()  # type: ignore[no-any-return]  # of one dimension

    def _begin_of_block(self, block: int, byte_lengths: UInt32s) -> int:
        """Where a block of tokens begins in its text. The blocks before are summed up once."""
        blocks = self._blocks
        while len(blocks) <= block:
            known = (len(blocks) - 1) * _BLOCK_TOKENS
            lengths = byte_lengths.take(self.tokens[known : min(known + _TOKENS_AT_ONCE, block * _BLOCK_TOKENS)])
            sums = lengths.reshape(-1, _BLOCK_TOKENS).sum(axis=1, dtype=np.int64)
            blocks = np.concatenate([blocks, blocks[-1] + np.cumsum(sums)])
        self._blocks = blocks  # whole or not at all: another thread may read it
        return int(blocks[block])

    def read(self, cuts: tuple[int, int, int, int]) -> tuple[str, str, str]:
        """The text between four places, the outer ones widened to whole characters."""
        if cuts[3] > self.size:
            raise DataLossError(
                f"the {self.part.stream.tokenizer_name} stream of segment {self.part.segment.id} is not of its text"
            )
        # A character has at most 3 bytes after its first.
        origin = max(cuts[0] - 3, 0)
        text = self.part.segment.read(self.begin + origin, self.begin + min(cuts[3] + 3, self.size))
        first, begin, end, last = (cut - origin for cut in cuts)
        while first < begin and _is_inside_character(text, first):
            first -= 1
        while last > end and _is_inside_character(text, last):
            last += 1
        before, match, after = text[first:begin], text[begin:end], text[end:last]
        return before.decode(errors="replace"), match.decode(errors="replace"), after.decode(errors="replace")


def _is_inside_character(text: bytes, at: int) -> bool:
    return 0 < at < len(text) and text[at] & 0xC0 == 0x80
