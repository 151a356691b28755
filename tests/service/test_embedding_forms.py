"""The forms in which vectors can be had, by an embedder that records what it is asked, over gRPC and in process."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lodex.client import Client, codec
from lodex.client.status import error_of
from lodex.config import Limits
from lodex.embed.conventions.convention import Convention
from lodex.embed.registry import encoder_folder
from lodex.embed.vectors.quantization import Int8Ranges, to_bits
from lodex.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    LodexError,
    NotFoundError,
    ResourceExhaustedError,
    UnimplementedError,
)
from lodex.service.application import Application
from lodex.service.catalog import Catalog
from lodex.service.embedded import EmbeddedTransport
from lodex.service.models import INT8_RANGES, Models
from lodex.service.server import Server
from lodex.types import TextKind
from lodex.v1 import common_pb2, embedding_pb2
from tests.service.recording_encoder import RecordingEncoder, RecordingModels, eventually

TRAINED = Convention(
    pooling="mean",
    max_tokens=6,
    query_prompt="Instruct: {task}\nQuery: ",
    normalize=False,
    matryoshka=(4, 2),
)
RANGES = Int8Ranges(np.linspace(-1, 0, 10, dtype=np.float32), np.full(10, 0.05, np.float32))
WHOLE = [7.0, 1.0, *range(3, 11)]
"""The vector of "7"."""


@pytest.fixture
def encoder() -> RecordingEncoder:
    return RecordingEncoder(max_batch_tokens=8, convention=TRAINED)


@pytest.fixture(params=["served", "embedded"])
def client(request: pytest.FixtureRequest, encoder: RecordingEncoder, serve: Callable[..., Server]) -> Iterator[Client]:
    """A client of a server, or of this process, whose only embedder is the recording one, with int8 ranges."""
    models = RecordingModels(encoder, RANGES)
    if request.param == "served":
        with Client(serve({}, models).address) as connected:
            yield connected
    else:
        transport = EmbeddedTransport(Application(Catalog({}), models, Limits()))
        with Client(transport=transport) as connected:
            yield connected
    encoder.gate.set()


def embed(client: Client, *texts: str, **fields: Any) -> embedding_pb2.EmbedResponse:
    items = [common_pb2.TextOrTokens(text=text) for text in texts]
    request = embedding_pb2.EmbedRequest(**{"kind": common_pb2.TEXT_KIND_QUERY, **fields}, inputs=items)
    return client.transport.unary("EmbeddingService", "Embed", request, 20)


def test_an_instruction_reaches_the_models_template(client: Client, encoder: RecordingEncoder) -> None:
    """As it was given; the model's own where none was."""
    client.embed("7", "query", instruction="Find the law")
    client.embed("7", "passage")
    assert encoder.asked == [(("7",), TextKind.QUERY, "Find the law"), (("7",), TextKind.PASSAGE, None)]


def test_dimensions_are_cut_and_scaled_again(client: Client) -> None:
    """To those that the model declares, its own among them; without scaling where the caller says so."""
    lead = np.array(WHOLE[:4])
    cut = client.embed("7", "query", dimensions=4)
    np.testing.assert_allclose(cut.vectors, [lead / np.linalg.norm(lead)], rtol=1e-6)
    np.testing.assert_array_equal(client.embed("7", "query", dimensions=4, normalize=False).vectors, [lead])
    np.testing.assert_array_equal(client.embed("7", "query", dimensions=10).vectors, [WHOLE])


def test_vectors_have_length_one_where_the_caller_wants_it(client: Client) -> None:
    """A model that prescribes nothing gives either."""
    np.testing.assert_array_equal(client.embed("7", "query").vectors, [WHOLE])
    assert np.linalg.norm(client.embed("7", "query", normalize=True).vectors) == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"dimensions": 3}, InvalidArgumentError, "expected one of 10, 4, 2 dimensions, got 3"),
        ({"dimensions": 0}, InvalidArgumentError, "dimensions, got 0"),
        ({"dimensions": -4}, InvalidArgumentError, "dimensions, got -4"),
        ({"dimensions": 11}, InvalidArgumentError, "dimensions, got 11"),
        ({"kind": "passage", "instruction": "x"}, InvalidArgumentError, "takes no instruction for a passage"),
        ({"dimensions": 4, "data_type": "int8"}, FailedPreconditionError, "are for 10 dimensions, asked for are 4"),
        ({"data_type": "float64"}, InvalidArgumentError, "float64"),
        ({"dimensions": 2**40}, InvalidArgumentError, "dimensions"),
    ],
)
def test_forms_it_was_not_trained_for_are_refused(
    client: Client, encoder: RecordingEncoder, asked: dict[str, Any], error: type[LodexError], message: str
) -> None:
    """By name, and before anything is computed."""
    with pytest.raises(error, match=message):
        client.embed("7", **{"kind": "query", **asked})
    assert encoder.batches == []


