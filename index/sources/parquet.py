"""Parquet tables: one row, one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.reading import Item, Reading, Record, SourceFile

# Bounds the memory: column chunks are read this much at a time rather than whole, and rows of about this much at once.
_BUFFER_BYTES = 1 << 20
_BATCH_BYTES = 4 << 20
_MAX_BATCH_ROWS = 256


def read_parquet(file: SourceFile, reading: Reading) -> Iterator[Item]:
    """The documents of a table; the line of a record is its row, counted from 1.

    Held at once are one page of each column that is read, and a batch of at most 256 rows, fewer where rows are large,
    whatever the size of a row group. A value above the size limit is refused after its page was read.
    """
    with file.open(reading) as raw:
        try:
            with pq.ParquetFile(raw, pre_buffer=False, buffer_size=_BUFFER_BYTES) as table:
                yield from _read_table(table, file, reading)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"not a Parquet file that can be read: {error}", kind=Fault.DAMAGED) from error


def _read_table(table: pq.ParquetFile, file: SourceFile, reading: Reading) -> Iterator[Item]:
    names = table.schema_arrow.names
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"column {twice[0]!r} stands twice", kind=Fault.WRONG_TYPE)
    columns = reading.fields.columns(names)
    if not table.metadata.num_rows:
        raise InputError("the table has no rows", kind=Fault.EMPTY_FILE)
    number = 0
    for group in range(table.num_row_groups):
        rows = _batch_rows(table.metadata.row_group(group))
        for batch in table.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
            for row in _rows(batch):
                number += 1
                try:
                    if isinstance(row, InputError):
                        raise row
                    document = reading.fields.document(row, file.name, number)
                except InputError as error:
                    yield error.at(file.place, number)
                else:
                    yield Record(document, file.place, number)


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    """How many rows of this group make a batch of about 4 MiB."""
    row_bytes = group.total_byte_size // max(group.num_rows, 1) + 1
    return int(min(max(_BATCH_BYTES // row_bytes, 1), _MAX_BATCH_ROWS))


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | InputError]:
    """The rows as Python values, or the fault of a row that has a value Python cannot hold."""
    batch = pa.record_batch([_in_microseconds(column) for column in batch.columns], names=batch.schema.names)
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):
        rows = _row_by_row(batch)
    yield from rows


def _row_by_row(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | InputError]:
    for i in range(len(batch)):
        try:
            yield batch.slice(i, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            yield InputError(f"a value is not UTF-8: {error}", kind=Fault.UNDECODABLE)
        except (ValueError, OverflowError) as error:
            yield InputError(f"a value cannot be read: {error}", kind=Fault.WRONG_TYPE)


def _in_microseconds(column: pa.Array) -> pa.Array:
    """Timestamps cut to what `datetime` can hold; other columns as they are."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column
