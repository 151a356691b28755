"""LanguageModelService over gRPC and in process: a random decoder that reads a store of a few documents."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import lodex
from lodex.client import Client
from lodex.config import Limits
from lodex.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    FingerprintMismatchError,
    InvalidArgumentError,
    LodexError,
    NotFoundError,
    UnimplementedError,
)
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.lm.model import LanguageModel
from lodex.service.embedded import OpenStore
from lodex.service.indexing import build_knn_index, build_suffix_index
from lodex.service.server import Server
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
from lodex.v1 import language_model_pb2, retrieval_pb2

PROMPT = "The cat sat on the mat. A cat is"
QUESTION = "How does one boil pasta?"
SERVICE = "LanguageModelService"
Start = Callable[..., Client]


def make_model(folder: Path, seed: int) -> Path:
    """A random Llama over the bundled tokenizer that reads 48 tokens at once."""
    tokenizer = Tokenizer.load()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=48,
        initializer_range=0.3,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_id,
        eos_token_id=tokenizer.eos_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that tests ask."""
    return make_model(tmp_path_factory.mktemp("model") / "tiny", 3)


@pytest.fixture(scope="session")
def knn_store(
    store_path: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, byte_tokenizer: Path
) -> Path:
    """The store with a kNN index of the model, and a suffix index over another vocabulary. Tests only read it."""
    path = tmp_path_factory.mktemp("knn") / "docs"
    shutil.copytree(store_path, path)
    store = Store.open(path)
    build_knn_index(store, tiny_folder)
    build_suffix_index(store, str(byte_tokenizer), "bytes")
    return path


@pytest.fixture
def served(serve: Callable[..., Server], knn_store: Path, tiny_folder: Path) -> Callable[..., Server]:
    """`served(**settings)` is a server of the store `docs` with the language model `tiny`, its default."""

    def start(**settings: Any) -> Server:
        models = {"tiny": tiny_folder, **settings.pop("language_models", {})}
        return serve({"docs": knn_store}, language_models=models, language_model="tiny", **settings)

    return start


@pytest.fixture
def client(served: Callable[..., Server]) -> Iterator[Client]:
    with Client(served().address) as connected:
        yield connected


@pytest.fixture(scope="session")
def here(knn_store: Path, tiny_folder: Path) -> OpenStore:
    """The same store and model in this process."""
    return lodex.open(knn_store, "docs", language_models={"tiny": tiny_folder})


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> LanguageModel:
    return LanguageModel.open(tiny_folder)


def loaded(server: Server) -> LanguageModel:
    return server._application.language_models.load("tiny")


def of_item(events: list[StreamEvent], item: int, kind: type) -> list[Any]:
    return [event.event for event in events if event.item == item and isinstance(event.event, kind)]


def text_of(events: list[StreamEvent], item: int = 0) -> str:
    return "".join(tokens.text for tokens in of_item(events, item, GeneratedTokens))


MIXTURES: dict[str, dict[str, Any]] = {
    "alone": {},
    "knn": {"knn": KnnSource("docs", k=8, weight=0.4, temperature=2.0)},
    "infgram": {"infgram": InfgramSource("docs", "suffix", weight=0.3, single_weight=0.6)},
    "both": {"knn": KnnSource("docs", k=8, exact=True), "infgram": InfgramSource("docs", "suffix")},
}
EACH_MIXTURE = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)


