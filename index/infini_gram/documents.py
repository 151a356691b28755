"""Documents of infini-gram shards, cut out around a place, with the fields of infini-gram's answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TypedDict

from lodex.index.infini_gram.shard import Shard


class DocResult(TypedDict):
    """A document, or the part of it around a place.

    `doc_ix` numbers the documents of all shards; `doc_len` and `disp_len` are its tokens and those in `token_ids`;
    `needle_offset` is the place in `token_ids`; `metadata` is a line of JSON, "" where there is none. `blocked` is
    always False.
    """

    doc_ix: int
    doc_len: int
    disp_len: int
    needle_offset: int
    metadata: str
    token_ids: list[int]
    blocked: bool


class Documents:
    """The documents of shards, numbered through."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._firsts = list(accumulate((shard.num_documents for shard in shards), initial=0))

    def __len__(self) -> int:
        return self._firsts[-1]

    def around(self, s: int, position: int, before: int, after: int) -> DocResult:
        """The document that holds token `position` of shard `s`, from `before` tokens before it to `after` from it on.

        At a separator that is the document which it begins, from its start, and the needle_offset is 0.
        """
        shard = self._shards[s]
        number = shard.document_of(position)
        begin, end = shard.document(number)
        start = max(begin, position - before)
        stop = max(start, min(end, position + after))
        return self._cut(s, number, (begin, end), start, stop, max(0, position - start))

    def numbered(self, doc_ix: int, length: int) -> DocResult:
        """The first `length` tokens of a document."""
        s = next(s for s, end in enumerate(self._firsts[1:]) if doc_ix < end)
        number = doc_ix - self._firsts[s]
        begin, end = self._shards[s].document(number)
        return self._cut(s, number, (begin, end), begin, min(end, begin + length), 0)

    def number_of(self, s: int, position: int) -> int:
        """The `doc_ix` of the document that holds a token of a shard."""
        return self._firsts[s] + self._shards[s].document_of(position)

    def _cut(
        self, s: int, number: int, document: tuple[int, int], start: int, stop: int, needle_offset: int
    ) -> DocResult:
        shard = self._shards[s]
        begin, end = document
        return {
            "doc_ix": self._firsts[s] + number,
            "doc_len": end - begin,
            "disp_len": stop - start,
            "needle_offset": needle_offset,
            "metadata": shard.line(number),
            "token_ids": shard.tokens[start:stop].tolist(),
            "blocked": False,
        }
