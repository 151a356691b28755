"""Tensors keep their values, and what cannot be one is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lodex.client import codec
from lodex.errors import InternalError, InvalidArgumentError
from lodex.v1 import common_pb2

DTYPES = ["f4", "f2", "f8", "i1", "u1", "u2", "i4", "u4", "i8", "u8"]


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(DTYPES), st.sampled_from("<>"), st.booleans())
def test_arrays_survive_the_wire(data: st.DataObject, dtype: str, order: str, transposed: bool) -> None:
    """Any dtype, byte order, shape and layout comes back with its values, native, writable and contiguous."""
    shape = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    sent = data.draw(hnp.arrays(np.dtype(order + dtype), shape))
    sent = sent.T if transposed else sent
    received = codec.array(common_pb2.Tensor.FromString(codec.tensor(sent).SerializeToString()))
    assert received.shape == sent.shape
    assert received.dtype == np.dtype(dtype)
    assert received.tobytes() == np.ascontiguousarray(sent, dtype=dtype).tobytes()
    assert received.flags.writeable


def test_the_bytes_are_little_endian_and_row_major() -> None:
    """The layout is the contract's, whatever the machine's."""
    message = codec.tensor(np.array([[1, 2], [3, 4]], dtype=">u2").T)
    assert message.data == bytes([1, 0, 3, 0, 2, 0, 4, 0])
    assert (message.data_type, list(message.shape)) == (common_pb2.DATA_TYPE_UINT16, [2, 2])


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_arrays_without_a_type_on_the_wire_are_refused(array: Any) -> None:
    """Texts, complex numbers and objects are no tensors."""
    with pytest.raises(InvalidArgumentError, match="no place in a message"):
        codec.tensor(array)


def test_bits_are_read_as_bytes() -> None:
    """Eight of a row in each, the shape counting bits; a row of nine has two."""
    message = common_pb2.Tensor(data_type=common_pb2.DATA_TYPE_BITS, shape=[2, 9], data=b"\xff\x80\x01\x00")
    read = codec.array(message)
    assert (read.dtype, read.tolist()) == (np.uint8, [[255, 128], [1, 0]])


@pytest.mark.parametrize(
    ("data_type", "shape", "data"),
    [
        (common_pb2.DATA_TYPE_FLOAT32, [2], bytes(7)),
        (common_pb2.DATA_TYPE_FLOAT32, [3], bytes(8)),
        (common_pb2.DATA_TYPE_FLOAT32, [-2], bytes(8)),
        (common_pb2.DATA_TYPE_UNSPECIFIED, [2], bytes(8)),
        (common_pb2.DATA_TYPE_BITS, [9], bytes(1)),
        (common_pb2.DATA_TYPE_BITS, [-8, 2], bytes(1)),
        (common_pb2.DATA_TYPE_BITS, [1, -8], bytes(1)),
        (1000, [2], bytes(8)),
    ],
)
def test_a_tensor_that_contradicts_itself_is_a_defect(data_type: int, shape: list[int], data: bytes) -> None:
    """Bytes that do not fill the shape, and types this client does not know, are reported, never read."""
    with pytest.raises(InternalError, match="the server sent"):
        codec.array(common_pb2.Tensor(data_type=data_type, shape=shape, data=data))  # type: ignore[arg-type]
