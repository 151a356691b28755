"""Values as messages, and tensors both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError
from lodex.types import Document, Hit, Occurrence, Passage
from lodex.v1 import common_pb2, retrieval_pb2

# Little-endian on every machine, as the contract says.
_VECTORS: dict[common_pb2.DataType, np.dtype[Any]] = {
    common_pb2.DATA_TYPE_FLOAT32: np.dtype("<f4"),
    common_pb2.DATA_TYPE_FLOAT16: np.dtype("<f2"),
}
_DTYPES: dict[common_pb2.DataType, np.dtype[Any]] = _VECTORS | {
    common_pb2.DATA_TYPE_FLOAT64: np.dtype("<f8"),
    common_pb2.DATA_TYPE_INT8: np.dtype("i1"),
    common_pb2.DATA_TYPE_UINT16: np.dtype("<u2"),
    common_pb2.DATA_TYPE_INT32: np.dtype("<i4"),
    common_pb2.DATA_TYPE_UINT32: np.dtype("<u4"),
    common_pb2.DATA_TYPE_INT64: np.dtype("<i8"),
}
_DATA_TYPES = {dtype: data_type for data_type, dtype in _DTYPES.items()}


def tensor(array: npt.NDArray[Any]) -> common_pb2.Tensor:
    """An array as a message: float64, float32 or float16, int8, uint16, int32, uint32 or int64."""
    dtype = array.dtype.newbyteorder("<")
    return common_pb2.Tensor(
        data_type=_DATA_TYPES[dtype], shape=array.shape, data=np.ascontiguousarray(array, dtype).tobytes()
    )


def float_matrix(message: common_pb2.Tensor, path: str) -> npt.NDArray[np.float32]:
    """A tensor as (n, d) float32; InvalidArgumentError names what is wrong with it."""
    dtype = _VECTORS.get(message.data_type)
    if dtype is None:
        raise InvalidArgumentError(
            f"{path} is of data type {message.data_type}, expected that of float32 or float16", f"{path}.data_type"
        )
    if len(message.shape) != 2 or min(message.shape) < 0:
        raise InvalidArgumentError(f"{path} has shape {tuple(message.shape)}, expected (n, d)", f"{path}.shape")
    n, d = message.shape
    if n * d * dtype.itemsize != len(message.data):
        raise InvalidArgumentError(
            f"{path} has {len(message.data)} bytes, its shape ({n}, {d}) needs {n * d * dtype.itemsize}",
            f"{path}.data",
        )
    return np.frombuffer(message.data, dtype).reshape(n, d).astype(np.float32)


def document(value: Document) -> common_pb2.Document:
    """A document as a message."""
    return common_pb2.Document(
        doc_id=value.doc_id,
        text=value.text,
        source=value.source,
        title=value.title,
        url=value.url,
        date=value.date,
        metadata_json=_json(value.metadata),
    )


def passage(value: Passage) -> common_pb2.Passage:
    """A passage as a message."""
    return common_pb2.Passage(
        id=value.id,
        doc_id=value.doc_id,
        ordinal=value.ordinal,
        begin=value.begin,
        end=value.end,
        text=value.text,
        key=value.key,
        source=value.source,
        title=value.title,
        url=value.url,
        date=value.date,
        metadata_json=_json(value.metadata),
    )


def hit(value: Hit) -> retrieval_pb2.Hit:
    """A hit as a message."""
    return retrieval_pb2.Hit(passage=passage(value.passage), score=value.score)


def occurrence(value: Occurrence) -> common_pb2.Occurrence:
    """An occurrence as a message."""
    return common_pb2.Occurrence(
        doc_id=value.doc_id,
        begin=value.begin,
        end=value.end,
        before=value.before,
        match=value.match,
        after=value.after,
        title=value.title,
        source=value.source,
        url=value.url,
    )


def _json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), ensure_ascii=False, separators=(",", ":")) if metadata else ""
