"""Arrow IPC files, mapped: what is read of them is their frames, until a row is asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lodex.index.files import read_error
from lodex.index.receipt import Artefact


def open_batches(artefact: Artefact, name: str, schema: pa.Schema) -> list[pa.RecordBatch]:
    """The record batches of a mapped file; DataLossError where it cannot be read or has other columns.

    What bytes say of places is compared with where the bytes are, so that no damage leads a reader astray: sizes,
    offsets and counts, and of strings whether they are UTF-8.
    """
    path = artefact.file(name)
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if not reader.schema.equals(schema):
            raise artefact.damaged(name, f"has columns {reader.schema.names}, expected {schema.names}")
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)
        return batches
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        # An error with a number is the system's, and says nothing of the bytes.
        if getattr(error, "errno", None) is not None:
            raise read_error(error, path) from error
        raise artefact.damaged(name, f"cannot be read: {error}") from error


def write_single_batch(path: Path, batch: pa.RecordBatch) -> None:
    """A file of one record batch, so that its columns are contiguous when mapped."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
