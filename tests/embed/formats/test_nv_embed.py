"""The layout of NV-Embed: a small random model of it, against transformers' Mistral and the plain head."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import MistralConfig, MistralModel

from lodex.embed.registry import load_encoder
from lodex.embed.tokens.decoder_tokens import DecoderTokens
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind
from tests.embed.conftest import save_byte_tokenizer, write_json
from tests.embed.pooling.test_latent_attention import LAYOUT, plain_pool

TEXT = {
    "model_type": "bidir_mistral",
    "vocab_size": 258,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 40,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "sliding_window": 3,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
HEAD = {
    "model_type": "latent_attention",
    "num_latents_value": 7,
    "num_cross_heads": 3,
    "output_normalize": True,
    "hidden_dim": 12,
    "latent_dim": 10,
    "cross_dim_head": 5,
}
CONFIG: dict[str, Any] = {
    "model_type": "nvembed",
    "architectures": ["NVEmbedModel"],
    "auto_map": {"AutoModel": "modeling_nvembed.NVEmbedModel"},
    "text_config": TEXT,
    "latent_attention_config": HEAD,
    "padding_side": "right",
    "is_mask_instruction": True,
    "add_eos": True,
    "mask_type": "b",
    "hidden_size": 12,
}
INSTRUCTION = "Instruct: find\nQuery: "


def backbone_config() -> MistralConfig:
    """Mistral with full attention both ways."""
    values = {name: value for name, value in TEXT.items() if name not in ("model_type", "sliding_window")}
    return MistralConfig(**values, sliding_window=None, is_causal=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "nv"
    path.mkdir()
    torch.manual_seed(6)
    config = backbone_config()
    config.initializer_range = 0.3
    weights = {f"embedding_model.{name}": value for name, value in MistralModel(config).state_dict().items()}
    weights |= {f"latent_attention_model.{name}": torch.randn(shape) * 0.7 for name, shape in LAYOUT.items()}
    save_file(weights, path / "model.safetensors")
    write_json(path / "config.json", CONFIG)
    write_json(path / "config_sentence_transformers.json", {"prompts": {"query": INSTRUCTION}})
    save_byte_tokenizer(path / "tokenizer.json")
    return path


def change(folder: Path, function: Callable[[dict[str, Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    function(weights)
    save_file(weights, folder / "model.safetensors")


def plain_vector(folder: Path, instruction: str, text: str, skipped: int, length: int = 40) -> Any:
    """BOS, instruction, text, EOS, cut on the right; the mean leaves out `skipped` tokens from the front."""
    weights = load_file(folder / "model.safetensors")
    model = MistralModel(backbone_config()).eval()
    prefix = "embedding_model."
    model.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    head = {k.removeprefix("latent_attention_model."): v for k, v in weights.items() if not k.startswith(prefix)}
    ids = DecoderTokens(folder / "tokenizer.json", 999, 258, 0).encode([instruction + text])[0][0]
    ids = [*ids, 1][:length]
    with torch.no_grad():
        hidden = model(torch.tensor([ids])).last_hidden_state[0].double().numpy()
    pooled = plain_pool(head, hidden, np.arange(len(ids)) >= skipped)
    return pooled / np.linalg.norm(pooled)


def test_vectors_are_those_of_the_parts(folder: Path) -> None:
    """Passages are averaged whole; of queries the instruction is left out by the published count, with the BOS."""
    encoder = load_encoder(folder)
    texts = ["a cat", "", "x" * 60, "naïve"]
    passages, queries = encoder.embed_passages(texts), encoder.embed_queries(texts)
    expected = [plain_vector(folder, "", text, 0) for text in texts]
    np.testing.assert_allclose(passages.vectors, expected, atol=1e-4)
    expected = [plain_vector(folder, INSTRUCTION, text, len(INSTRUCTION)) for text in texts]
    np.testing.assert_allclose(queries.vectors, expected, atol=1e-4)
    assert passages.truncated.tolist() == [False, False, True, False]
    assert (encoder.info.dimension, encoder.info.max_tokens, encoder.info.normalized) == (12, 40, True)


def test_without_instruction_mask_all_is_averaged(folder: Path) -> None:
    """`is_mask_instruction` false keeps the instruction's tokens in the mean."""
    before = load_encoder(folder).info.fingerprint
    write_json(folder / "config.json", CONFIG | {"is_mask_instruction": False})
    encoder = load_encoder(folder)
    vector = encoder.embed_queries(["a cat"]).vectors[0]
    np.testing.assert_allclose(vector, plain_vector(folder, INSTRUCTION, "a cat", 0), atol=1e-4)
    assert encoder.info.fingerprint != before


def test_a_vector_does_not_depend_on_its_batch(folder: Path) -> None:
    """Bit for bit the same alone and among others."""
    encoder = load_encoder(folder)
    texts = ["ab" * (i % 5) for i in range(40)]
    together = encoder.embed(texts, TextKind.QUERY).vectors
    alone = np.concatenate([encoder.embed([text], TextKind.QUERY).vectors for text in texts[:5]])
    np.testing.assert_array_equal(together[:5], alone)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda w: w.pop("latent_attention_model.latents"), "Missing key.*latents"),
        (lambda w: w.pop("embedding_model.layers.1.mlp.up_proj.weight"), r"Missing key.*layers\.1\.mlp\.up_proj"),
        (lambda w: w.update({"embedding_model.layers.2.x": torch.ones(1)}), r"Unexpected key.*layers\.2\.x"),
        (lambda w: w.update({"lm_head.weight": torch.ones(1)}), r"neither.*lm_head\.weight"),
        (lambda w: w.update({"model.latents": torch.ones(1)}), r"neither.*model\.latents"),
        (
            lambda w: w.update({"latent_attention_model.cross_attend_blocks.0.fn.to_kv.weight": torch.ones(29, 10)}),
            r"size mismatch for .*to_kv",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(
    folder: Path, function: Callable[[dict[str, Tensor]], object], complaint: str
) -> None:
    """A missing, further or misshapen tensor of either part, and one of neither."""
    change(folder, function)
    with pytest.raises(InvalidArgumentError, match=f"(?s){complaint}"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"text_config": None}, "text_config is None, expected an object"),
        ({"latent_attention_config": HEAD | {"hidden_dim": 16}}, "reads states of 16, the backbone has 12"),
        ({"latent_attention_config": HEAD | {"num_cross_heads": 0}}, "num_cross_heads is 0"),
        ({"mask_type": "c"}, "expected mask_type 'b'"),
        ({"padding_side": "left"}, "padding_side 'right'"),
    ],
)
def test_a_configuration_of_another_sort_is_refused(folder: Path, values: dict[str, Any], complaint: str) -> None:
    """What the published code would do otherwise is told by its key."""
    write_json(folder / "config.json", CONFIG | values)
    with pytest.raises(InvalidArgumentError, match=complaint):
        load_encoder(folder)


def test_an_instruction_that_fills_the_length_is_refused(folder: Path) -> None:
    """It would leave no token to average."""
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "x" * 40}})
    with pytest.raises(InvalidArgumentError, match="a prompt fills the length of 40 tokens"):
        load_encoder(folder)


def test_keys_of_the_head_default_to_the_published_sizes(folder: Path) -> None:
    """A head without keys is that of the 7B model, which does not fit this backbone."""
    write_json(folder / "config.json", json.loads(json.dumps(CONFIG | {"latent_attention_config": {}})))
    with pytest.raises(InvalidArgumentError, match="reads states of 4096"):
        load_encoder(folder)
