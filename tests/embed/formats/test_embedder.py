"""Folders that embed: what they state, the parts they open into, and sentence-transformers' own reading of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lodex.embed.formats.embedder import read_embedder
from lodex.embed.formats.embedder_folder import make_embedder
from lodex.embed.pooling.multi_layer import MultiLayerHead, MultiLayerSizes
from lodex.embed.ragged import Ragged
from lodex.embed.registry import encoder_folder, load_encoder
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind
from tests.embed.conftest import MakeDecoder, save_byte_tokenizer, write_json
from tests.embed.parts import Parts

# Indexes and tasks hold it: another one makes them foreign.
MINILM = "sha256:928ea3a5d67d034782492966a1b6571704cf578d0663412133e80d0f603467e2"
TEXTS = ["the cat sat on the mat.", "", "dog", "the cats : the dog " * 6]


def modules(folder: Path, *kinds: tuple[str, str]) -> None:
    """Write modules.json: Transformer and these, as (type, folder)."""
    entries = [("Transformer", ""), *kinds]
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(entries)
        ],
    )


def add_dense(folder: Path, inputs: int, outputs: int, activation: str = "activation.Tanh", bias: bool = True) -> None:
    folder.mkdir(parents=True)
    random = torch.Generator().manual_seed(outputs)
    weights = {"linear.weight": torch.randn(outputs, inputs, generator=random)}
    if bias:
        weights["linear.bias"] = torch.randn(outputs, generator=random)
    save_file(weights, folder / "model.safetensors")
    stated = {"in_features": inputs, "out_features": outputs, "bias": bias}
    write_json(folder / "config.json", stated | {"activation_function": f"torch.nn.modules.{activation}"})


def test_the_fingerprint_of_minilm_never_changes() -> None:
    """Whatever is added to conventions: dense indexes that are there were built with it."""
    folder = read_embedder(encoder_folder("minilm"), "minilm")
    assert folder.fingerprint == MINILM
    assert (folder.info.dimension, folder.info.max_tokens, folder.info.normalized) == (384, 256, True)
    assert not folder.info.instructed
    assert read_embedder(encoder_folder("minilm"), "of another name").fingerprint == MINILM


def test_dense_layers_follow_the_pooling(tiny_bert: Path) -> None:
    """Two of them, as EmbeddingGemma has, in float32, with and without bias and activation; the last sets the size."""
    plain = Parts(tiny_bert)
    modules(
        tiny_bert, ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Dense", "3_Dense"), ("Normalize", "4_Normalize")
    )
    add_dense(tiny_bert / "2_Dense", 32, 48)
    add_dense(tiny_bert / "3_Dense", 48, 7, "linear.Identity", bias=False)
    parts = Parts(tiny_bert)
    assert parts.folder.info.dimension == 7
    first, second = (load_file(tiny_bert / name / "model.safetensors") for name in ("2_Dense", "3_Dense"))
    batch = Ragged.of(plain.rows(TEXTS, TextKind.PASSAGE))
    pooled = plain.pooling(plain.backbone.states(batch), batch)
    expected = (pooled @ first["linear.weight"].T + first["linear.bias"]).tanh() @ second["linear.weight"].T
    expected = torch.nn.functional.normalize(expected, dim=1)
    torch.testing.assert_close(parts.embed(TEXTS, TextKind.PASSAGE), expected, atol=1e-5, rtol=0)
    assert parts.folder.fingerprint != plain.folder.fingerprint


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: add_dense(f / "3_Dense", 47, 7), "Dense layer 1 reads vectors of 47, and gets such of 48"),
        (lambda f: add_dense(f / "3_Dense", 48, 7, "activation.Softmax"), r"Softmax' is not one of"),
        (lambda f: save_file({"linear.weight": torch.ones(48, 32)}, f / "2_Dense/model.safetensors"), r"linear\.bias"),
        (
            lambda f: save_file(
                load_file(f / "2_Dense/model.safetensors") | {"more": torch.ones(1)}, f / "2_Dense/model.safetensors"
            ),
            "more",
        ),
        (lambda f: write_json(f / "2_Dense/config.json", {"in_features": 32, "out_features": "48"}), "expected sizes"),
        (
            lambda f: write_json(
                f / "2_Dense/config.json", {"in_features": 32, "out_features": 48, "use_residual": True}
            ),
            "a Dense layer with a residual",
        ),
    ],
)
def test_dense_layers_that_do_not_fit_are_refused(tiny_bert: Path, change: Any, complaint: str) -> None:
    """Sizes, activations, tensors and settings that would be left out silently."""
    modules(tiny_bert, ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Dense", "3_Dense"))
    add_dense(tiny_bert / "2_Dense", 32, 48)
    change(tiny_bert)
    if not (tiny_bert / "3_Dense").exists():
        add_dense(tiny_bert / "3_Dense", 48, 7)
    with pytest.raises(InvalidArgumentError, match=complaint):
        Parts(tiny_bert)


@pytest.mark.parametrize(
    "kinds",
    [
        [("Normalize", "2_Normalize")],
        [("Pooling", "1_Pooling"), ("Normalize", "2"), ("Dense", "2_Dense")],
        [("Pooling", "1_Pooling"), ("LayerNorm", "2")],
        [("Dense", "2_Dense"), ("Pooling", "1_Pooling")],
        [("WordWeights", "1")],
        [("Pooling", "../1_Pooling")],
    ],
)
def test_other_modules_and_orders_are_refused(tiny_bert: Path, kinds: list[tuple[str, str]]) -> None:
    """Each would change every vector; a folder outside the model's is not read."""
    modules(tiny_bert, *kinds)
    with pytest.raises(InvalidArgumentError, match=r"modules\.json"):
        read_embedder(tiny_bert, "x")


