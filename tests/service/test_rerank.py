"""RerankService through gRPC and in process, with a small random decoder."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

import lodex
from lodex.client import Client
from lodex.config import Limits, ServeSettings
from lodex.errors import DeadlineExceededError, InvalidArgumentError, NotFoundError, UnimplementedError
from lodex.index.store import Store
from lodex.rerank.first import FirstReranker
from lodex.rerank.registry import load_reranker
from lodex.service.application import Application
from lodex.service.call import Call
from lodex.service.catalog import Catalog
from lodex.service.embedded import EmbeddedTransport, OpenStore
from lodex.service.models import Models
from lodex.service.rerankers import Rerankers
from lodex.service.server import Server
from lodex.types import Candidate, Ranking, RerankWindow
from lodex.v1 import rerank_pb2

TEXTS = [f"number {i} of the {word}" for i, word in enumerate(["cats", "dogs", "law", "pasta", "rain"] * 9)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random decoder over single characters."""
    folder = tmp_path_factory.mktemp("reranker") / "letters"
    words = ["<|endoftext|>", *map(chr, range(32, 127)), "\n", "é"]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.add_special_tokens(words[:1])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def oracle(folder: Path) -> FirstReranker:
    """The reranker itself."""
    return load_reranker(folder)


@pytest.fixture(scope="module")
def opened(store_path: Path, folder: Path) -> OpenStore:
    """The store in process, with the random decoder as its reranker `letters`."""
    return lodex.open(store_path, "docs", rerankers={"letters": folder})


def same(ranking: Any, wanted: Ranking) -> None:
    """Assert that two rankings are of one mind; logits cross the wire as they are."""
    assert isinstance(ranking, Ranking)
    plain = [(c.index, c.score, c.logit, c.windows, c.truncated) for c in ranking.candidates]
    assert plain == [(c.index, c.score, c.logit, c.windows, c.truncated) for c in wanted.candidates]
    assert (ranking.windows, ranking.forwards, ranking.decoded_tokens, ranking.prompt_tokens, ranking.partial) == (
        wanted.windows,
        wanted.forwards,
        0,
        wanted.prompt_tokens,
        wanted.partial,
    )


def test_a_batch_is_ranked_query_by_query(opened: OpenStore, oracle: FirstReranker) -> None:
    """Each query has the order that the reranker gives it alone, and says what it cost."""
    lists = [TEXTS, TEXTS[:3], []]
    answers = opened.rerank(["cats?", "law", "x"], lists, model="letters")
    for answer, query, texts in zip(answers, ["cats?", "law", "x"], lists, strict=True):
        same(answer, oracle.rerank(query, texts))
    assert answers[0].windows == 4


def test_a_bad_query_fails_alone(opened: OpenStore, oracle: FirstReranker) -> None:
    """Errors stay with their query: no text, an unknown passage, a candidate that is nothing."""
    lists: list[Any] = [["a"], [Candidate(passage_id="nowhere#0")], ["a", "b"]]
    answers = opened.rerank(["  ", "cat", "law"], lists, model="letters")
    assert isinstance(answers.items[0], InvalidArgumentError)
    assert isinstance(answers.items[1], NotFoundError)
    same(answers.items[2], oracle.rerank("law", ["a", "b"]))


def test_passages_of_the_store_are_read_with_their_titles(opened: OpenStore, oracle: FirstReranker) -> None:
    """A candidate may be a passage id; what is read is its title and text, and ids come back."""
    ids = ["files#0", "law#0", "animals#0"]
    (ranking,) = opened.rerank("cats", [Candidate(passage_id=id) for id in ids], model="letters", texts=True)
    texts = [f"{p.title} {p.text}" for p in opened.passages(ids)]
    same(ranking, oracle.rerank("cats", texts))
    assert [(c.id, c.text) for c in ranking.candidates] == [(ids[c.index], texts[c.index]) for c in ranking.candidates]


def test_hits_of_a_search_can_be_reranked(opened: OpenStore, oracle: FirstReranker) -> None:
    """What a search found goes into a reranking as it is."""
    (hits,) = opened.search("the cat", k=5)
    (ranking,) = opened.client.rerank("the cat", hits, model="letters", top_n=2)
    wanted = oracle.rerank("the cat", [f"{hit.passage.title} {hit.passage.text}" for hit in hits])
    assert [c.index for c in ranking.candidates] == [c.index for c in wanted.candidates[:2]]
    assert ranking.candidates[0].id == hits[ranking.candidates[0].index].passage.id


def test_a_stream_tells_each_window(opened: OpenStore, oracle: FirstReranker) -> None:
    """Windows come as they are read, and each query ends with its order or its error."""
    events = list(opened.rerank_stream(["cats", "", "law"], [TEXTS[:25], ["a"], ["a"]], model="letters"))
    told: list[RerankWindow] = []
    wanted = oracle.rerank("cats", TEXTS[:25], on_window=told.append)
    assert [(event.item, type(event.event)) for event in events] == [
        (0, RerankWindow),
        (0, RerankWindow),
        (0, Ranking),
        (1, InvalidArgumentError),
        (2, RerankWindow),
        (2, Ranking),
    ]
    assert [event.event for event in events[:2]] == told
    same(events[2].event, wanted)


