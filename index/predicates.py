"""Filters over the documents of a segment: which rows they are true for.

Columns are tested by Arrow, a record batch at a time. Metadata is JSON text: a row of it is parsed at most once, and
only where the filter is not decided without it and the row's text has the last key of the path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lodex.filters import (
    COLUMNS,
    AllOf,
    AnyOf,
    Condition,
    Filter,
    NoneOf,
    NumberRange,
    Prefix,
    Test,
    TextRange,
    Texts,
    Truth,
)
from lodex.index.deletions import Deletions
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.uint32]
Path = tuple[str, ...]

_FIRST_ROWS = 256
_MISSING = object()


def matching_rows(segment: Segment, filter_: Filter, deletions: Deletions | None = None) -> Rows:
    """The rows of a segment for which a filter is true, ascending, without those that are deleted."""
    found = list(matching_batches(segment, filter_, deletions))
    return np.concatenate(found) if found else np.empty(0, np.uint32)


def matching_documents(snapshot: Snapshot, filter_: Filter) -> dict[str, Rows]:
    """The documents for which a filter is true: ascending rows by segment id. A segment without any is left out."""
    found = {segment.id: matching_rows(segment, filter_, snapshot.deletions(segment)) for segment in snapshot.segments}
    return {segment_id: rows for segment_id, rows in found.items() if len(rows)}


def matching_batches(
    segment: Segment, filter_: Filter, deletions: Deletions | None = None, first_row: int = 0
) -> Iterator[Rows]:
    """The matching rows from `first_row` on, those of a few hundred documents first, then of more and more at a time.

    So a reader that wants few of them soon has enough, and one that wants all has little to pay for each step.
    """
    evaluate, paths = _compiled(filter_), frozenset(_paths(filter_))
    at_once = _FIRST_ROWS
    begin = 0
    for batch in segment.batches:
        end = begin + len(batch)
        while (first := max(begin, first_row)) < end:
            some = batch.slice(first - (end - len(batch)), at_once)
            begin = first + len(some)
            candidates = ~deletions.mask[first:begin] if deletions else np.ones(len(some), np.bool_)
            yield (np.flatnonzero(evaluate(_Batch(some, paths), candidates)) + first).astype(np.uint32)
            at_once *= 2
        begin = end


class _Batch:
    """The fields of a run of documents, each made ready when it is first asked for."""

    def __init__(self, batch: pa.RecordBatch, paths: frozenset[Path]) -> None:
        """`paths` are all that will be asked for in the metadata: a row is parsed once for all of them."""
        self._batch = batch
        self._columns: dict[str, tuple[pa.Array, Mask]] = {}
        self._values = {path: [_MISSING] * len(batch) for path in paths}
        self._is_parsed = np.zeros(len(batch), np.bool_)

    def column(self, name: str) -> tuple[pa.Array, Mask]:
        """A column as bytes, whose order is that of code points, and where it is not empty."""
        if name not in self._columns:
            values = self._batch.column(name).cast(pa.binary())
            self._columns[name] = values, _mask(pc.greater(pc.binary_length(values), 0))
        return self._columns[name]

    def values(self, path: Path, candidates: Mask) -> Iterator[tuple[int, Any]]:
        """The candidates whose metadata has a value at a path, each with the value."""
        # Exact, since a key is written in one way alone: as `encode_document` writes it.
        key = _bytes(json.dumps(path[-1], ensure_ascii=False) + ":")
        has_key = candidates & _mask(pc.match_substring(self.column("metadata")[0], key))
        self._parse(np.flatnonzero(has_key & ~self._is_parsed))
        values = self._values[path]
        return ((i, values[i]) for i in np.flatnonzero(has_key).tolist() if values[i] is not _MISSING)

    def _parse(self, rows: npt.NDArray[np.intp]) -> None:
        for i, text in zip(rows.tolist(), self._batch.column("metadata").take(rows).to_pylist(), strict=True):
            # Only the values are kept: thousands of living objects would cost more in garbage collection.
            metadata = json.loads(text)
            for path, values in self._values.items():
                values[i] = _value_at(metadata, path)
        self._is_parsed[rows] = True


def _value_at(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key, _MISSING) if isinstance(value, dict) else _MISSING
    return value


Evaluate = Callable[[_Batch, Mask], Mask]
"""Those of the candidates for which a filter is true."""


def _compiled(filter_: Filter) -> Evaluate:
    match filter_:
        case Condition(field, test) if field in COLUMNS:
            return _column_test(field, test)
        case Condition(_, test):
            return _metadata_test(filter_.path, test)
        case AllOf(filters):
            return _all_of(_cheapest_first(filters))
        case AnyOf(filters):
            none = _none_of(_cheapest_first(filters))
            return lambda batch, candidates: candidates & ~none(batch, candidates)
        case NoneOf(filters):
            return _none_of(_cheapest_first(filters))


def _cheapest_first(filters: tuple[Filter, ...]) -> list[Evaluate]:
    return [_compiled(part) for part in sorted(filters, key=_reads_metadata)]


def _reads_metadata(filter_: Filter) -> bool:
    return any(_paths(filter_))


def _paths(filter_: Filter) -> Iterator[Path]:
    """The paths in the metadata that a filter asks for."""
    if not isinstance(filter_, Condition):
        for part in filter_.filters:
            yield from _paths(part)
    elif filter_.path:
        yield filter_.path


def _all_of(parts: list[Evaluate]) -> Evaluate:
    def evaluate(batch: _Batch, candidates: Mask) -> Mask:
        for part in parts:
            candidates = part(batch, candidates)
        return candidates

    return evaluate


def _none_of(parts: list[Evaluate]) -> Evaluate:
    def evaluate(batch: _Batch, candidates: Mask) -> Mask:
        for part in parts:
            candidates = candidates & ~part(batch, candidates)
        return candidates

    return evaluate


def _column_test(name: str, test: Test) -> Evaluate:
    passes = _bytes_test(test)

    def evaluate(batch: _Batch, candidates: Mask) -> Mask:
        values, present = batch.column(name)
        return candidates & present & passes(values)

    return evaluate


def _bytes_test(test: Test) -> Callable[[pa.Array], Mask]:
    """A test as a function of a column of texts, as bytes."""
    match test:
        case Texts(texts):
            wanted = pa.array([_bytes(text) for text in texts], pa.binary())
            return lambda values: _mask(pc.is_in(values, value_set=wanted))
        case TextRange(at_least, below):
            least = pa.scalar(_bytes(at_least or ""), pa.binary())
            if below is None:
                return lambda values: _mask(pc.greater_equal(values, least))
            beyond = pa.scalar(_bytes(below), pa.binary())
            return lambda values: _mask(pc.and_(pc.greater_equal(values, least), pc.less(values, beyond)))
        case Prefix(text):
            return lambda values: _mask(pc.starts_with(values, _bytes(text)))
        case _:
            return lambda values: np.zeros(len(values), np.bool_)


def _metadata_test(path: Path, test: Test) -> Evaluate:
    passes = _value_test(test)

    def evaluate(batch: _Batch, candidates: Mask) -> Mask:
        passed = np.zeros_like(candidates)
        passed[[i for i, value in batch.values(path, candidates) if passes(value)]] = True
        return passed

    return evaluate


def _value_test(test: Test) -> Callable[[Any], bool]:
    """A test as a function of a JSON value."""
    match test:
        case Texts(texts):
            wanted = frozenset(texts)
            return lambda value: isinstance(value, str) and value in wanted
        case TextRange(at_least, below):
            return lambda value: isinstance(value, str) and _is_within(value, at_least, below)
        case NumberRange(at_least, below):
            return lambda value: type(value) in (int, float) and _is_within(value, at_least, below)
        case Truth(truth):
            return lambda value: value is truth
        case Prefix(text):
            return lambda value: isinstance(value, str) and value.startswith(text)


def _is_within(value: Any, at_least: Any, below: Any) -> bool:
    return (at_least is None or at_least <= value) and (below is None or value < below)


def _bytes(text: str) -> bytes:
    # A lone surrogate is in no document, and has its place in the order all the same.
    return text.encode("utf-8", "surrogatepass")


def _mask(values: pa.BooleanArray) -> Mask:
    mask: Mask = values.to_numpy(zero_copy_only=False)
    return mask
