"""Sparse embeddings as Arrow record batches, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from lodex.errors import DataLossError
from lodex.types import SparseEmbeddings

_FORMAT, _VERSION = "lodex.sparse", "1"


def sparse_schema(vocab_size: int, fingerprint: str) -> pa.Schema:
    """One row a text: `ids` large_list<uint32>, `weights` large_list<float>, `truncated` bool, `tokens` int64.

    The lists are the rows of a CSR matrix, so offsets and values are its arrays without a copy. The metadata of the
    schema hold format, version, vocab_size and fingerprint; Parquet keeps them.
    """
    columns = [
        pa.field("ids", pa.large_list(pa.field("item", pa.uint32(), nullable=False)), nullable=False),
        pa.field("weights", pa.large_list(pa.field("item", pa.float32(), nullable=False)), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
    metadata = {"format": _FORMAT, "version": _VERSION, "vocab_size": str(vocab_size), "fingerprint": fingerprint}
    return pa.schema(columns, metadata=metadata)


def to_arrow(embeddings: SparseEmbeddings) -> pa.RecordBatch:
    """Sparse embeddings as a record batch of `sparse_schema`; `tokens` is 0 where they are not told text by text."""
    schema = sparse_schema(embeddings.vocab_size, embeddings.fingerprint)
    offsets = pa.array(embeddings.indptr)
    counts = embeddings.token_counts if len(embeddings.token_counts) else np.zeros(len(embeddings), np.int64)
    columns = [
        pa.LargeListArray.from_arrays(offsets, pa.array(embeddings.ids), type=schema.field("ids").type),
        pa.LargeListArray.from_arrays(offsets, pa.array(embeddings.weights), type=schema.field("weights").type),
        pa.array(embeddings.truncated),
        pa.array(counts),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def from_arrow(batch: pa.RecordBatch) -> SparseEmbeddings:
    """What `to_arrow` made, a slice of it too.

    DataLossError for another schema and for rows that are no sparse vectors: ids that do not ascend or lie outside the
    vocabulary, other numbers of ids and weights, weights that are not finite and above 0.
    """
    told: dict[bytes, bytes] = batch.schema.metadata or {}
    if (told.get(b"format"), told.get(b"version")) != (_FORMAT.encode(), _VERSION.encode()):
        raise DataLossError(f"expected rows of {_FORMAT} version {_VERSION}, the schema says {told}")
    try:
        vocab_size = int(told[b"vocab_size"])
        fingerprint = told[b"fingerprint"].decode()
    except (KeyError, ValueError) as error:
        raise DataLossError(f"the metadata of {_FORMAT} are {told}: vocab_size or fingerprint is missing") from error
    expected = sparse_schema(vocab_size, fingerprint)
    if not batch.schema.equals(expected):
        raise DataLossError(f"expected the columns {expected.names} of {_FORMAT}, got {batch.schema}")
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataLossError(f"a damaged record batch of {_FORMAT}: {error}") from error
    ids, weights = batch.column("ids"), batch.column("weights")
    if any(column.null_count for column in (*batch.columns, ids.values, weights.values)):
        raise DataLossError(f"a column of {_FORMAT} has nulls")
    indptr, places = _rows_of(ids)
    others, places_of_weights = _rows_of(weights)
    values = np.asarray(ids.values)[places]
    numbers = np.asarray(weights.values)[places_of_weights]
    _check_rows(indptr, others, values, numbers, vocab_size)
    counts = np.asarray(batch.column("tokens"))
    return SparseEmbeddings(
        indptr=indptr,
        ids=values,
        weights=numbers,
        vocab_size=vocab_size,
        truncated=np.asarray(batch.column("truncated").to_numpy(zero_copy_only=False)),
        tokens=int(counts.sum()),
        fingerprint=fingerprint,
        token_counts=counts,
    )


def _rows_of(column: Any) -> tuple[Any, slice]:
    """Where rows begin among the values of a slice of lists, from 0 on, and which values those are."""
    offsets = np.asarray(column.offsets)
    return offsets - offsets[0], slice(int(offsets[0]), int(offsets[-1]))


def _check_rows(indptr: Any, others: Any, ids: Any, weights: Any, vocab_size: int) -> None:
    if not np.array_equal(indptr, others):
        raise DataLossError(f"a row of {_FORMAT} has another number of ids than of weights")
    if len(ids) and int(ids.max()) >= vocab_size:
        raise DataLossError(f"a row of {_FORMAT} has the id {int(ids.max())} of a vocabulary of {vocab_size}")
    falls = np.flatnonzero(ids[1:] <= ids[:-1]) + 1
    if not np.isin(falls, indptr).all():
        raise DataLossError(f"the ids of a row of {_FORMAT} do not ascend")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise DataLossError(f"a weight of {_FORMAT} is not a finite number above 0")
