"""Backbones of every family: ragged batches against one text at a time, by transformers' own eager attention."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from lodex.embed.backbones.backbone import Backbone, BackboneSource
from lodex.embed.backbones.bidirectional import UNLIMITED, see_all
from lodex.embed.backbones.config import read_backbone_config
from lodex.embed.backbones.families import DECODERS, FAMILIES
from lodex.errors import InvalidArgumentError
from tests.embed.backbones.small_models import (
    WINDOWS,
    lay,
    plain_states,
    random_rows,
    relative_difference,
    save_small,
    small_config,
    small_model,
)

ENCODERS = tuple(name for name in FAMILIES if name not in DECODERS)
ROWS = random_rows(5, 1, 9, 9, 20, 5)
# Sums of 48 products in another order, over three layers.
SAME = 3e-6


def open_backbone(folder: Path, **options: Any) -> Backbone:
    return Backbone.open(BackboneSource(read_backbone_config(folder), folder), **options)


def assert_layers_equal(backbone: Backbone, model: Any, rows: list[list[int]] = ROWS) -> None:
    """Every state of every layer is that of the text alone."""
    found = list(backbone.layer_states(lay(rows)))
    expected = [torch.cat(states) for states in zip(*(plain_states(model, row) for row in rows), strict=True)]
    assert len(found) == len(expected) == backbone.num_layers + 1
    for got, wanted in zip(found, expected, strict=True):
        assert got.shape == wanted.shape
        assert relative_difference(got, wanted) < SAME
    assert torch.equal(backbone.states(lay(rows)), found[-1])


@pytest.mark.parametrize("model_type", FAMILIES)
def test_states_are_those_of_each_text_alone(model_type: str, tmp_path: Path) -> None:
    """Of all layers, whatever stands beside a text."""
    model = small_model(small_config(model_type))
    assert_layers_equal(open_backbone(save_small(model, tmp_path)), model)


@pytest.mark.parametrize("model_type", DECODERS)
def test_bidirectional_states_are_those_of_each_text_alone(model_type: str, tmp_path: Path) -> None:
    """The switch, over any distance: windows are taken off."""
    config = small_config(model_type, **WINDOWS.get(model_type, lambda w: {})(3))
    folder = save_small(small_model(config), tmp_path)
    see_all(config)
    assert_layers_equal(open_backbone(folder, attention="bidirectional"), small_model(config))


@pytest.mark.parametrize("model_type", WINDOWS)
def test_windows_of_causal_models_are_kept(model_type: str, tmp_path: Path) -> None:
    """In the layers that have them, and shorter than the texts."""
    model = small_model(small_config(model_type, **WINDOWS[model_type](3)))
    assert_layers_equal(open_backbone(save_small(model, tmp_path), attention="causal"), model)


def test_gemma3_that_is_bidirectional_of_its_own_keeps_its_windows(tmp_path: Path) -> None:
    """EmbeddingGemma's: half the stated window both ways; asked to be bidirectional it is that already."""
    config = small_config("gemma3_text", sliding_window=16, use_bidirectional_attention=True)
    assert config.sliding_window == 9
    model = small_model(config)
    folder = save_small(model, tmp_path)
    for attention in ("native", "bidirectional"):
        backbone = open_backbone(folder, attention=attention)
        assert backbone.config.sliding_window == 9
        assert_layers_equal(backbone, model)
    with pytest.raises(InvalidArgumentError, match="trained to see the whole text"):
        open_backbone(folder, attention="causal")


def test_a_folder_that_says_so_is_bidirectional(tmp_path: Path) -> None:
    """`"is_causal": false` in config.json is native attention; the caller's configuration stays as it was."""
    config = small_config("mistral", sliding_window=3)
    config.is_causal = False
    folder = save_small(small_model(config), tmp_path)
    source = BackboneSource(read_backbone_config(folder), folder)
    backbone = Backbone.open(source)
    assert backbone.config.sliding_window is None
    assert source.config.sliding_window == 3  # type: ignore[attr-defined]
    see_all(config)
    assert_layers_equal(backbone, small_model(config))


@pytest.mark.parametrize("model_type", ["bert", "llama", "gemma2", "phi3"])
def test_a_text_has_the_same_bits_beside_any_others(model_type: str, tmp_path: Path) -> None:
    """On a CPU, bit for bit: in any order, alone or not."""
    backbone = open_backbone(save_small(small_model(small_config(model_type)), tmp_path))
    alone = {tuple(row): backbone.states(lay([row])) for row in ROWS}
    for rows in (ROWS, ROWS[::-1], [ROWS[4]] * 7 + ROWS[:2], ROWS[2:4]):
        states = backbone.states(lay(rows))
        for row, own in zip(rows, states.split([len(row) for row in rows]), strict=True):
            assert torch.equal(own, alone[tuple(row)])


