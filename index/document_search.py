"""The documents that hold an n-gram or a conjunction, each once, page by page, in corpus or in random order.

An n-gram that occurs up to `MANY_OCCURRENCES` times is followed to all of its places, so its documents are known. Of
one that occurs more often, documents are read in the order of the listing until a page is full, and their number is
estimated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from lodex.errors import InvalidArgumentError
from lodex.filters import Filter
from lodex.index.conjunctions import AnchoredConjunction, even_sample, picked_places
from lodex.index.occurrences import Place
from lodex.index.places import Places, documents_at, passing_rows, places_of, read_places
from lodex.index.suffix import SuffixSegment
from lodex.index.tokenizer import TokenIds

MANY_OCCURRENCES = 1_000_000
_SAMPLED_OCCURRENCES = 2048
_FIRST_TOKENS_READ = 1 << 16
_MOST_TOKENS_READ = 1 << 22
_PAGE_TOKEN = re.compile(r"([0-9]{1,20})-([0-9a-f]{16})-(\w{1,64})-([0-9]{1,10})", re.ASCII)

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class DocumentOrder:
    """The order of a listing: by segments and rows or, with a seed, by a hash of the seed, the segment and the row."""

    parts: Sequence[SuffixSegment]
    seed: int | None

    def keys(self, number: int, rows: Int64s) -> UInt64s:
        """What documents of a part are ordered by; of equals the lower part and row comes first."""
        if self.seed is None:
            return np.zeros(len(rows), np.uint64)
        salt = xxhash.xxh3_64_intdigest(self.parts[number].segment.id.encode(), self.seed & (2**64 - 1))
        return _mixed(rows.astype(np.uint64), salt)

    def following(self, numbers: Int64s, rows: Int64s, keys: UInt64s, start: tuple[int, int] | None) -> Int64s:
        """The indices of documents, in order, from document `start` (part, row) on.

        Documents are given by ascending part and row.
        """
        if start is not None:
            number, row = start
            (first,) = self.keys(number, np.array([row], np.int64))
            is_behind = (numbers > number) | ((numbers == number) & (rows >= row))
            kept = np.flatnonzero((keys > first) | ((keys == first) & is_behind))
        else:
            kept = np.arange(len(rows))
        return kept if self.seed is None else kept[np.argsort(keys[kept], kind="stable")]


@dataclass(frozen=True, slots=True)
class Documents:
    """One page: a place in each document, the token of the next page, and how many documents there are in all.

    `occurrences` is how often what is sought stands in the corpus, whatever the filter.
    """

    places: list[Place]
    next_page_token: str
    occurrences: int
    documents: int
    is_approximate: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The documents of an index that hold any of some sequences, or the anchor of a conjunction where that holds.

    No two sequences end at one place of a text, or none begin there. `count` is how often they occur, the
    conjunction's anchor left aside. `where` is a filter of the documents.
    """

    index: str
    version: int
    parts: Sequence[SuffixSegment]
    sought: Sequence[TokenIds] | AnchoredConjunction
    count: int
    seed: int | None = None
    where: Filter | None = None

    @property
    def sequences(self) -> Sequence[TokenIds]:
        """What stands at the places."""
        return self.sought.anchor if isinstance(self.sought, AnchoredConjunction) else self.sought

    def page(self, token: str, size: int, field: str) -> Documents:
        """The first place in each of up to `size` documents, from a page token on.

        "" is the token of the first page, and the one after the last. InvalidArgumentError names `field` for a token
        of another query, seed, filter or version.
        """
        start = self._start(token, field) if token else None
        if self.count > MANY_OCCURRENCES and not isinstance(self.sought, AnchoredConjunction):
            shown = self._read(start, size + 1)
            occurrences, documents, is_approximate = self.count, self._estimated_documents(), True
        else:
            shown, occurrences, documents = self._known(start, size + 1)
            is_approximate = False
        following = ""
        if len(shown) > size:
            number, places = shown.pop()
            following = f"{self.version}-{self._digest()}-{self.parts[number].segment.id}-{places.rows[0]}"
        return Documents([self._place(*one) for one in shown], following, occurrences, documents, is_approximate)

    # ------------------------------------------------------------------------------------ all places known

    def _known(self, start: tuple[int, int] | None, limit: int) -> tuple[list[tuple[int, Places]], int, int]:
        """The first documents by all places there are, the number of places and that of documents."""
        every = [self._places(part) for part in self.parts]
        found = [self._firsts(part, places) for part, places in zip(self.parts, every, strict=True)]
        order = DocumentOrder(self.parts, self.seed)
        numbers = np.repeat(np.arange(len(found)), [len(places) for places in found])
        rows = np.concatenate([places.rows for places in found])
        keys = np.concatenate([order.keys(number, places.rows) for number, places in enumerate(found)])
        bounds = np.cumsum([0, *(len(places) for places in found)])
        shown = []
        for i in order.following(numbers, rows, keys, start)[:limit].tolist():
            number = int(numbers[i])
            at = i - int(bounds[number])
            shown.append((number, found[number][at : at + 1]))
        return shown, sum(map(len, every)), len(rows)

    def _places(self, part: SuffixSegment) -> Places:
        if isinstance(self.sought, AnchoredConjunction):
            return self.sought.places(part)
        return places_of(part, part.find(self.sought))

    def _firsts(self, part: SuffixSegment, places: Places) -> Places:
        firsts = places.first_of_each_document()
        return firsts if self.where is None else firsts[passing_rows(part, self.where, firsts.rows)]

    # ------------------------------------------------------------------------------------ places read as needed

    def _read(self, start: tuple[int, int] | None, limit: int) -> list[tuple[int, Places]]:
        """The first documents by reading them in their order, more and more at a time."""
        order = DocumentOrder(self.parts, self.seed)
        live = [part.deletions.live_rows.astype(np.int64) for part in self.parts]
        numbers = np.repeat(np.arange(len(live)), [len(rows) for rows in live])
        rows = np.concatenate(live)
        keys = np.concatenate([order.keys(number, some) for number, some in enumerate(live)])
        following = order.following(numbers, rows, keys, start)
        shown: list[tuple[int, Places]] = []
        for batch in self._batches(numbers, rows, following):
            found = {
                (number, int(row)): places[i : i + 1]
                for number in np.unique(numbers[batch]).tolist()
                for places in [self._read_some(number, np.sort(rows[batch[numbers[batch] == number]]))]
                for i, row in enumerate(places.rows.tolist())
            }
            asked = zip(numbers[batch].tolist(), rows[batch].tolist(), strict=True)
            shown += [(one[0], found[one]) for one in asked if one in found]
            if len(shown) >= limit:
                break
        return shown[:limit]

    def _batches(self, numbers: Int64s, rows: Int64s, order: Int64s) -> Iterator[Int64s]:
        """Runs of documents of ever more tokens."""
        lengths = np.zeros(len(rows), np.int64)
        for number, part in enumerate(self.parts):
            begins, ends = documents_at(part, rows[numbers == number])
            lengths[numbers == number] = ends - begins
        ends = np.cumsum(lengths[order])
        first, budget = 0, _FIRST_TOKENS_READ
        while first < len(order):
            read = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, read + budget, side="right")), first + 1)
            yield order[first:last]
            first, budget = last, min(2 * budget, _MOST_TOKENS_READ)

    def _read_some(self, number: int, rows: Int64s) -> Places:
        part = self.parts[number]
        rows = rows[passing_rows(part, self.where, rows)]
        return read_places(part, rows, self.sequences).first_of_each_document()

    def _estimated_documents(self) -> int:
        """The number of documents, by occurrences drawn evenly over their ranks.

        An occurrence in a document that holds n of them stands for 1 / n documents, so their mean times the number of
        all occurrences is an unbiased estimate (Horvitz and Thompson 1952), whatever the lengths of documents; those
        that are deleted or do not pass the filter stand for none.
        """
        runs = [part.find(self.sequences) for part in self.parts]
        ranks = sum(int(run.lengths.sum()) for run in runs)
        drawn = min(ranks, _SAMPLED_OCCURRENCES)
        picks = even_sample(ranks, drawn, seed=int(self._digest(), 16))
        total, first = 0.0, 0
        for part, run in zip(self.parts, runs, strict=True):
            last = first + int(run.lengths.sum())
            places = picked_places(part, run, picks[(picks >= first) & (picks < last)] - first)
            rows, times = np.unique(places.rows, return_counts=True)
            is_kept = passing_rows(part, self.where, rows)
            rows, times = rows[is_kept], times[is_kept]
            held = read_places(part, rows, self.sequences).rows
            total += float((times / np.bincount(np.searchsorted(rows, held), minlength=len(rows))).sum())
            first = last
        return round(total * ranks / drawn)

    # ------------------------------------------------------------------------------------ places and page tokens

    def _place(self, number: int, places: Places) -> Place:
        part = self.parts[number]
        row, sequence = int(places.rows[0]), self.sequences[int(places.owners[0])]
        first = int(part.stream.offsets[row]) // part.stream.dtype.itemsize + 1
        # A separator in front is no token of its document.
        begin = max(int(places.positions[0]) - first, 0)
        length = int((sequence != part.stream.separator).sum())
        return Place(part, row, begin, begin + length)

    def _start(self, token: str, field: str) -> tuple[int, int]:
        """The part and row where the page of a token begins."""
        match = _PAGE_TOKEN.fullmatch(token)
        if match is None:
            raise InvalidArgumentError(f"{field} is not a page token: {token[:80]!r}", field)
        version, digest, segment_id, row = match.groups()
        if int(version) != self.version:
            raise InvalidArgumentError(f"{field} is of version {version}, this is version {self.version}", field)
        if digest != self._digest():
            raise InvalidArgumentError(f"{field} is of another query", field)
        for number, part in enumerate(self.parts):
            if part.segment.id == segment_id and int(row) < part.stream.num_documents:
                return number, int(row)
        raise InvalidArgumentError(f"{field} names no document of index {self.index!r}", field)

    def _digest(self) -> str:
        """What tells listings of one version apart, 16 hexadecimal digits."""
        hasher = xxhash.xxh3_64(repr((self.index, self.seed, self.where)).encode("utf-8", "surrogatepass"))
        clauses = [self.sequences]
        if isinstance(self.sought, AnchoredConjunction):
            clauses += self.sought.others
            hasher.update(repr(self.sought.max_distance).encode())
        for clause in clauses:
            hasher.update(len(clause).to_bytes(8, "little"))
            for tokens in clause:
                hasher.update(len(tokens).to_bytes(8, "little") + tokens.tobytes())
        return hasher.hexdigest()


def _mixed(values: UInt64s, salt: int) -> UInt64s:
    """Numbers as random ones, one to one: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)
