"""Vectors as they travel: float32, float16, eight-bit integers with the ranges they stand for, single bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.embed.vectors.quantization import Int8Ranges, to_bits
from lodex.errors import FailedPreconditionError, UnimplementedError
from lodex.service import messages
from lodex.v1 import common_pb2

VECTOR_TYPES = (
    common_pb2.DATA_TYPE_FLOAT32,
    common_pb2.DATA_TYPE_FLOAT16,
    common_pb2.DATA_TYPE_INT8,
    common_pb2.DATA_TYPE_BITS,
)


@dataclass(frozen=True, slots=True)
class PackedVectors:
    """Vectors as a message, and the ranges of those of int8."""

    vectors: common_pb2.Tensor
    ranges: common_pb2.Tensor | None = None


def check_data_type(
    data_type: common_pb2.DataType, dimension: int, ranges: Int8Ranges | None, model: str
) -> common_pb2.DataType:
    """The type to answer in.

    UnimplementedError for one that vectors do not have; FailedPreconditionError for int8 where no ranges are known for
    vectors of this dimension: taken from the few vectors of a request, they would be others in each reply.
    """
    if data_type == common_pb2.DATA_TYPE_UNSPECIFIED:
        return common_pb2.DATA_TYPE_FLOAT32
    if data_type not in VECTOR_TYPES:
        raise UnimplementedError(
            f"data_type is {data_type}; vectors are float32, float16, int8 or bits: other types are not built"
        )
    if data_type == common_pb2.DATA_TYPE_INT8:
        if ranges is None:
            raise FailedPreconditionError(
                f"int8 vectors of {model!r} need ranges that were measured on many texts, and this server has none: "
                f"name their file in the settings, int8_ranges.{model}"
            )
        if len(ranges.minimum) != dimension:
            raise FailedPreconditionError(
                f"the int8 ranges of {model!r} are for {len(ranges.minimum)} dimensions, asked for are {dimension}"
            )
    return data_type


def pack(vectors: npt.NDArray[np.float32], data_type: common_pb2.DataType, ranges: Int8Ranges | None) -> PackedVectors:
    """Vectors (n, d) in a type that `check_data_type` has passed.

    A float16 beyond its range is infinite. The shape of bits counts elements, d in a row.
    """
    if data_type == common_pb2.DATA_TYPE_BITS:
        bits = to_bits(vectors).tobytes()
        return PackedVectors(common_pb2.Tensor(data_type=data_type, shape=vectors.shape, data=bits))
    if data_type == common_pb2.DATA_TYPE_INT8:
        assert ranges is not None, "int8 was not checked; this is a bug"
        stand_for = np.stack([ranges.minimum, ranges.step])
        return PackedVectors(messages.tensor(ranges.encode(vectors)), messages.tensor(stand_for))
    if data_type == common_pb2.DATA_TYPE_FLOAT16:
        with np.errstate(over="ignore"):
            return PackedVectors(messages.tensor(vectors.astype(np.float16)))
    return PackedVectors(messages.tensor(vectors))