def test_a_folder_of_the_dot_product_is_not_normalised(tiny_bert: Path) -> None:
    """Where it says so and has no Normalize: its vectors' lengths mean something. Cosines do not mind."""
    modules(tiny_bert, ("Pooling", "1_Pooling"))
    assert read_embedder(tiny_bert, "x").info.normalized
    write_json(tiny_bert / "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    assert not read_embedder(tiny_bert, "x").info.normalized
    vectors = load_encoder(tiny_bert).embed_passages(["the cat"]).vectors
    assert abs(float(np.linalg.norm(vectors)) - 1) > 0.01


def test_prompts_by_name_and_by_default(tiny_bert: Path) -> None:
    """Queries and passages have theirs, else that of `default_prompt_name`; all are known by name."""
    path = tiny_bert / "config_sentence_transformers.json"
    write_json(path, {"prompts": {"query": "query : ", "sts": "sat "}, "default_prompt_name": "sts"})
    convention = read_embedder(tiny_bert, "x").convention
    assert (convention.query_prompt, convention.passage_prompt) == ("query : ", "sat ")
    assert convention.prompts == {"query": "query : ", "sts": "sat "}
    write_json(path, {"prompts": {"corpus": "passage : "}})
    assert read_embedder(tiny_bert, "x").convention.passage_prompt == "passage : "


def test_a_known_name_fills_a_bare_folder(make_decoder: MakeDecoder) -> None:
    """A decoder called e5-mistral-7b-instruct has that model's convention, unless its vectors have another size."""
    folder = make_decoder("mistral", "e5-mistral-7b-instruct")
    with pytest.raises(InvalidArgumentError, match="vectors of 32; those of e5-mistral-7b-instruct"):
        read_embedder(folder, folder.name)
    assert read_embedder(folder, "mine").convention.pooling == "mean"


def test_nemotron_s_code_is_a_bidirectional_llama(make_decoder: MakeDecoder) -> None:
    """Its model type names code that is not run; config.json says how it pools."""
    folder = make_decoder("llama")
    config = json.loads((folder / "config.json").read_text())
    plain = make_embedder(folder, folder.parent / "b", bidirectional=True)
    write_json(folder / "config.json", config | {"model_type": "llama_bidirec", "pooling": "avg"})
    parts = read_embedder(folder, "x")
    assert (parts.convention.attention, parts.convention.pooling) == ("bidirectional", "mean")
    vectors = [load_encoder(path).embed_passages(["the cat", "x"]).vectors for path in (folder, folder.parent / "b")]
    np.testing.assert_array_equal(*vectors)
    assert plain.dimension == 32


def test_an_encoder_must_say_how_it_pools(tiny_bert: Path) -> None:
    """A BERT without modules.json may be of any pooling."""
    (tiny_bert / "modules.json").unlink()
    with pytest.raises(InvalidArgumentError, match="does not say how its tokens are pooled"):
        read_embedder(tiny_bert, "x")


def test_an_echo_is_made_of_any_decoder(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """`make_embedder(echo=True)`: the second copy alone is averaged, with its prompt before it."""
    folder = make_decoder("llama", max_position_embeddings=128)
    info = make_embedder(folder, tmp_path / "e", echo=True)
    encoder = load_encoder(tmp_path / "e")
    parts = Parts(tmp_path / "e")
    (row,) = parts.rows(["abc"], TextKind.QUERY)
    assert (row.pool_end - row.pool_begin, len(row.ids)) == (3, 1 + len("Rewrite the sentence: abc, rewritten: abc"))
    np.testing.assert_allclose(
        encoder.embed_queries(["abc"]).vectors, parts.embed(["abc"], TextKind.QUERY).numpy(), atol=1e-6
    )
    assert info.fingerprint != make_embedder(folder, tmp_path / "plain").fingerprint


def test_a_template_is_made_of_a_prompt_with_a_task(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """It stands in lodex.json, with the mask that sentence-transformers has not; a request may bring its own task."""
    folder = make_decoder("llama", max_position_embeddings=64)
    make_embedder(folder, tmp_path / "e", query_prompt="I: {task} Q: ", task="find", instruction_mask="exact")
    parts = Parts(tmp_path / "e")
    assert parts.folder.info.instructed
    (own,), (other,) = (parts.rows(["abc"], TextKind.QUERY, task) for task in (None, "rank it"))
    assert (own.pool_begin, other.pool_begin) == (1 + len("I: find Q: "), 1 + len("I: rank it Q: "))
    assert isinstance(parts.tokens.encode(["a"], "")[0], TokenRow)


@pytest.mark.parametrize("tokens", ["mean", "last"])
def test_multi_layer_pooling_opens_from_its_folder(make_decoder: MakeDecoder, tmp_path: Path, tokens: str) -> None:
    """Our own module: every layer's vector of the text, through the published names of `MultiLayerHead`."""
    make_embedder(make_decoder(), tmp_path / "e")
    folder, below = tmp_path / "e", tmp_path / "e" / "1_MultiLayerPooling"
    below.mkdir()
    sizes = {"layers": 3, "hidden": 32, "queries": 2, "heads": 2, "head_width": 8, "tokens": tokens}
    torch.manual_seed(4)
    head = MultiLayerHead(MultiLayerSizes(**sizes)).requires_grad_(False)  # type: ignore[arg-type]
    save_file(head.state_dict(), below / "model.safetensors")
    write_json(below / "config.json", sizes)
    modules(folder, ("MultiLayerPooling", below.name), ("Normalize", "2_Normalize"))
    parts = Parts(folder)
    texts = ["the cat sat", "a", "x" * 60]
    alone = [Ragged.of([row]) for row in parts.rows(texts, TextKind.PASSAGE)]
    vectors = []
    for batch in alone:
        layers = torch.stack(list(parts.backbone.layer_states(batch)))  # (3, T, 32)
        vectors.append(head((layers.mean(1) if tokens == "mean" else layers[:, -1])[None])[0])
    expected = torch.nn.functional.normalize(torch.stack(vectors), dim=1)
    torch.testing.assert_close(parts.embed(texts, TextKind.PASSAGE), expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(load_encoder(folder).embed_passages(texts).vectors, expected.numpy(), atol=1e-5)
    write_json(below / "config.json", sizes | {"layers": 4})
    with pytest.raises(InvalidArgumentError, match="pools 4 layers of 32, the backbone has 3 of 32"):
        read_embedder(folder, "e")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken", "weightedmean"])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_sentence_transformers_reads_encoders_alike(tiny_bert: Path, mode: str, include_prompt: bool) -> None:
    """Every pooling, with the prompt in the pool and out of it, behind a Dense layer of its own saving."""
    peer = pytest.importorskip("sentence_transformers")
    write_json(
        tiny_bert / "1_Pooling/config.json",
        {"embedding_dimension": 32, "pooling_mode": mode} | ({} if include_prompt else {"include_prompt": False}),
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    write_json(tiny_bert / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"} | special)
    write_json(tiny_bert / "config_sentence_transformers.json", {"prompts": {"query": "query : the "}})
    (tiny_bert / "2_Dense").mkdir()
    torch.manual_seed(3)
    pytest.importorskip("sentence_transformers.base.modules.dense").Dense(32, 9).save(str(tiny_bert / "2_Dense"))
    modules(tiny_bert, ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize"))
    model = peer.SentenceTransformer(str(tiny_bert), device="cpu")
    parts = Parts(tiny_bert)
    ours = parts.embed(TEXTS, TextKind.QUERY).numpy()
    np.testing.assert_allclose(ours, model.encode(TEXTS, prompt_name="query"), atol=2e-5)
    np.testing.assert_allclose(parts.embed(TEXTS, TextKind.PASSAGE).numpy(), model.encode(TEXTS, prompt=""), atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["mean", "lasttoken", "weightedmean"])
@pytest.mark.parametrize("end", [True, False])
def test_sentence_transformers_reads_decoders_alike(
    make_decoder: MakeDecoder, tmp_path: Path, mode: str, end: bool
) -> None:
    """With the prompt out of the pool, under a tokenizer that ends texts and one that does not."""
    peer = pytest.importorskip("sentence_transformers")
    if mode == "lasttoken" and not end:
        pytest.skip("Lodex ends a text whose last token is pooled, there the tokenizer must")
    folder = make_decoder()
    save_byte_tokenizer(folder / "tokenizer.json", end=end)
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "</s>",
        "eos_token": "</s>",
        "bos_token": "<s>",
    }
    write_json(folder / "tokenizer_config.json", tokens)
    ours = {"mean": "mean", "lasttoken": "last", "weightedmean": "weighted_mean"}[mode]
    make_embedder(folder, tmp_path / "e", pooling=ours, query_prompt="q: ", instruction_mask="sentence-transformers")
    model = peer.SentenceTransformer(str(tmp_path / "e"), device="cpu")
    texts = ["the cat sat", "a", "naïve \U0001f600", "x" * 60]
    encoder = load_encoder(tmp_path / "e")
    np.testing.assert_allclose(
        encoder.embed_queries(texts).vectors, model.encode(texts, prompt_name="query"), atol=2e-5
    )
    np.testing.assert_allclose(encoder.embed_passages(texts).vectors, model.encode(texts), atol=2e-5)