def test_types_without_a_meaning_for_vectors_are_refused(client: Client) -> None:
    """Those that no client of ours asks for, too."""
    for data_type in (common_pb2.DATA_TYPE_UINT64, common_pb2.DATA_TYPE_BFLOAT16, 99):
        with pytest.raises(UnimplementedError, match="data_type"):
            embed(client, "7", data_type=data_type)


def test_bits_are_the_signs(client: Client) -> None:
    """The first dimension highest, each row on a byte of its own; the shape counts bits."""
    reply = embed(client, "7", "0", data_type=common_pb2.DATA_TYPE_BITS)
    assert list(reply.vectors.shape) == [2, 10]
    assert reply.vectors.data == bytes([0b11111111, 0b11000000, 0b01111111, 0b11000000])
    bits = client.embed(["7", "0"], "query", data_type="bits").vectors
    whole = client.embed(["7", "0"], "query").vectors
    np.testing.assert_array_equal(bits, to_bits(whole))


def test_int8_comes_with_what_it_stands_for(client: Client) -> None:
    """Within half a step, and at the ends of the range for what lies outside."""
    packed = client.embed(["0", "7"], "query", normalize=True, data_type="int8")
    whole = client.embed(["0", "7"], "query", normalize=True).vectors
    assert packed.vectors.dtype == np.int8
    assert packed.ranges is not None
    least, step = packed.ranges
    np.testing.assert_array_equal(packed.ranges, [RANGES.minimum, RANGES.step])
    restored = least + step * (packed.vectors.astype(np.float32) + 128.5)
    np.testing.assert_allclose(restored, whole, atol=step.max() / 2 + 1e-6)
    np.testing.assert_array_equal(packed.vectors, RANGES.encode(whole))
    assert client.embed("1000", "query", data_type="int8").vectors[0, 0] == 127


def test_a_half_beyond_its_range_is_infinite(client: Client) -> None:
    """As IEEE 754 has it, without a word on the way."""
    assert client.embed("100000", "query", data_type="float16").vectors[0, 0] == np.inf


@pytest.mark.parametrize("data_type", [common_pb2.DATA_TYPE_FLOAT32, common_pb2.DATA_TYPE_BITS])
def test_a_vector_that_is_not_finite_is_an_error_of_its_text(
    client: Client, encoder: RecordingEncoder, data_type: int
) -> None:
    """In whatever form it was to come; the others have theirs."""
    encoder.broken = 6
    reply = embed(client, "5", "6", "7", data_type=data_type)
    assert [result.HasField("error") for result in reply.results] == [False, True, False]
    assert "not finite" in str(error_of(reply.results[1].error))
    if data_type == common_pb2.DATA_TYPE_FLOAT32:
        assert codec.array(reply.vectors)[:, 0].tolist() == [5, 0, 7]


def test_tokens_are_counted(client: Client) -> None:
    """Of each text and of all; of what was cut, what was read."""
    embeddings = client.embed(["1 2 3", "", "1 2 3 4 5 6 7 8"], "query")
    assert embeddings.token_counts.tolist() == [3, 1, 6]
    assert embeddings.tokens == 10
    assert embeddings.truncated.tolist() == [False, False, True]


def test_texts_without_a_vector_fail_alone_and_are_not_computed(client: Client, encoder: RecordingEncoder) -> None:
    """Neither one that cannot be read nor one that must not be cut reaches the model."""
    reply = embed(client, "5", "unreadable", "9 2 3 4 5 6 7", "6", truncate=False)
    errors = [error_of(result.error) if result.HasField("error") else None for result in reply.results]
    assert errors[0] is errors[3] is None
    for i in (1, 2):
        assert isinstance(errors[i], InvalidArgumentError)
        assert errors[i].field == f"inputs[{i}]"
    assert codec.array(reply.vectors)[:, 0].tolist() == [5, 0, 0, 6]
    assert [result.tokens for result in reply.results] == [1, 0, 0, 1]
    assert reply.info.usage.tokens == 2
    assert encoder.batches == [[5, 6]]


def test_a_defect_of_the_model_is_told_as_one(client: Client, encoder: RecordingEncoder) -> None:
    """INTERNAL, and the embedder goes on."""
    encoder.poison = 13
    with pytest.raises(InternalError):
        client.embed("13", "query")
    assert client.embed("5", "query").vectors[0, 0] == 5