def test_half_precision_is_loaded_as_such(tmp_path: Path) -> None:
    """Weights and states in bfloat16, near those in float32."""
    model = small_model(small_config("llama"))
    folder = save_small(model, tmp_path)
    backbone = open_backbone(folder, precision="bfloat16")
    states = backbone.states(lay(ROWS))
    assert states.dtype == backbone.dtype == torch.bfloat16
    cosines = torch.cosine_similarity(states.float(), open_backbone(folder).states(lay(ROWS)))
    assert cosines.min() > 0.995


@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gemma3_text"])
def test_the_head_gives_the_logits(model_type: str, is_tied: bool, tmp_path: Path) -> None:
    """Of the causal model, its cap included; a tied head is the embedding itself."""
    config = small_config(model_type, tie_word_embeddings=is_tied)
    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    model.save_pretrained(tmp_path)
    backbone = open_backbone(tmp_path, with_head=True)
    head = backbone.lm_head
    assert head is not None
    logits = head.read(backbone.states(lay(ROWS[2:3]))) @ head.weight.T
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor(ROWS[2:3])).logits[0]
    assert relative_difference(logits, expected) < SAME
    assert open_backbone(tmp_path).lm_head is None


def test_the_head_of_bert_gives_the_logits(tmp_path: Path) -> None:
    """With the layer before the vocabulary, and its bias."""
    torch.manual_seed(4)
    model = AutoModelForMaskedLM.from_config(small_config("bert"), dtype=torch.float32).eval()
    with torch.no_grad():
        model.cls.predictions.bias.normal_()
    model.save_pretrained(tmp_path)
    backbone = open_backbone(tmp_path, with_head=True)
    head = backbone.lm_head
    assert head is not None
    with torch.inference_mode():
        logits = head.read(backbone.states(lay(ROWS[2:3]))) @ head.weight.T + head.bias
        expected = model(input_ids=torch.tensor(ROWS[2:3])).logits[0]
    assert relative_difference(logits, expected) < SAME


@pytest.mark.parametrize("model_type", ["llama", "bert"])
def test_no_head_where_one_is_asked_for_is_an_error(model_type: str, tmp_path: Path) -> None:
    """A backbone published alone has none."""
    folder = save_small(small_model(small_config(model_type)), tmp_path)
    with pytest.raises(InvalidArgumentError, match=r"Missing key"):
        open_backbone(folder, with_head=True)


def test_what_belongs_to_another_part_is_left_to_it(tmp_path: Path) -> None:
    """Under a prefix of its own, with the tensors of a pooling head beside it; anything else is refused."""
    model = small_model(small_config("mistral"))
    model.config.save_pretrained(tmp_path)
    weights = {f"embedding_model.{name}": weight.clone() for name, weight in model.state_dict().items()}
    weights["head.latents"] = torch.ones(2)
    save_file(weights, tmp_path / "model.safetensors")
    source = BackboneSource(read_backbone_config(tmp_path), tmp_path, "embedding_model.", ("head.",))
    assert_layers_equal(Backbone.open(source), model)
    with pytest.raises(InvalidArgumentError, match=r"Unexpected key.*head\.latents"):
        Backbone.open(BackboneSource(source.config, tmp_path, "embedding_model."))


def test_names_of_the_first_releases_are_understood(tmp_path: Path) -> None:
    """BERT's own files call the norm's weight gamma and its bias beta, and hold a pooler and a head."""
    model = small_model(small_config("bert"))
    save_small(model, tmp_path)
    weights = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): weight
        for name, weight in load_file(tmp_path / "model.safetensors").items()
    }
    weights |= {"bert.pooler.dense.weight": torch.zeros(2), "cls.predictions.bias": torch.zeros(2)}
    save_file(weights, tmp_path / "model.safetensors")
    assert_layers_equal(open_backbone(tmp_path), model)


def test_the_positions_of_roberta_begin_behind_the_padding(tmp_path: Path) -> None:
    """So many positions are none of a text's."""
    folder = save_small(small_model(small_config("roberta")), tmp_path)
    assert open_backbone(folder).max_tokens == 64


def test_gemma_keeps_its_angles_where_windows_are_off(tmp_path: Path) -> None:
    """Gemma 3 turns tokens by the layer's type, which therefore stays."""
    folder = save_small(small_model(small_config("gemma3_text", sliding_window=4)), tmp_path)
    backbone = open_backbone(folder, attention="bidirectional")
    assert backbone.config.layer_types == ["sliding_attention", "full_attention", "sliding_attention"]
    assert backbone.config.sliding_window == UNLIMITED


def test_an_encoder_is_never_causal(tmp_path: Path) -> None:
    """BERT was not trained so."""
    folder = save_small(small_model(small_config("bert")), tmp_path)
    with pytest.raises(InvalidArgumentError, match="trained to see the whole text"):
        open_backbone(folder, attention="causal")
