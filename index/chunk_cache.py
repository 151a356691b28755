"""Encoding text by the chunks it repeats: a word with the space before it is encoded once and looked up from then on.

A tokenizer that never crosses from a printable ASCII character to a space or line feed gives each chunk between two
such places the ids that it has in the whole text. Natural text is made of few chunks: nine of ten are looked up.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from lodex.errors import InvalidArgumentError
from lodex.index.tokenizer import Tokenizer

_GENERATION_CHUNKS = 1 << 18
_MAX_CHUNK_BYTES = 48


class ChunkCache:
    """Ids of texts as bytes of the tokenizer's dtype, equal to those of `Tokenizer.encode_batch`.

    For tokenizers with `Tokenizer.splits_before_spaces`. Chunks are kept in two generations: when the younger is full,
    the elder is dropped with all that nobody asked for meanwhile. Memory: about 100 MB, and six times a batch of texts.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        lengths = tokenizer.byte_lengths
        if not tokenizer.splits_before_spaces or lengths is None:
            raise InvalidArgumentError(f"tokenizer {tokenizer.name} may have tokens across spaces", "tokenizer")
        self._tokenizer = tokenizer
        self._byte_lengths = lengths
        self._younger: dict[bytes, bytes] = {}
        self._elder: dict[bytes, bytes] = {}

    def encode_batch(self, texts: Sequence[bytes]) -> list[bytes]:
        """The ids of each text, which is UTF-8."""
        chunks, firsts = split(texts)
        different = set(chunks)
        # Not a difference of sets, which would go through all keys.
        missing = {chunk for chunk in different if chunk not in self._younger}
        if missing:
            self._learn(different, missing)
        known = self._younger
        ids = list(map(known.__getitem__, chunks))
        for chunk in missing:
            # Such a chunk is hardly a word that comes again.
            if len(chunk) > _MAX_CHUNK_BYTES:
                del known[chunk]
        return [b"".join(ids[begin:end]) for begin, end in pairwise(firsts)]

    def _learn(self, different: set[bytes], missing: set[bytes]) -> None:
        """Have all chunks in the younger generation."""
        found = {chunk: self._elder[chunk] for chunk in missing if chunk in self._elder}
        found |= self._encode([chunk for chunk in missing if chunk not in found])
        if len(self._younger) + len(found) > _GENERATION_CHUNKS:
            self._elder, self._younger = self._younger, {}
            found |= {chunk: self._elder[chunk] for chunk in different if chunk not in found}
        self._younger |= found

    def _encode(self, chunks: Collection[bytes]) -> dict[bytes, bytes]:
        """The ids of each chunk. Side by side they are encoded as one text, which is cut again by the bytes of ids."""
        fitting = [chunk for chunk in chunks if chunk[0] in b" \n" and 0x21 <= chunk[-1] <= 0x7E]
        fitted = set(fitting)
        others = [chunk for chunk in chunks if chunk not in fitted]
        ids, *of_others = self._tokenizer.encode_batch([b"".join(part).decode() for part in (fitting, *zip(others))])
        ends = np.cumsum(self._byte_lengths[ids], dtype=np.int64)
        cuts = ends.searchsorted(np.cumsum([0] + [len(chunk) for chunk in fitting]), side="right")
        data = ids.tobytes()
        places = (cuts * ids.itemsize).tolist()
        found = {chunk: data[begin:end] for chunk, (begin, end) in zip(fitting, pairwise(places), strict=True)}
        return found | {chunk: part.tobytes() for chunk, part in zip(others, of_others, strict=True)}


def split(texts: Sequence[bytes]) -> tuple[list[bytes], list[int]]:
    """The chunks of texts, and (texts + 1,) where those of each begin.

    Texts are cut between a printable ASCII character and a space or line feed.
    """
    text = b"".join(texts)
    codes = np.frombuffer(text, np.uint8)
    starts = np.cumsum([0] + [len(part) for part in texts])
    is_begin = np.zeros(len(text) + 1, np.bool_)
    before, after = codes[:-1], codes[1:]
    # Below 0x21, the difference wraps around: this is 0x21 <= before <= 0x7E.
    is_begin[1:-1] = ((after == 0x20) | (after == 0x0A)) & (before - np.uint8(0x21) < 0x5E)
    is_begin[starts] = True
    places = np.flatnonzero(is_begin)
    chunks = [text[begin:end] for begin, end in pairwise(places.tolist())]
    return chunks, places.searchsorted(starts).tolist()
