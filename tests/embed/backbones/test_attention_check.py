"""The check at load time finds models and backbones that do not attend as they say."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lodex.embed.backbones.attention_check import check_attention, check_backbone
from lodex.embed.backbones.backbone import Backbone, BackboneSource
from lodex.embed.backbones.bidirectional import see_all
from lodex.embed.backbones.config import read_backbone_config
from lodex.embed.backbones.families import FAMILIES
from lodex.embed.ragged import Ragged
from lodex.errors import InvalidArgumentError
from tests.embed.backbones.small_models import WINDOWS, save_small, small_config, small_model


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta"])
def test_encoders_keep_the_invariants(model_type: str, implementation: str) -> None:
    """They see the whole text, and padding on either side changes nothing."""
    check_attention(small_model(small_config(model_type), implementation), "small")


def bidirectional(model_type: str = "llama", implementation: str = "eager") -> Any:
    config = small_config(model_type)
    see_all(config)
    return small_model(config, implementation)


def test_a_layer_that_is_causal_is_named() -> None:
    """One of three, in a bidirectional model."""
    model = bidirectional()
    attention = model.layers[1].self_attn
    forward = attention.forward

    def causal(hidden_states: Tensor, *arguments: Any, **named: Any) -> Any:
        length = hidden_states.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)[None, None]
        return forward(hidden_states, *arguments, **(named | {"attention_mask": mask}))

    attention.forward = causal
    with pytest.raises(InvalidArgumentError, match="small should be bidirectional: in layer 1 the first token misses"):
        check_attention(model, "small")


def test_a_flag_on_the_modules_alone_is_found() -> None:
    """The old trick, which is silently causal where a text is padded, does not pass for causal or bidirectional."""
    model = small_model(small_config("llama"), "sdpa")
    for layer in model.layers:
        layer.self_attn.is_causal = False
    with pytest.raises(InvalidArgumentError, match=r"should be causal: in layer 0 .*without padding"):
        check_attention(model, "small")


def test_attention_that_reads_the_padding_is_found() -> None:
    """A model that drops the mask is refused."""
    model = bidirectional()
    forward = model.forward
    model.forward = lambda *arguments, attention_mask=None, **named: forward(*arguments, **named)
    with pytest.raises(InvalidArgumentError, match="padding leaks"):
        check_attention(model, "small")


def test_positions_that_follow_the_padding_are_found() -> None:
    """BERT with padding on the left whose positions are counted from the row's begin."""
    model = small_model(small_config("bert"))
    forward = model.forward
    model.forward = lambda *arguments, position_ids=None, **named: forward(*arguments, **named)
    with pytest.raises(InvalidArgumentError, match="padding on the left"):
        check_attention(model, "small")


@pytest.mark.parametrize("model_type", WINDOWS)
def test_a_window_that_stays_is_refused(model_type: str) -> None:
    """A window longer than the check can see is read from the configuration."""
    config = small_config(model_type, **WINDOWS[model_type](40))
    config.is_causal = False
    with pytest.raises(InvalidArgumentError, match="sliding window"):
        check_attention(small_model(config), "small")


def test_states_that_are_no_numbers_are_refused() -> None:
    """As of weights that overflow."""
    model = bidirectional()
    model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(InvalidArgumentError, match="not finite"):
        check_attention(model, "small")


class Changed:
    """A backbone that changes the batch it is given, or the states it gives."""

    def __init__(self, backbone: Backbone, change: Any) -> None:
        self._backbone = backbone
        self._change = change

    def states(self, batch: Ragged) -> Tensor:
        """As a backbone has them, but for the change."""
        states: Tensor = self._change(self._backbone, batch)
        return states


def mix(backbone: Backbone, batch: Ragged) -> Tensor:
    """Attention over all texts as if they were one."""
    whole = Ragged(batch.ids, batch.positions, (len(batch.ids),), batch.offsets, batch.pooled)
    return backbone.states(whole)


def shift(backbone: Backbone, batch: Ragged) -> Tensor:
    """A backbone that skips its last norm."""
    *_, last = backbone.layer_states(batch)
    return last / backbone._norm.weight


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("change", [mix, shift])
def test_backbones_that_do_otherwise_are_refused(change: Any, model_type: str, tmp_path: Path) -> None:
    """One that lets texts see each other, and one whose states are not those of transformers."""
    folder = save_small(small_model(small_config(model_type)), tmp_path)
    backbone = Backbone.open(BackboneSource(read_backbone_config(folder), folder))
    if change is shift and isinstance(backbone._norm, nn.Identity):
        pytest.skip("BERT has no last norm")
    check_backbone(backbone, backbone._model, "small")
    with pytest.raises(InvalidArgumentError, match=r"small.*(leaks into it|than transformers gives|should be)"):
        check_backbone(Changed(backbone, change), backbone._model, "small")
