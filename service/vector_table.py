"""Embedded texts as a Parquet table: an id, a vector and what the embedder read, a row group for each shard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lodex.embed.embedding_task import EmbedRecipe, ShardVectors
from lodex.embed.vectors.quantization import Int8Ranges
from lodex.index.arrow_files import open_batches, write_single_batch
from lodex.index.files import sync_file
from lodex.index.jobs import TaskResult
from lodex.index.receipt import Artefact, canonical_json
from lodex.index.vector_shard import read_vectors, write_vectors
from lodex.types import EncoderInfo

METADATA = b"lodex.embed"
"""The key of the table's metadata under which stands, as JSON, what made its vectors."""
_ROWS = "rows.arrow"
_ROWS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), False),
        pa.field("tokens", pa.uint32(), False),
        pa.field("truncated", pa.bool_(), False),
    ]
)


def write_shard(out: Path, ids: Sequence[str], made: ShardVectors) -> TaskResult:
    """Write one shard: `vectors.*`, and `rows.arrow` with a row of (id, tokens, truncated) for each text."""
    columns = [pa.array(ids, pa.string()), pa.array(made.token_counts, pa.uint32()), pa.array(made.truncated)]
    write_single_batch(out / _ROWS, pa.record_batch(columns, schema=_ROWS_SCHEMA))
    return write_vectors(out, made.vectors, made.tokens, int(made.truncated.sum()))


class VectorTable:
    """How a table of one recipe looks: `id`, `tokens`, `truncated` and `vector`.

    `vector` is a list of fixed size of float32, float16 or int8, or for bits a binary of fixed size. The ranges of int8
    stand in the metadata. The same shards are the same bytes, with one version of pyarrow.
    """

    def __init__(self, recipe: EmbedRecipe, info: EncoderInfo, ranges: Int8Ranges | None = None) -> None:
        self._dtype, self._width = recipe.dtype, recipe.width(info)
        self._is_packed = recipe.data_type == "bits"
        numbers = pa.binary(self._width) if self._is_packed else pa.list_(pa.from_numpy_dtype(self._dtype), self._width)
        facts = recipe.config() | {"model": info.name, "dimension": info.dimension, "normalized": info.normalized}
        if ranges is not None:
            facts |= {"minimum": ranges.minimum.tolist(), "step": ranges.step.tolist()}
        self._schema = _ROWS_SCHEMA.append(pa.field("vector", numbers, False)).with_metadata(
            {METADATA: canonical_json(facts)}
        )

    def write(self, path: Path, shards: Iterable[Artefact]) -> None:
        """Write the table of all shards in their order, a row group each, and sync it. Holds one shard at a time.

        DataLossError names the file of a shard that is damaged.
        """
        with pq.ParquetWriter(
            path, self._schema, compression="zstd", use_dictionary=False, write_statistics=["id", "tokens", "truncated"]
        ) as writer:
            for shard in shards:
                batch = self._batch(shard)
                writer.write_batch(batch, row_group_size=max(len(batch), 1))
        sync_file(path)

    def _batch(self, shard: Artefact) -> pa.RecordBatch:
        shard.file(_ROWS, whole=True)
        (rows,) = open_batches(shard, _ROWS, _ROWS_SCHEMA)
        vectors = self._numbers(read_vectors(shard, self._dtype, self._width))
        return pa.record_batch([*rows.columns, vectors], schema=self._schema)

    def _numbers(self, vectors: npt.NDArray[Any]) -> pa.Array:
        kind = self._schema.field("vector").type
        if self._is_packed:
            return pa.FixedSizeBinaryArray.from_buffers(kind, len(vectors), [None, pa.py_buffer(vectors.tobytes())])
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), type=kind)


def read_facts(path: Path) -> Mapping[str, Any]:
    """What made the vectors of a table, as its metadata says; empty for a table of another maker."""
    found = pq.read_schema(path).metadata or {}
    facts: Mapping[str, Any] = json.loads(found.get(METADATA, b"{}"))
    return facts
