"""The switch to bidirectional attention, the three invariants, and the check that finds a model without them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from lodex.embed.backbones.attention_check import check_attention
from lodex.embed.backbones.bidirectional import is_causal, see_all
from lodex.embed.backbones.config import MODEL_TYPES
from lodex.errors import InvalidArgumentError
from tests.embed.conftest import MakeDecoder

WINDOWS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 2},
    "qwen2": {"sliding_window": 2, "use_sliding_window": True, "max_window_layers": 0},
    "qwen3": {"sliding_window": 2, "use_sliding_window": True, "max_window_layers": 1},
}


def tiny(model_type: str, **changes: Any) -> Any:
    torch.manual_seed(4)
    return AutoConfig.for_model(
        model_type,
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        **changes,
    )


def build(config: Any) -> Any:
    return AutoModel.from_config(config, dtype=torch.float32).eval()


def invariants(model: Any) -> tuple[float, float, float]:
    """By the model as a whole: what the first state owes to the last token, what padding leaks, what padding shifts."""
    random = torch.Generator().manual_seed(5)
    ids = torch.randint(model.config.vocab_size, (1, 12), generator=random)
    changed, padded, other = ids.clone(), torch.cat([ids, ids[:, :4]], 1), torch.cat([ids, ids[:, 4:8]], 1)
    changed[0, -1] = (ids[0, -1] + 1) % model.config.vocab_size
    mask = torch.ones_like(padded)
    mask[:, 12:] = 0
    with torch.inference_mode():
        alone, last = (model(input_ids=x).last_hidden_state for x in (ids, changed))
        one, two = (model(input_ids=x, attention_mask=mask).last_hidden_state[:, :12] for x in (padded, other))
    return float((alone - last)[0, 0].abs().max()), float((one - two).abs().max()), float((one - alone).abs().max())


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_bidirectional_model_keeps_the_invariants(model_type: str, implementation: str) -> None:
    """The first state knows the last token at any distance, and padding neither leaks nor shifts, windows or not."""
    config = tiny(model_type, attn_implementation=implementation, **WINDOWS[model_type])
    see_all(config)
    model = build(config)
    seen, leaked, shifted = invariants(model)
    assert seen > 1e-4
    assert leaked == 0
    assert shifted < 1e-5
    check_attention(model, "tiny")


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_causal_model_passes_as_what_it_is(model_type: str) -> None:
    """Without the switch the first state knows nothing of the last token, and the check agrees."""
    model = build(tiny(model_type))
    assert is_causal(model.config)
    assert invariants(model)[0] == 0
    check_attention(model, "tiny")


def test_stories260k_keeps_the_invariants(stories: Path) -> None:
    """The trained decoder, opened as bidirectional, does too; as it is, it is causal."""
    config = AutoConfig.from_pretrained(stories)
    model = AutoModel.from_pretrained(stories, config=config, dtype=torch.float32)
    assert invariants(model)[0] == 0
    see_all(config)
    both = AutoModel.from_pretrained(stories, config=config, dtype=torch.float32)
    seen, leaked, shifted = invariants(both)
    assert seen > 1e-3
    assert leaked == 0
    assert shifted < 1e-4
    check_attention(both, "stories")


def test_a_flag_on_one_layer_alone_is_found() -> None:
    """A layer that is causal in a bidirectional model is named."""
    config = tiny("llama")
    see_all(config)
    model = build(config)
    attention = model.layers[1].self_attn
    forward = attention.forward

    def causal(hidden_states: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        length = hidden_states.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        return forward(hidden_states, *arguments, **(named | {"attention_mask": mask, "is_causal": False}))

    attention.forward = causal
    with pytest.raises(InvalidArgumentError, match="tiny should be bidirectional: in layer 1 the first token misses"):
        check_attention(model, "tiny")


def test_a_flag_on_the_modules_alone_is_found() -> None:
    """The old trick, which is silently causal where a text is padded, does not pass for causal or bidirectional."""
    model = build(tiny("llama", attn_implementation="sdpa"))
    for layer in model.layers:
        layer.self_attn.is_causal = False
    with pytest.raises(InvalidArgumentError, match=r"should be causal: in layer 0 .*without padding"):
        check_attention(model, "tiny")


def test_attention_that_reads_the_padding_is_found() -> None:
    """A model that drops the mask is refused."""
    config = tiny("llama")
    see_all(config)
    model = build(config)
    forward = model.forward
    model.forward = lambda *arguments, attention_mask=None, **named: forward(*arguments, **named)
    with pytest.raises(InvalidArgumentError, match="padding leaks"):
        check_attention(model, "tiny")


@pytest.mark.parametrize("model_type", ["mistral", "qwen2", "qwen3"])
def test_a_window_that_stays_is_refused(model_type: str) -> None:
    """A window longer than the check can see is read from the configuration."""
    config = tiny(model_type, **(WINDOWS[model_type] | {"sliding_window": 40}))
    config.is_causal = False
    with pytest.raises(InvalidArgumentError, match="sliding window"):
        check_attention(build(config), "tiny")


def test_the_switch_outlives_the_folder(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """Saved and read again, the configuration is still bidirectional."""
    config = AutoConfig.from_pretrained(make_decoder("mistral", sliding_window=7))
    see_all(config)
    config.save_pretrained(tmp_path / "saved")
    again = AutoConfig.from_pretrained(tmp_path / "saved")
    assert not is_causal(again)
    assert again.sliding_window is None
