"""One segment of a kNN index: its keys in a file, scanned whole or through inverted lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.deletions import Deletions
from lodex.index.knn_files import BOUNDS, KEYS, SQUARES, Floats, Rows, map_keys, squared_distances, squared_lengths
from lodex.index.knn_lists import KeyLists
from lodex.index.knn_pool import CandidatePool
from lodex.index.knn_scan import nearest_rows
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.tokens import TokenStream

# A tile of keys as float32 and its estimates for a batch of queries: 8 MiB each fit a core's share of the cache.
_TILE_FLOATS = 1 << 21
_ROWS_AT_ONCE = 4096
# So few queries are scanned for one by one, which is quicker than to make tiles for them.
_FEW_QUERIES = 4
_FEW_ROWS = 4096
# How many more than k are fetched then, so that rounding seldom leaves the k-th in doubt.
_SLACK = 64

Check = Callable[[], None]


class KnnPart:
    """The keys of one segment's entries, mapped. Candidates are named by row: where a key stands in its file.

    Entries of deleted documents are never offered.
    """

    def __init__(
        self, segment: Segment, stream: TokenStream, artefact: Artefact, dimension: int, deletions: Deletions
    ) -> None:
        self.segment = segment
        self.stream = stream
        self.num_entries = artefact.receipt.rows
        path = artefact.file(KEYS)
        if self.num_entries != len(stream.tokens) or stream.num_documents != segment.num_documents:
            raise DataLossError(f"{path} is not of segment {segment.id} and its {stream.tokenizer_name} stream")
        for name, width in ((KEYS, 2 * dimension), (SQUARES, 4)):
            if artefact.file(name).stat().st_size != self.num_entries * width:
                raise DataLossError(f"{artefact.path / name} does not hold {self.num_entries} rows of {width} bytes")
        self._path = path
        self._keys = map_keys(path, self.num_entries, dimension)
        self._squares: Floats = (
            np.memmap(artefact.file(SQUARES), "<f4", "r") if self.num_entries else np.empty(0, np.float32)
        )
        self._lists = KeyLists.open(artefact, dimension) if BOUNDS in artefact.receipt.files else None
        self._deleted = self._deleted_rows(deletions) if len(deletions) else None
        self.num_live = self.num_entries - (0 if self._deleted is None else int(self._deleted.sum()))
        self.largest_norm = float(artefact.receipt.details["largest_norm"])

    @property
    def nprobe(self) -> int | None:
        """How many lists are probed by default, None where there are none."""
        return self._lists.nprobe if self._lists else None

    def offer(
        self,
        queries: Floats,
        pools: Sequence[CandidatePool],
        first: int,
        k: int,
        nprobe: int | None,
        exact: bool,
        check: Check,
    ) -> None:
        """Offer each pool the rows that may be near its query (n, d), under the numbers `first` + row."""
        if not exact and self._lists is not None:
            self._probe(self._lists, queries, pools, first, min(k, self.num_live), nprobe, check)
        elif (
            self._deleted is None
            and len(queries) <= _FEW_QUERIES
            and k <= min(_FEW_ROWS, self.num_entries - _SLACK - 1)
        ):
            self._scan_each(queries, pools, first, k, check)
        else:
            self._scan(queries, pools, first, check)

    def _scan_each(self, queries: Floats, pools: Sequence[CandidatePool], first: int, k: int, check: Check) -> None:
        """Scan for one query at a time; where the rows found may not be all that are wanted, scan again in tiles."""
        count = k + _SLACK
        for query, pool in zip(queries, pools, strict=True):
            distances, rows = nearest_rows(query, self._keys, count, check)
            # As tiles estimate: up to the length of the query.
            estimates = (distances - np.float64(squared_lengths(query[None])[0])).astype(np.float32)
            if not pool.add_some(estimates, rows + first):
                self._scan(query[None], [pool], first, check)

    def _scan(self, queries: Floats, pools: Sequence[CandidatePool], first: int, check: Check) -> None:
        n, d = self._keys.shape
        size = max(1, min(_TILE_FLOATS // d, _TILE_FLOATS // len(queries)))
        tile = np.empty((min(size, n), d), np.float32)
        estimates = np.empty((len(queries), min(size, n)), np.float32)
        doubled = -2 * queries
        for begin in range(0, n, size):
            check()
            rows = min(size, n - begin)
            self._estimate(doubled, begin, begin + rows, tile[:rows], estimates[:, :rows])
            for pool, estimated in zip(pools, estimates[:, :rows], strict=True):
                pool.add(estimated, first + begin)

    def _probe(
        self,
        lists: KeyLists,
        queries: Floats,
        pools: Sequence[CandidatePool],
        first: int,
        k: int,
        nprobe: int | None,
        check: Check,
    ) -> None:
        """The queries are grouped by list, so that each list is read once and multiplied once."""
        probed = [lists.nearest(query, k, nprobe, self._live_sizes) for query in queries]
        of_list = np.concatenate(probed)
        of_query = np.repeat(np.arange(len(queries)), [len(chosen) for chosen in probed])
        order = np.argsort(of_list, kind="stable")
        starts = np.flatnonzero(np.diff(of_list[order], prepend=-1))
        for group in np.split(order, starts[1:]):
            check()
            begin, end = lists.bounds[of_list[group[0]]], lists.bounds[of_list[group[0]] + 1]
            if begin == end:
                continue
            members = of_query[group]
            estimates = np.empty((len(members), end - begin), np.float32)
            tile = np.empty((end - begin, queries.shape[1]), np.float32)
            self._estimate(-2 * queries[members], begin, end, tile, estimates)
            for i, estimated in zip(members.tolist(), estimates, strict=True):
                pools[i].add(estimated, first + int(begin))

    def _estimate(self, doubled: Floats, begin: int, end: int, tile: Floats, into: Floats) -> None:
        """Squared distances up to the length of the query, |k|^2 - 2 q.k: all that an order needs."""
        np.copyto(tile, self._keys[begin:end])
        np.matmul(doubled, tile.T, out=into)
        into += self._squares[begin:end]
        if self._deleted is not None:
            into[:, self._deleted[begin:end]] = np.inf

    def _deleted_rows(self, deletions: Deletions) -> npt.NDArray[np.bool_]:
        """(num_entries,) whether a row is of a deleted document."""
        begins = (self.stream.offsets // self.stream.dtype.itemsize).astype(np.int64)
        lengths = np.append(begins[1:], self.num_entries) - begins
        by_entry = np.repeat(deletions.mask, lengths)
        return by_entry if self._lists is None else by_entry[self.entries(np.arange(self.num_entries))]

    @cached_property
    def _live_sizes(self) -> Rows | None:
        """Rows of each list that may be found, None where all may."""
        if self._deleted is None or self._lists is None:
            return None
        live = np.concatenate([[0], np.cumsum(~self._deleted)])
        sizes: Rows = np.diff(live[self._lists.bounds])
        return sizes

    def distances(self, query: Floats, rows: Rows) -> Floats:
        """The squared distance of each row from a query (d,), whatever rows are asked for beside it."""
        distances = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            block = rows[start : start + _ROWS_AT_ONCE]
            distances[start : start + _ROWS_AT_ONCE] = squared_distances(query, self._keys[block])
        return distances

    def entries(self, rows: Rows) -> Rows:
        """The entry of each row: a token position of the stream."""
        if self._lists is None:
            return rows
        entries = self._lists.entries[rows].astype(np.int64)
        if len(entries) and not 0 <= entries.min() <= entries.max() < self.num_entries:
            raise DataLossError(f"{self._path.parent} names entries beyond the {self.num_entries} of its stream")
        return entries

    def values(self, entries: Rows) -> npt.NDArray[np.int64]:
        """The token behind each entry; EOS where its document ends there."""
        following = entries + 1
        ends = following >= self.num_entries
        tokens = self.stream.tokens[np.where(ends, 0, following)].astype(np.int64)
        return np.where(ends | (tokens == self.stream.separator), self.stream.eos_id, tokens)

    def tie_keys(self, entries: Rows) -> tuple[npt.NDArray[np.uint64], Rows]:
        """What orders entries of one distance, whatever their segment: a hash of their doc_id, the place in it."""
        return self._hashes[self.stream.rows_of(entries)], self.stream.positions_in_document(entries)

    @cached_property
    def _hashes(self) -> npt.NDArray[np.uint64]:
        """The hash of each document's id, by row."""
        hashes = np.empty(self.segment.num_documents, np.uint64)
        hashes[self.segment.lookup_rows] = self.segment.doc_id_hashes
        return hashes
