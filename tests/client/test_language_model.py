"""Scores, continuations and answers: what the clients ask for, and what they make of the replies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from lodex.client import AsyncClient, Client, codec, language_model
from lodex.errors import InternalError, InvalidArgumentError, NotFoundError
from lodex.types import (
    Citation,
    Finished,
    FinishReason,
    GeneratedTokens,
    InfgramSource,
    KnnSource,
    Retrieved,
    Sampling,
    StreamEvent,
)
from lodex.v1 import language_model_pb2

EVENTS = [
    language_model_pb2.AskResponse(
        item=1, retrieved={"hits": [{"passage": {"id": "a#0"}, "score": 0.5}], "left_out": 2}
    ),
    language_model_pb2.AskResponse(item=1, tokens={"token_ids": [5, 6], "text": "é", "log_probabilities": [-1, -2]}),
    language_model_pb2.AskResponse(item=1, citation={"begin": 0, "end": 2, "hits": [0]}),
    language_model_pb2.AskResponse(item=0, error={"code": 5, "message": "gone"}),
    language_model_pb2.AskResponse(
        item=1, finished={"reason": "FINISH_REASON_STOP", "prompt_tokens": 7, "generated_tokens": 2, "forwards": 3}
    ),
]


def test_a_score_has_its_parts(server: Any, ask: Any, info: Any) -> None:
    """Tensors become arrays; what is absent is empty."""
    result = language_model_pb2.ScoreResult(
        token_ids=codec.tensor(np.array([4, 9], np.uint32)),
        log_probabilities=codec.tensor(np.array([-1.0, -3.0])),
        text_bytes=4,
        components=[
            {
                "component": "infgram",
                "log_probabilities": codec.tensor(np.array([-np.inf, -1.0])),
                "weights": codec.tensor(np.array([0.0, 0.5])),
                "suffix_lengths": codec.tensor(np.array([0, 2], np.int32)),
            }
        ],
        neighbors=[{"token": 0, "neighbors": [{"token_id": 9, "distance": 0.5, "occurrence": {"doc_id": "d"}}]}],
    )
    failed = language_model_pb2.ScoreResult(error={"code": 5, "message": "gone"})
    server.on("LanguageModelService.Score", language_model_pb2.ScoreResponse(results=[result, failed], info=info))
    answers = ask("score", ["text", [1, 2]], components=True, neighbors=1, window_tokens=8)
    assert answers[0].token_ids.tolist() == [4, 9]
    assert answers[0].bits_per_byte == pytest.approx(1 / np.log(2))
    (part,) = answers[0].components
    assert part.suffix_lengths.tolist() == [0, 2]
    assert part.log_probabilities.tolist() == [-np.inf, -1.0]
    assert answers[0].neighbors[0][0].occurrence.doc_id == "d"
    assert isinstance(answers.errors[1], NotFoundError)
    assert answers.version == 7
    (request,) = server.requests
    assert [text.WhichOneof("form") for text in request.texts] == ["text", "tokens"]
    assert (request.with_components, request.neighbors, request.window_tokens) == (True, 1, 8)
    assert not request.HasField("stride_tokens")
    assert not request.HasField("mixture")


def test_sources_are_asked_for_as_they_are(server: Any, ask: Any) -> None:
    """With their defaults, which are those of the contract."""
    server.on("LanguageModelService.Score", language_model_pb2.ScoreResponse())
    ask("score", "x", knn=KnnSource("a", "k", k=3, nprobe=2, version=4), infgram=InfgramSource("b", single_weight=0.9))
    mixture = server.requests[0].mixture
    assert (mixture.knn.target.store, mixture.knn.target.index, mixture.knn.target.version) == ("a", "k", 4)
    assert (mixture.knn.k, mixture.knn.temperature, mixture.knn.weight) == (3, 1.0, 0.25)
    assert (mixture.knn.parameters.nprobe, mixture.knn.parameters.exact) == (2, False)
    assert (mixture.infgram.target.store, mixture.infgram.weight, mixture.infgram.single_weight) == ("b", 0.25, 0.9)
    ask("score", "x", knn=False)
    assert not server.requests[1].HasField("mixture")


async def canned(request: Any, context: Any) -> AsyncIterator[Any]:
    for event in EVENTS:
        yield event


def test_events_are_values(server: Any) -> None:
    """In the order in which they come, from either client, an item's error among them."""
    server.on("LanguageModelService.Ask", canned)

    async def main() -> list[StreamEvent]:
        async with AsyncClient(server.address) as client:
            return [event async for event in client["docs"].ask(["x", "y"], k=3)]

    awaited = asyncio.run(main())
    with Client(server.address) as client:
        blocking = list(client.ask("docs", ["x", "y"], k=3))
    for events in (awaited, blocking):
        retrieved, tokens, citation, error, finished = events
        assert isinstance(retrieved.event, Retrieved)
        assert (retrieved.event.hits[0].passage.id, retrieved.event.left_out) == ("a#0", 2)
        assert tokens == StreamEvent(1, GeneratedTokens((5, 6), "é", (-1.0, -2.0)))
        assert citation == StreamEvent(1, Citation(0, 2, (0,)))
        assert error.item == 0
        assert isinstance(error.event, NotFoundError)
        assert finished == StreamEvent(1, Finished(FinishReason.STOP, 7, 2, 3))
    request = server.requests[0]
    assert list(request.questions) == ["x", "y"]
    assert (request.search.target.store, request.search.k) == ("docs", 3)
    assert not request.HasField("context_tokens")