def plain(value: Any) -> Any:
    """A value whose arrays compare."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.tolist()
    if isinstance(value, LodexError):
        return type(value), str(value), vars(value)
    if hasattr(value, "__dataclass_fields__"):
        return type(value), {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


class TestScore:
    """Log-probabilities of texts."""

    def test_they_are_those_of_the_model(self, client: Client, tiny: LanguageModel) -> None:
        """The log-softmax of a plain forward over the document separator and the text."""
        ids = tiny.encode(PROMPT)
        answers = client.score([PROMPT, ids], model="tiny")
        sequence = torch.tensor([[tiny.decoder.start_id, *ids]])
        logits = tiny.decoder.logits(tiny.decoder.forward(sequence).hidden)[0].double().log_softmax(-1)
        expected = logits[torch.arange(len(ids)), ids].numpy()
        for answer in answers:
            assert answer.token_ids.tolist() == ids
            np.testing.assert_allclose(answer.log_probabilities, expected, atol=1e-5)
            assert answer.text_bytes == len(PROMPT)
            assert answer.components == answer.neighbors == ()
        assert answers[0].bits_per_byte == pytest.approx(-expected.sum() / np.log(2) / len(PROMPT))

    @EACH_MIXTURE
    def test_a_mixture_is_the_weighted_sum_of_its_parts(self, client: Client, mixture: dict[str, Any]) -> None:
        """Weights sum to one at each token, and so do the parts to the whole."""
        (answer,) = client.score(PROMPT, components=True, **mixture)
        parts = answer.components
        assert [part.component for part in parts] == ["lm", *mixture]
        np.testing.assert_allclose(sum(part.weights for part in parts), 1)
        total = sum(part.weights * np.exp(part.log_probabilities) for part in parts)
        np.testing.assert_allclose(np.exp(answer.log_probabilities), total, rtol=1e-9)
        assert [part.suffix_lengths is not None for part in parts] == [part.component == "infgram" for part in parts]

    def test_neighbors_name_their_documents(self, client: Client) -> None:
        """Nearest first, with the place where each stands; their shares belong to one distribution."""
        (answer,) = client.score(PROMPT, knn=KnnSource("docs", k=4), neighbors=3)
        assert len(answer.neighbors) == len(answer.token_ids)
        for neighbors in answer.neighbors:
            assert len(neighbors) == 3
            assert [n.distance for n in neighbors] == sorted(n.distance for n in neighbors)
            assert 0 < sum(n.weight for n in neighbors) <= 1
            assert all(n.occurrence.doc_id for n in neighbors)

    def test_the_store_of_a_view_is_read(self, client: Client) -> None:
        """True stands for the index of that store."""
        by_name = client.score(PROMPT, knn=KnnSource("docs", k=1024))
        by_view = client["docs"].score(PROMPT, knn=True)
        assert plain(by_view.items) == plain(by_name.items)
        assert by_view.provenance.store == "docs"
        with pytest.raises(InvalidArgumentError) as caught:
            client.score(PROMPT, knn=True)
        assert caught.value.field == "mixture.knn.target.store"

    def test_a_bad_text_fails_alone(self, client: Client) -> None:
        """The others have their scores, an empty one too."""
        answers = client.score([PROMPT, [10**6], "", "x" * (Limits().max_text_bytes + 1)])
        assert len(answers[0].token_ids)
        assert len(answers[2].token_ids) == answers[2].text_bytes == 0
        assert [error.field for error in answers.errors.values()] == ["texts[1].tokens[0]", "texts[3].text"]

    def test_windows_are_those_asked_for(self, client: Client) -> None:
        """A text beyond the model's limit is read in windows; wrong ones are refused by name."""
        text = PROMPT * 20
        whole, narrow = client.score(text)[0], client.score(text, window_tokens=16, stride_tokens=4)[0]
        assert len(whole.token_ids) > 48
        assert np.isfinite(whole.log_probabilities).all()
        assert not np.allclose(whole.log_probabilities, narrow.log_probabilities)
        for name, windows in (
            ("window_tokens", {"window_tokens": 49}),
            ("stride_tokens", {"window_tokens": 8, "stride_tokens": 9}),
        ):
            with pytest.raises(InvalidArgumentError) as caught:
                client.score(text, **windows)
            assert caught.value.field == name

    def test_the_tokens_of_a_request_are_limited(self, served: Callable[..., Server]) -> None:
        """All texts together."""
        address = served(limits=Limits(max_batch_tokens=10)).address
        with Client(address) as client:
            assert client.score([[5] * 5] * 2)[0].token_ids.tolist() == [5] * 5
            with pytest.raises(InvalidArgumentError, match="11 tokens together, the limit is 10"):
                client.score([[5] * 5, [5] * 6])


