"""Tensors in messages."""

import numpy as np
import pytest

from lodex.client import codec
from lodex.errors import InvalidArgumentError
from lodex.service.messages import float_matrix, tensor
from lodex.v1 import common_pb2


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<u2", "<u4", "<i8", ">f4", ">i8"])
@pytest.mark.parametrize("shape", [(0,), (3,), (0, 4), (2, 3)])
def test_the_client_reads_what_the_server_wrote(dtype: str, shape: tuple[int, ...]) -> None:
    """Any byte order and any size; strides do not matter."""
    array = np.arange(int(np.prod(shape)) * 2).astype(dtype).reshape(*shape[:-1], shape[-1] * 2)[..., ::2]
    read = codec.array(tensor(array))
    assert read.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_query_vectors_are_float32(dtype: type[np.floating]) -> None:
    """Halves are widened."""
    matrix = np.arange(6, dtype=dtype).reshape(2, 3)
    read = float_matrix(codec.tensor(matrix), "vectors")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, matrix)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (common_pb2.Tensor(), "vectors.data_type"),
        (codec.tensor(np.zeros((2, 3), np.int32)), "vectors.data_type"),
        (common_pb2.Tensor(data_type=99, shape=[1, 1], data=b"0000"), "vectors.data_type"),
        (codec.tensor(np.zeros(3, np.float32)), "vectors.shape"),
        (common_pb2.Tensor(data_type=common_pb2.DATA_TYPE_FLOAT32, shape=[-1, 3], data=b""), "vectors.shape"),
        (common_pb2.Tensor(data_type=common_pb2.DATA_TYPE_FLOAT32, shape=[2, 3], data=b"0" * 23), "vectors.data"),
        (common_pb2.Tensor(data_type=common_pb2.DATA_TYPE_FLOAT32, shape=[2**62, 2**62], data=b""), "vectors.data"),
    ],
)
def test_a_tensor_that_is_no_matrix_of_floats_is_refused(message: common_pb2.Tensor, field: str) -> None:
    """The field says which part of it is wrong."""
    with pytest.raises(InvalidArgumentError) as caught:
        float_matrix(message, "vectors")
    assert caught.value.field == field
