"""Arrow IPC files, mapped: what is read of them is their frames, until a row is asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lodex.errors import DataLossError


def open_batches(path: Path, schema: pa.Schema) -> list[pa.RecordBatch]:
    """The record batches of a mapped file; DataLossError where it cannot be read or has other columns."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if not reader.schema.equals(schema):
            raise DataLossError(f"{path} has columns {reader.schema.names}, expected {schema.names}")
        return [reader.get_batch(i) for i in range(reader.num_record_batches)]
    except PermissionError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataLossError(f"{path} cannot be read: {error}") from error


def write_single_batch(path: Path, batch: pa.RecordBatch) -> None:
    """A file of one record batch, so that its columns are contiguous when mapped."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