def test_the_wire_carries_the_same_answers(
    background: Callable[..., Any], store_path: Path, folder: Path, oracle: FirstReranker
) -> None:
    """Over gRPC, unary and streamed, the numbers are those of the reranker in process."""
    settings = ServeSettings(port=0, drain_grace_s=0)
    catalog = Catalog({"docs": Store.open(store_path)})
    rerankers = Rerankers({"letters": folder}, "letters")

    async def start() -> Server:
        application = Application(catalog, Models(), settings.limits, rerankers=rerankers)
        server = Server(application, settings)
        await server.start()
        return server

    server: Server = background(start())
    try:
        with Client(server.address) as client:
            (ranking,) = client.rerank("cats", TEXTS)
            same(ranking, oracle.rerank("cats", TEXTS))
            events = list(client.rerank_stream("cats", TEXTS))
            assert len(events) == 5
            same(events[-1].event, oracle.rerank("cats", TEXTS))
    finally:
        background(server.drain())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"method": rerank_pb2.RERANK_METHOD_POINTWISE}, UnimplementedError),
        ({"strategy": rerank_pb2.RERANK_STRATEGY_TOURNAMENT}, UnimplementedError),
        ({"order_invariant": True}, UnimplementedError),
        ({"permutations": 2}, UnimplementedError),
        ({"window": 27}, InvalidArgumentError),
        ({"window": 4, "stride": 5}, InvalidArgumentError),
    ],
)
def test_options_that_cannot_be_are_refused(opened: OpenStore, options: dict[str, Any], error: type) -> None:
    """What is not built is not ignored, and impossible windows are named."""
    request = rerank_pb2.RerankRequest(model="letters", options=rerank_pb2.RerankOptions(**options))
    with pytest.raises(error, match=r"options|window|stride"):
        opened.client.transport.unary("RerankService", "Rerank", request, 10)


def test_a_single_window_holds_all_or_is_refused(opened: OpenStore, oracle: FirstReranker) -> None:
    """SINGLE reads up to 26 candidates at once; a query with more fails alone."""
    options = rerank_pb2.RerankOptions(strategy=rerank_pb2.RERANK_STRATEGY_SINGLE)
    request = rerank_pb2.RerankRequest(model="letters", options=options)
    for n in (26, 27):
        request.queries.add(query="cats", candidates=[rerank_pb2.Candidate(text=text) for text in TEXTS[:n]])
    reply: Any = opened.client.transport.unary("RerankService", "Rerank", request, 10)
    wanted = oracle.rerank("cats", TEXTS[:26], window=26)
    assert [c.index for c in reply.results[0].candidates] == [c.index for c in wanted.candidates]
    assert "27 candidates" in reply.results[1].error.message
    assert reply.info.usage.tokens == wanted.prompt_tokens


def test_a_passage_without_a_store_is_refused(opened: OpenStore) -> None:
    """A passage id says nothing without the store it is from."""
    (answer,) = opened.client.rerank("cats", [Candidate(passage_id="law#0")], model="letters").items
    assert isinstance(answer, InvalidArgumentError)
    assert answer.field == "target"


def test_an_unknown_reranker_is_named(opened: OpenStore) -> None:
    """The error lists the rerankers there are."""
    with pytest.raises(NotFoundError, match="letters"):
        opened.rerank("cats", ["a"], model="nobody")


class Clock:
    """A request whose deadline comes after so many windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reranker: FirstReranker, windows: int) -> None:
        self.now = 0.0
        self.left = windows
        forward = reranker.decoder.forward
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

        def slow(*args: Any, **options: Any) -> Any:
            self.now += 1.0
            return forward(*args, **options)

        monkeypatch.setattr(reranker.decoder, "forward", slow)


def test_the_order_so_far_is_given_before_the_deadline(
    folder: Path, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work stops while there is time to answer: windows read count, the rest of the order is the caller's."""
    rerankers = Rerankers({"letters": folder}, "letters")
    application = Application(Catalog({}), Models(), Limits(), rerankers=rerankers)
    transport = EmbeddedTransport(application)
    Clock(monkeypatch, rerankers.load("letters"), 2)
    client = Client(transport=transport, timeout_s=2.5)
    ranking, other = client.rerank(["cats", "dogs"], [TEXTS, TEXTS]).items
    assert isinstance(ranking, Ranking)
    assert isinstance(other, Ranking)
    assert (ranking.windows, ranking.partial) == (2, True)
    assert [c.index for c in ranking.candidates[:15]] == list(range(15))
    assert ranking.candidates[0].score == -math.inf
    with pytest.raises(DeadlineExceededError):
        Call(time.monotonic() - 1).check()