class TestGenerate:
    """Continuations of prompts."""

    @EACH_MIXTURE
    def test_streaming_equals_scoring(self, client: Client, tiny: LanguageModel, mixture: dict[str, Any]) -> None:
        """Beyond the model's limit too, each generated token has the log-probability that scoring gives it."""
        sampling = Sampling(max_tokens=60, temperature=0.7, seed=5)
        events = list(client.generate(PROMPT, sampling=sampling, log_probabilities=True, **mixture))
        made = of_item(events, 0, GeneratedTokens)
        ids = [token for tokens in made for token in tokens.token_ids]
        streamed = [value for tokens in made for value in tokens.log_probabilities]
        (end,) = of_item(events, 0, Finished)
        assert end.generated_tokens == len(ids)
        assert events[-1].event == end
        prompt = tiny.encode(PROMPT)
        (scored,) = client.score([prompt + ids], **mixture)
        np.testing.assert_allclose(streamed, scored.log_probabilities[len(prompt) :], atol=1e-4)

    def test_prompts_take_turns(self, client: Client, tiny: LanguageModel) -> None:
        """Each has its own tokens, whatever stands beside it."""
        prompts = [PROMPT, "Boil the pasta", tiny.encode("To read a file")]
        sampling = Sampling(max_tokens=6, temperature=1, seed=1)
        together = list(client.generate(prompts, sampling=sampling))
        assert [event.item for event in together[:6]] == [0, 1, 2, 0, 1, 2]
        for item, prompt in enumerate(prompts):
            alone = list(client.generate(prompt, sampling=sampling))
            assert [event.event for event in together if event.item == item] == [event.event for event in alone]

    def test_a_bad_prompt_leaves_the_others(self, client: Client) -> None:
        """It ends with an error of its own."""
        events = list(client.generate([[10**6], "Boil the pasta"], sampling=Sampling(max_tokens=3)))
        (error,) = [event.event for event in events if event.item == 0]
        assert isinstance(error, InvalidArgumentError)
        assert error.field == "prompts[0].tokens[0]"
        assert of_item(events, 1, Finished)[0].generated_tokens == 3

    def test_a_stop_text_across_tokens_ends_the_text(self, client: Client, tiny: LanguageModel) -> None:
        """It is not part of the text, and nothing of it was streamed."""
        sampling = Sampling(max_tokens=12, temperature=1, seed=4)
        events = list(client.generate(PROMPT, sampling=sampling))
        pieces = [tiny.decode(tokens.token_ids) for tokens in of_item(events, 0, GeneratedTokens)]
        text = "".join(pieces)
        cut = len("".join(pieces[:5]))
        stop = text[cut - 1 : cut + 1]
        stopped = list(client.generate(PROMPT, sampling=Sampling(12, 1, seed=4, stop=("never", stop))))
        assert text_of(stopped) == text[: text.index(stop)]
        assert of_item(stopped, 0, Finished)[0].reason is FinishReason.STOP

    def test_leaving_stops_the_model_within_a_step(self, served: Callable[..., Server]) -> None:
        """No forward pass is begun once the caller has gone."""
        server = served()
        with Client(server.address) as client:
            events = client.generate(PROMPT, sampling=Sampling(max_tokens=4000))
            for _ in range(5):
                next(events)
            events.close()
            decoder = loaded(server).decoder
            time.sleep(0.3)
            forwards = decoder.forwards
            time.sleep(0.3)
            assert decoder.forwards == forwards < 1000

    def test_leaving_stops_an_embedded_model_at_once(self, here: OpenStore) -> None:
        """In this process no token is made before it is asked for."""
        events = here.generate(PROMPT, model="tiny", sampling=Sampling(max_tokens=4000))
        next(events)
        decoder = here.client.transport._application.language_models.load("tiny").decoder  # type: ignore[attr-defined]
        forwards = decoder.forwards
        next(events)
        assert decoder.forwards == forwards + 1
        events.close()
        assert decoder.forwards == forwards + 1

    def test_a_deadline_stops_the_model(self, served: Callable[..., Server]) -> None:
        """No forward pass is begun after it."""
        server = served()
        with Client(server.address) as client:
            list(client.generate(PROMPT, sampling=Sampling(max_tokens=1)))
            with pytest.raises(DeadlineExceededError):
                list(client.generate(PROMPT, sampling=Sampling(max_tokens=4000), timeout_s=0.3))
            decoder = loaded(server).decoder
            time.sleep(0.2)
            forwards = decoder.forwards
            time.sleep(0.2)
            assert decoder.forwards == forwards > 1

    @pytest.mark.parametrize(
        ("sampling", "field"),
        [
            (Sampling(max_tokens=0), "sampling.max_tokens"),
            (Sampling(max_tokens=10**6), "sampling.max_tokens"),
            (Sampling(temperature=-1), "sampling.temperature"),
            (Sampling(temperature=float("nan")), "sampling.temperature"),
            (Sampling(top_p=0), "sampling.top_p"),
            (Sampling(top_k=0), "sampling.top_k"),
            (Sampling(stop=("",)), "sampling.stop"),
            (Sampling(stop=("x",) * 17), "sampling.stop"),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_sampling_that_cannot_be_is_refused(self, here: OpenStore, sampling: Sampling, field: str) -> None:
        """By the name of its field, before anything is made."""
        with pytest.raises(InvalidArgumentError) as caught:
            list(here.generate(PROMPT, model="tiny", sampling=sampling))
        assert caught.value.field == field

    def test_prompts_are_limited(self, here: OpenStore) -> None:
        """As GetServerInfo reports."""
        with pytest.raises(InvalidArgumentError, match="the limit is 64"):
            list(here.generate(["x"] * 65, model="tiny"))

    def test_no_prompts_are_no_events(self, client: Client) -> None:
        """An empty batch has an empty answer."""
        assert list(client.generate([])) == []


class TestAsk:
    """Answers from passages."""

    def test_the_passages_come_first(self, client: Client) -> None:
        """Those of the search that fit, best first; then the answer, its citations and its end."""
        events = list(client.ask("docs", QUESTION, k=4, sampling=Sampling(max_tokens=4)))
        retrieved = events[0].event
        assert isinstance(retrieved, Retrieved)
        hits = client.search("docs", QUESTION, k=4)[0]
        assert [hit for hit in hits if hit in retrieved.hits] == list(retrieved.hits)
        assert len(retrieved.hits) + retrieved.left_out == 4
        end = events[-1].event
        assert isinstance(end, Finished)
        kinds = [type(event.event) for event in events[1:-1]]
        assert set(kinds) <= {GeneratedTokens, Citation}
        assert kinds == sorted(kinds, key=lambda kind: kind is Citation)

    def test_the_prompt_is_packed_from_the_passages(self, client: Client, tiny: LanguageModel) -> None:
        """The same prompt given to Generate is continued alike."""
        from lodex.lm.prompt import pack_passages

        hits = client.search("docs", QUESTION, k=3)[0]
        packed = pack_passages(tiny, QUESTION, hits, 40)
        sampling = Sampling(max_tokens=5)
        asked = list(client.ask("docs", QUESTION, k=3, context_tokens=40, sampling=sampling))
        assert text_of(asked) == text_of(list(client.generate(packed.token_ids, sampling=sampling)))
        assert of_item(asked, 0, Retrieved) == [Retrieved(packed.hits, packed.left_out)]
        (bare,) = of_item(list(client.ask("docs", QUESTION, k=3, context_tokens=0, sampling=sampling)), 0, Retrieved)
        assert bare == Retrieved((), 3)

    def test_an_answer_is_cited(self, served: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
        """A sentence that stands in a passage names it by its number among those that were given."""
        server = served()
        words = iter(["Boil the pasta", " in salted water.", " Nothing else is known."])

        def step(generation: Any) -> GeneratedTokens:
            text = next(words)
            if text.endswith("known."):
                generation.finished = Finished(FinishReason.END, 1, 3, 3)
            return GeneratedTokens((1,), text)

        monkeypatch.setattr("lodex.lm.generation.Generation.step", step)
        with Client(server.address) as client:
            events = list(client.ask("docs", QUESTION, k=5, context_tokens=48))
        (citation,) = of_item(events, 0, Citation)
        (retrieved,) = of_item(events, 0, Retrieved)
        assert text_of(events).encode()[citation.begin : citation.end] == b"Boil the pasta in salted water."
        assert retrieved.hits[citation.hits[0]].passage.doc_id == "cooking"

    def test_a_bad_question_leaves_the_others(self, client: Client) -> None:
        """A blank one has an error by its number."""
        events = list(client.ask("docs", [" ", QUESTION], sampling=Sampling(max_tokens=2)))
        (error,) = [event.event for event in events if event.item == 0]
        assert isinstance(error, InvalidArgumentError)
        assert error.field == "questions[0]"
        assert of_item(events, 1, Finished)

    def test_it_says_what_it_read(self, client: Client) -> None:
        """The last message has the search's source first, then those of the mixture, and the cost."""
        call = lodex.client.language_model.ask(
            "docs", [QUESTION, "Who pays?"], infgram=InfgramSource("docs", "suffix")
        ).call
        call.request.sampling.max_tokens = 3
        *others, last = client.transport.stream(call.service, call.method, call.request, 20)
        assert not any(message.HasField("info") for message in others)
        assert [source.index for source in last.info.sources] == ["dense", "suffix"]
        assert last.info.usage.items == 2
        assert last.info.usage.tokens > 6
        assert last.info.timing.compute_ns > 0

    @pytest.mark.parametrize(
        ("arguments", "error", "field"),
        [
            ({"k": 0}, InvalidArgumentError, "search.k"),
            ({"nprobe": 0}, InvalidArgumentError, "search.parameters.nprobe"),
            ({"context_tokens": 49}, InvalidArgumentError, "context_tokens"),
            ({"template": "nothing"}, NotFoundError, None),
            ({"index": "suffix"}, InvalidArgumentError, "search.target.index"),
            ({"version": 99}, NotFoundError, None),
        ],
        ids=str,
    )
    def test_wrong_requests_are_refused(
        self, here: OpenStore, arguments: dict[str, Any], error: type[LodexError], field: str | None
    ) -> None:
        """By the name of the field, before anything is made."""
        with pytest.raises(error) as caught:
            list(here.ask(QUESTION, model="tiny", **arguments))
        assert getattr(caught.value, "field", None) == field


ALIKE: dict[str, Callable[[Any], Any]] = {
    "score": lambda db: db.score(
        [PROMPT, [10**6]], model="tiny", components=True, infgram=InfgramSource("docs", "suffix")
    ),
    "score with neighbors": lambda db: db.score(PROMPT, model="tiny", knn=KnnSource("docs", k=5), neighbors=2),
    "generate": lambda db: db.generate([PROMPT, [10**6]], model="tiny", knn=True, log_probabilities=True),
    "ask": lambda db: db.ask([QUESTION, ""], model="tiny", k=3, sampling=Sampling(max_tokens=5)),
    "another model": lambda db: db.generate(PROMPT, model="nothing"),
}


@pytest.mark.parametrize("call", ALIKE.values(), ids=ALIKE)
def test_embedded_and_remote_answer_alike(call: Callable[[Any], Any], here: OpenStore, client: Client) -> None:
    """The same values, or the same error."""

    def outcome(view: Any) -> Any:
        try:
            answer = call(view)
            return plain(list(answer) if not hasattr(answer, "items") else answer.items)
        except LodexError as error:
            return type(error)

    assert outcome(here) == outcome(client["docs"])


def test_models_are_named_never_opened(client: Client, tiny_folder: Path) -> None:
    """A path is no name, and a name that is not there lists those that are."""
    for name in ("nothing", str(tiny_folder)):
        with pytest.raises(NotFoundError, match="there are lodex-mini-lm, tiny"):
            client.score("x", model=name)


def test_the_server_lists_its_language_models(client: Client) -> None:
    """With what is known of those that are loaded."""
    client.score("x")
    models = {model.name: model for model in client.info().models if model.role == "language_model"}
    assert set(models) == {"lodex-mini-lm", "tiny"}
    assert models["tiny"].default
    assert models["tiny"].max_tokens == 48
    assert models["tiny"].fingerprint.startswith("sha256:")
    assert models["tiny"].dimension is None


def test_an_index_of_another_model_is_refused(served: Callable[..., Server], tmp_path: Path) -> None:
    """States of one model mean nothing to another, nor do tokens of another vocabulary."""
    server = served(language_models={"other": make_model(tmp_path / "other", 4)})
    with Client(server.address) as client:
        for call in (client.score, lambda *args, **kwargs: list(client.generate(*args, **kwargs))):
            with pytest.raises(FingerprintMismatchError) as caught:
                call("x", model="other", knn=KnnSource("docs"))
            assert caught.value.field == "mixture.knn.target"
            with pytest.raises(FingerprintMismatchError) as caught:
                call("x", infgram=InfgramSource("docs", "bytes"))
            assert caught.value.field == "mixture.infgram.target"


@pytest.mark.parametrize(
    ("mixture", "field"),
    [
        ({"knn": KnnSource("docs", weight=1.5)}, "mixture.knn.weight"),
        ({"knn": KnnSource("docs", weight=float("nan"))}, "mixture.knn.weight"),
        ({"knn": KnnSource("docs", temperature=0)}, "mixture.knn.temperature"),
        ({"knn": KnnSource("docs", k=0)}, "mixture.knn.k"),
        ({"knn": KnnSource("docs", k=10**6)}, "mixture.knn.k"),
        ({"knn": KnnSource("docs", nprobe=0)}, "mixture.knn.parameters.nprobe"),
        ({"knn": KnnSource("docs", "suffix")}, "mixture.knn.target.index"),
        ({"infgram": InfgramSource("docs", "suffix", weight=-1)}, "mixture.infgram.weight"),
        ({"infgram": InfgramSource("docs", "suffix", single_weight=2)}, "mixture.infgram.single_weight"),
        (
            {"knn": KnnSource("docs", weight=0.6), "infgram": InfgramSource("docs", "suffix", weight=0.6)},
            "mixture",
        ),
    ],
    ids=str,
)
def test_mixtures_that_cannot_be_are_refused(here: OpenStore, mixture: dict[str, Any], field: str) -> None:
    """By the name of the field."""
    with pytest.raises(InvalidArgumentError) as caught:
        here.score(PROMPT, model="tiny", **mixture)
    assert caught.value.field == field


def test_a_store_without_the_index_says_how_to_build_it(store_path: Path, tiny_folder: Path) -> None:
    """The verb of the command line is named."""
    db = lodex.open(store_path, "docs", language_models={"tiny": tiny_folder})
    with pytest.raises(FailedPreconditionError, match="lodex index knn STORE"):
        db.score("x", model="tiny", knn=True)


def test_neighbors_belong_to_an_index(here: OpenStore) -> None:
    """Without a kNN index there are none to return."""
    with pytest.raises(InvalidArgumentError, match=r"mixture\.knn, which is absent"):
        here.score("x", model="tiny", neighbors=3)


TARGET = {"store": "docs"}
NOT_BUILT: list[tuple[str, Any, str]] = [
    ("Score", language_model_pb2.ScoreRequest(mixture={"calibration": "x"}), "mixture.calibration"),
    (
        "Score",
        language_model_pb2.ScoreRequest(mixture={"knn": {"target": TARGET, "min_followed": 1}}),
        "mixture.knn.min_followed",
    ),
    (
        "Score",
        language_model_pb2.ScoreRequest(mixture={"infgram": {"target": TARGET, "min_support": 2}}),
        "mixture.infgram.min_support",
    ),
    (
        "Generate",
        language_model_pb2.GenerateRequest(mixture={"infgram": {"target": TARGET, "max_suffix_length": 2}}),
        "mixture.infgram.max_suffix_length",
    ),
    ("Generate", language_model_pb2.GenerateRequest(sampling={"draft": TARGET}), "sampling.draft"),
    ("Ask", language_model_pb2.AskRequest(max_sentences=3), "max_sentences"),
    ("Ask", language_model_pb2.AskRequest(strategy=language_model_pb2.CONTEXT_STRATEGY_ENSEMBLE), "strategy"),
    (
        "Ask",
        language_model_pb2.AskRequest(search={"target": TARGET, "rerank": retrieval_pb2.RerankStage(model="x")}),
        "search.rerank",
    ),
]


@pytest.mark.parametrize(("method", "request_", "field"), NOT_BUILT, ids=[field for _, _, field in NOT_BUILT])
def test_fields_that_are_not_built_are_not_ignored(here: OpenStore, method: str, request_: Any, field: str) -> None:
    """A request that means more than this release knows is refused."""
    request_.model = "tiny"
    ask = here.client.transport.unary if method == "Score" else here.client.transport.stream
    with pytest.raises(UnimplementedError, match=field):
        list(ask(SERVICE, method, request_, 10))  # type: ignore[arg-type,call-overload]


def test_the_questions_take_the_place_of_queries(here: OpenStore) -> None:
    """A search that brings its own is a mistake."""
    request = language_model_pb2.AskRequest(questions=["x"], search={"queries": [{"text": "y"}]})
    with pytest.raises(InvalidArgumentError, match="the questions take the place"):
        list(here.client.transport.stream(SERVICE, "Ask", request, 10))


def test_the_end_of_a_document_has_no_bytes(here: OpenStore) -> None:
    """A document's end can be scored as a token, and its text does not grow by the token's name."""
    ids = here.score("the cat")[0].token_ids.tolist()
    plain, ended = here.score([ids, [*ids, 0]])
    assert plain.text_bytes == ended.text_bytes == 7
    assert ended.bits_per_byte > plain.bits_per_byte


def test_defaults_bow_to_limits(served: Callable[..., Server]) -> None:
    """Who asks for nothing is not refused for asking for too much."""
    with Client(served(limits=Limits(max_generated_tokens=3)).address) as client:
        (finished,) = of_item(list(client.generate(["a cat"])), 0, Finished)
        assert finished.generated_tokens <= 3


def test_neighbors_beyond_reason_are_refused(here: OpenStore) -> None:
    """A list of neighbours is bounded as a whole, not only for each token."""
    with pytest.raises(InvalidArgumentError, match="at most 65536"):
        here.score([[1] * 100], model="tiny", knn=KnnSource("docs", k=1000), neighbors=1000)
