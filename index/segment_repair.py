"""Damaged segments: what can be made again from text and documents is, and of the rest the documents are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lodex.errors import DataLossError
from lodex.index.arrow_files import open_batches, write_single_batch
from lodex.index.files import checksum_bytes, checksum_file, replace_file
from lodex.index.receipt import RECEIPT, Artefact, FileRecord, Receipt, record_files
from lodex.index.segment import DOCUMENTS, DOCUMENTS_SCHEMA, LOOKUP, TEXT, doc_id_hash, lookup_of, segment_id
from lodex.index.text_blocks import BLOCK_BYTES, TextBlocks


def restore_segment(path: Path) -> str:
    """Write the look-up table and the receipt of a segment again; returns the checksum of the receipt.

    The name of a segment's folder is an address of its text and documents, which proves them without a receipt.
    DataLossError where they are not what it says: there is no second copy of a text.
    """
    missing = [name for name in (TEXT, DOCUMENTS) if not (path / name).exists()]
    if missing:
        raise DataLossError(f"{path / missing[0]} is missing")
    if segment_id(record_files(path)) != path.name:
        raise DataLossError(f"{path} holds another text, or other documents, than were ingested")
    artefact = _unproven(path)
    batches = open_batches(artefact, DOCUMENTS, DOCUMENTS_SCHEMA)
    hashes = [doc_id_hash(doc_id) for batch in batches for doc_id in batch.column("doc_id").to_pylist()]
    sink = path / f".{LOOKUP}"
    write_single_batch(sink, lookup_of(np.array(hashes, np.uint64)))
    table = sink.read_bytes()
    sink.unlink()
    replace_file(path / LOOKUP, table)
    text_bytes = TextBlocks(artefact, TEXT).length
    receipt = Receipt("segment", path.name, (), {}, len(hashes), {"text_bytes": text_bytes}, record_files(path))
    replace_file(path / RECEIPT, receipt.to_bytes())
    return checksum_bytes(receipt.to_bytes())


def affected_documents(path: Path) -> tuple[str, ...]:
    """The documents of a segment whose text is damaged: all of them where that cannot be told apart.

    The ids are read from what is left; none can be named where the documents' own file is not readable.
    """
    artefact = _unproven(path)
    try:
        batches = open_batches(artefact, DOCUMENTS, DOCUMENTS_SCHEMA)
    except DataLossError:
        return ()
    if not batches:
        return ()
    table = pa.Table.from_batches(batches)
    doc_ids: list[str] = table.column("doc_id").to_pylist()
    try:
        blocks = TextBlocks(artefact, TEXT)
    except DataLossError:
        return tuple(doc_ids)
    damaged = np.concatenate([[0], np.cumsum([not _reads(blocks, i) for i in range(blocks.num_blocks)])])
    begins, ends = (table.column(name).to_numpy().astype(np.int64) for name in ("begin", "end"))
    first = np.clip(begins // BLOCK_BYTES, 0, blocks.num_blocks)
    last = np.clip((ends + BLOCK_BYTES - 1) // BLOCK_BYTES, first, blocks.num_blocks)
    return tuple(doc_ids[row] for row in np.flatnonzero(damaged[last] > damaged[first]).tolist())


def _unproven(path: Path) -> Artefact:
    """The files of a folder as they are, whatever its receipt says of them."""
    present = [path / name for name in (TEXT, DOCUMENTS) if (path / name).exists()]
    records = {file.name: FileRecord(file.stat().st_size, checksum_file(file).whole) for file in present}
    return Artefact(path, Receipt("segment", path.name, (), {}, 0, {}, records))


def _reads(blocks: TextBlocks, block: int) -> bool:
    try:
        blocks.read(block * BLOCK_BYTES, min((block + 1) * BLOCK_BYTES, blocks.length))
    except DataLossError:
        return False
    return True