def test_what_an_embedder_can_do_is_told(client: Client) -> None:
    """Its sizes, instructions and types, and what it has done so far."""
    client.embed("1 2", "query")
    (model, *_) = client.info().models
    assert (model.dimension, model.dimensions, model.takes_instruction) == (10, (2, 4), True)
    reply = client.transport.unary("AdminService", "GetServerInfo", _info_request(), 20)
    assert list(reply.models[0].vector_types) == [1, 2, 5, 12]
    assert reply.models[0].max_batch_tokens == 8
    assert (reply.models[0].queue.batches, reply.models[0].queue.tokens) == (1, 2)
    assert reply.limits.max_queued_tokens == Limits().max_queued_tokens


def _info_request() -> Any:
    from lodex.v1 import admin_pb2

    return admin_pb2.GetServerInfoRequest()


# ------------------------------------------------------------------------------------------ many clients


def test_requests_of_many_clients_share_a_batch(serve: Callable[..., Server]) -> None:
    """What came while the model was at work goes together, and each gets its own vectors."""
    encoder = RecordingEncoder(max_batch_tokens=8, convention=TRAINED)
    models = RecordingModels(encoder)
    server = serve({}, models)
    encoder.gate.clear()
    with Client(server.address) as client, ThreadPoolExecutor(6) as threads:
        first = threads.submit(client.embed, "1", "query")
        encoder.wait_for(1)
        others = [threads.submit(client.embed, str(i), "query") for i in range(2, 7)]
        eventually(lambda: models.statistics("minilm").waiting_texts == 5)
        encoder.gate.set()
        answers = [future.result(20).vectors[0, 0] for future in [first, *others]]
    assert answers == [1, 2, 3, 4, 5, 6]
    assert [sorted(batch) for batch in encoder.batches] == [[1], [2, 3, 4, 5, 6]]


def test_requests_that_nobody_awaits_never_reach_the_model(serve: Callable[..., Server]) -> None:
    """Neither one whose deadline passed nor one whose client left."""
    encoder = RecordingEncoder(max_batch_tokens=8, convention=TRAINED)
    models = RecordingModels(encoder)
    server = serve({}, models)
    encoder.gate.clear()
    with Client(server.address) as client, ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.embed, "1", "query")
        encoder.wait_for(1)
        with pytest.raises(DeadlineExceededError):
            client.embed(["2", "3"], "query", timeout_s=0.2)
        with Client(server.address) as leaving:
            left = threads.submit(leaving.embed, "4", "query")
            eventually(lambda: models.statistics("minilm").waiting_texts == 1)
        with pytest.raises(LodexError):
            left.result(20)
        eventually(lambda: models.statistics("minilm").waiting_texts == 0)
        encoder.gate.set()
        first.result(20)
        client.embed("5", "query")
    assert encoder.batches == [[1], [5]]
    assert models.statistics("minilm").dropped_texts == 3


def test_a_full_queue_answers_at_once(serve: Callable[..., Server]) -> None:
    """RESOURCE_EXHAUSTED, and what waits is not harmed."""
    encoder = RecordingEncoder(max_batch_tokens=8, convention=TRAINED)
    models = RecordingModels(encoder, max_queued_tokens=2)
    server = serve({}, models)
    encoder.gate.clear()
    with Client(server.address) as client, ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.embed, "1", "query")
        encoder.wait_for(1)
        waiting = threads.submit(client.embed, ["2", "3"], "query")
        eventually(lambda: models.statistics("minilm").waiting_texts == 2)
        with pytest.raises(ResourceExhaustedError, match="2 tokens wait"):
            client.embed("4", "query")
        encoder.gate.set()
        assert waiting.result(20).vectors[:, 0].tolist() == [2, 3]
        first.result(20)


# ------------------------------------------------------------------------------------------ int8 ranges


def test_an_embedder_without_ranges_has_no_int8(embedded: Any) -> None:
    """They are measured on many texts; those of a request would be others each time."""
    with pytest.raises(FailedPreconditionError, match=r"int8_ranges\.minilm"):
        embedded.embed("text", "query", data_type="int8")


def test_ranges_are_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    """Or from the one in the embedder's own folder; one that is named and not there is an error."""
    ranges = Int8Ranges(np.full(384, -0.2, np.float32), np.full(384, 0.4 / 255, np.float32))
    ranges.save(tmp_path / "ranges.safetensors")
    found = Models(int8_ranges={"minilm": tmp_path / "ranges.safetensors"}).embedder("minilm").int8_ranges
    assert found is not None
    np.testing.assert_array_equal(found.step, ranges.step)
    own = tmp_path / "own"
    shutil.copytree(encoder_folder("minilm"), own)
    ranges.save(own / INT8_RANGES)
    assert Models({"own": own}).embedder("own").int8_ranges is not None
    with pytest.raises(NotFoundError, match="no embedder 'nobody'"):
        Models(int8_ranges={"nobody": tmp_path})
    with pytest.raises(NotFoundError, match="no int8 ranges"):
        Models(int8_ranges={"minilm": tmp_path / "none"}).embedder("minilm")
