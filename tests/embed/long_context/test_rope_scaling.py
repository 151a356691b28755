"""Angles for longer texts: interpolated positions and larger bases, in the configuration and in a model."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from lodex.embed.backbones.backbone import Backbone, BackboneSource
from lodex.embed.backbones.config import read_backbone_config
from lodex.embed.backbones.rotary import Rotary
from lodex.embed.long_context.rope_scaling import RopeScaling
from lodex.errors import InvalidArgumentError
from tests.embed.backbones.small_models import (
    lay,
    plain_states,
    random_rows,
    relative_difference,
    save_small,
    small_config,
    small_model,
)


def frequencies(config: Any, layer_type: str = "") -> torch.Tensor:
    rotary = Rotary(small_model(config).rotary_emb, torch.device("cpu"), torch.float32)
    return rotary.frequencies(layer_type, 8)[0]


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gemma2", "phi3"])
def test_interpolated_positions_are_divided(model_type: str) -> None:
    """Position m has the angles that m / factor had, and there are so many times more."""
    config = small_config(model_type)
    before = frequencies(config)
    RopeScaling("interpolate", 4).apply(config)
    torch.testing.assert_close(frequencies(config) * 4, before)
    assert config.max_position_embeddings == 256


def test_a_factor_of_a_factor_is_their_product() -> None:
    """Gemma 3 is published with its long layers interpolated already."""
    config = small_config("llama", rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0})
    before = frequencies(config)
    RopeScaling("interpolate", 4).apply(config)
    torch.testing.assert_close(frequencies(config) * 4, before)


@pytest.mark.parametrize("model_type", ["llama", "phi3"])
def test_ntk_keeps_the_fastest_angle_and_divides_the_slowest(model_type: str) -> None:
    """Which is what the exponent d / (d - 2) is for; phi3 turns a part of its width only."""
    changes = {"partial_rotary_factor": 0.75} if model_type == "phi3" else {}
    config = small_config(model_type, **changes)
    before = frequencies(config)
    RopeScaling("ntk", 4).apply(config)
    after = frequencies(config)
    assert after[0] == before[0]
    torch.testing.assert_close(after[-1] * 4, before[-1])
    assert (after[1:] < before[1:]).all()


def test_a_stated_base_is_taken() -> None:
    """LongEmbed's E5-mistral: 10 000 to 100 000."""
    config = small_config("mistral")
    RopeScaling("theta", 8, theta=100_000.0).apply(config)
    torch.testing.assert_close(frequencies(config), 100_000.0 ** -(torch.arange(0, 8, 2) / 8))


def test_layers_with_windows_keep_their_angles() -> None:
    """Gemma 3: no distance in them is new; without windows every one is."""
    config = small_config("gemma3_text", sliding_window=4)
    near, far = (frequencies(config, kind) for kind in ("sliding_attention", "full_attention"))
    RopeScaling("interpolate", 4).apply(config)
    assert torch.equal(frequencies(config, "sliding_attention"), near)
    torch.testing.assert_close(frequencies(config, "full_attention") * 4, far)


def test_a_factor_of_one_changes_nothing(tmp_path: Path) -> None:
    """Bit for bit, by either method."""
    folder = save_small(small_model(small_config("qwen2")), tmp_path)
    source = BackboneSource(read_backbone_config(folder), folder)
    batch = lay(random_rows(9, 30))
    expected = Backbone.open(source).states(batch)
    for method in ("interpolate", "ntk"):
        scaled = Backbone.open(source, long_context=RopeScaling(method, 1))  # type: ignore[arg-type]
        assert torch.equal(scaled.states(batch), expected)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_a_model_reads_longer_texts(attention: Any, tmp_path: Path) -> None:
    """With states as transformers gives them for the same configuration, and room for them."""
    folder = save_small(small_model(small_config("llama")), tmp_path)
    source = BackboneSource(read_backbone_config(folder), folder)
    backbone = Backbone.open(source, attention=attention, long_context=RopeScaling("interpolate", 3))
    assert backbone.max_tokens == 192
    [row] = random_rows(150)
    expected = plain_states(small_model(copy.deepcopy(backbone.config)), row)[-1]
    assert relative_difference(backbone.states(lay([row])), expected) < 5e-6
    assert source.config.max_position_embeddings == 64  # type: ignore[attr-defined]


@pytest.mark.parametrize(("factor", "theta", "method"), [(0.5, None, "ntk"), (2, 5.0, "ntk"), (2, None, "theta")])
def test_settings_that_contradict_are_refused(factor: float, theta: float | None, method: Any) -> None:
    """A shorter text needs no scaling, and a base belongs to one method."""
    with pytest.raises(InvalidArgumentError, match=r"expected at least 1|alone has one"):
        RopeScaling(method, factor, theta)


def test_models_that_scale_themselves_are_refused() -> None:
    """Two scalings, one on the other, are nobody's; and BERT has no angles."""
    config = small_config("llama", rope_parameters={"rope_type": "yarn", "factor": 2.0, "rope_theta": 10_000.0})
    with pytest.raises(InvalidArgumentError, match="scales its positions itself, by yarn"):
        RopeScaling("ntk", 2).apply(config)
    with pytest.raises(InvalidArgumentError, match="no rotary positions"):
        RopeScaling("ntk", 2).apply(small_config("bert"))
