"""The switch to bidirectional attention, by what models of transformers make of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from lodex.embed.backbones.attention_check import check_attention, stock_attention
from lodex.embed.backbones.bidirectional import has_window, is_causal, see_all
from lodex.embed.backbones.families import DECODERS
from tests.embed.backbones.small_models import WINDOWS, small_config, small_model
from tests.embed.conftest import MakeDecoder


def first_owes_to_last(model: Any) -> float:
    """By the model as a whole: how far the first state changes with the last token."""
    vocabulary = model.config.vocab_size
    ids = torch.randint(vocabulary, (1, 12), generator=torch.Generator().manual_seed(5))
    changed = ids.clone()
    changed[0, -1] = (ids[0, -1] + 1) % vocabulary
    with torch.inference_mode():
        one, other = (model(input_ids=x).last_hidden_state for x in (ids, changed))
    return float((one - other)[0, 0].abs().max())


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", DECODERS)
def test_the_first_token_sees_the_last_at_any_distance(model_type: str, implementation: str) -> None:
    """Windows or not, where a family allows the implementation; and the invariants hold."""
    config = small_config(model_type, **WINDOWS.get(model_type, lambda w: {})(3))
    if implementation == "sdpa" and stock_attention(config) == "eager":
        pytest.skip(f"{model_type} caps its scores, which SDPA cannot")
    see_all(config)
    assert not is_causal(config)
    assert not any(has_window(config, layer) for layer in range(3))
    model = small_model(config, implementation)
    assert first_owes_to_last(model) > 1e-4
    check_attention(model, "small")


@pytest.mark.parametrize("model_type", DECODERS)
def test_without_the_switch_it_does_not(model_type: str) -> None:
    """A decoder as it is, with windows as it has them."""
    config = small_config(model_type, **WINDOWS.get(model_type, lambda w: {})(3))
    assert is_causal(config)
    model = small_model(config)
    assert first_owes_to_last(model) == 0
    check_attention(model, "small")


def test_what_is_bidirectional_of_its_own_stays_as_it_is() -> None:
    """EmbeddingGemma: its windows are a part of the model, and halved once."""
    config = small_config("gemma3_text", sliding_window=16, use_bidirectional_attention=True)
    before = config.to_dict()
    see_all(config)
    assert config.to_dict() == before
    assert not is_causal(config)
    model = small_model(config)
    check_attention(model, "small")
    assert first_owes_to_last(model) > 1e-4


def test_stories260k_converts(stories: Path) -> None:
    """The trained decoder is causal as it is, and sees all once it is told to."""
    config = AutoConfig.from_pretrained(stories)
    model = AutoModel.from_pretrained(stories, config=config, dtype=torch.float32)
    assert first_owes_to_last(model) == 0
    see_all(config)
    both = AutoModel.from_pretrained(stories, config=config, dtype=torch.float32)
    assert first_owes_to_last(both) > 1e-3
    check_attention(both, "stories")


def test_the_switch_outlives_the_folder(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """Saved and read again, the configuration is still bidirectional."""
    config = AutoConfig.from_pretrained(make_decoder("mistral", sliding_window=7))
    see_all(config)
    config.save_pretrained(tmp_path / "saved")
    again = AutoConfig.from_pretrained(tmp_path / "saved")
    assert not is_causal(again)
    assert again.sliding_window is None