def test_sampling_is_sent_as_it_is(server: Any) -> None:
    """What is absent stays absent, so that the server decides."""

    async def made(request: Any, context: Any) -> AsyncIterator[Any]:
        yield language_model_pb2.GenerateResponse(tokens={"text": "x"})

    server.on("LanguageModelService.Generate", made)
    with Client(server.address) as client:
        list(client.generate("x", sampling=Sampling(5, 0.5, 0.9, 7, 11, ("a", "b")), log_probabilities=True))
        list(client["docs"].generate("x", infgram=True, sampling=Sampling(temperature=0.5)))
    first, second = (request.sampling for request in server.requests)
    assert (first.max_tokens, first.temperature, first.top_p, first.top_k, first.seed) == (5, 0.5, 0.9, 7, 11)
    assert list(first.stop) == ["a", "b"]
    assert first.with_log_probabilities
    assert not second.HasField("max_tokens")
    assert not second.HasField("seed")
    assert not second.HasField("top_k")
    assert server.requests[1].mixture.infgram.target.store == "docs"


def test_wrong_arguments_are_refused_before_anything_is_sent() -> None:
    """At the call, not at the first event."""
    with Client("nowhere:1") as client:
        with pytest.raises(InvalidArgumentError) as caught:
            client.generate("x", sampling=Sampling(stop="abc"))  # type: ignore[arg-type]
        assert caught.value.field == "sampling.stop"
        with pytest.raises(InvalidArgumentError) as caught:
            client.generate(["x", [-1]])
        assert caught.value.field == "prompts[1]"
        with pytest.raises(InvalidArgumentError) as caught:
            client.ask("docs", ["x", 3])  # type: ignore[list-item]
        assert caught.value.field == "questions[1]"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"sampling": Sampling(seed=-1)}, "sampling.seed"),
        ({"sampling": Sampling(seed=10**30)}, "sampling.seed"),
        ({"sampling": Sampling(max_tokens=2**40)}, "sampling.max_tokens"),
        ({"sampling": Sampling(top_k=10**10)}, "sampling.top_k"),
        ({"sampling": Sampling(temperature="hot")}, "sampling.temperature"),  # type: ignore[arg-type]
        ({"sampling": Sampling(stop=("a", "\ud800"))}, "sampling.stop"),
        ({"sampling": Sampling(stop=(1,))}, "sampling.stop"),  # type: ignore[arg-type]
        ({"knn": KnnSource("a", k=2**40)}, "mixture.knn.k"),
        ({"knn": KnnSource("a", nprobe=2**40)}, "mixture.knn.parameters.nprobe"),
        ({"knn": KnnSource("a", version=2**70)}, "mixture.knn.target.version"),
        ({"infgram": InfgramSource("a", weight="x")}, "mixture.infgram.weight"),  # type: ignore[arg-type]
        ({"model": "\ud800"}, "model"),
    ],
    ids=repr,
)
def test_values_that_no_message_holds_are_named(arguments: dict[str, Any], field: str) -> None:
    """Numbers beyond the field's type, and what is neither number nor text."""
    with pytest.raises(InvalidArgumentError, match=f"^{field} is .*, expected ") as caught:
        language_model.generate("x", **arguments)
    assert caught.value.field == field


def test_the_searches_of_questions_are_checked_too() -> None:
    """By their path in the request."""
    with pytest.raises(InvalidArgumentError) as caught:
        language_model.ask("docs", "x", k=2**40)
    assert caught.value.field == "search.k"


def test_an_event_of_a_later_release_is_named() -> None:
    """A client that cannot read it says so."""
    read = language_model.generate("x").read
    with pytest.raises(InternalError, match="cannot read"):
        read(language_model_pb2.GenerateResponse(item=1))
    with pytest.raises(InternalError, match="cannot read"):
        read(language_model_pb2.GenerateResponse(finished={}))
