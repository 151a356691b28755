"""Decoders that see the whole text: the switch, and the proof at load time that it took effect in every layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lodex.errors import InvalidArgumentError

_TOKENS, _PADDING = 8, 3
# Relative to the largest value. What should be equal is so but for rounding; what a token sees differs far beyond.
_UNSEEN = 1e-6
_SAME = 1e-3

# A window longer than any text.
UNLIMITED = 1 << 30
_WINDOWED = ("gemma2", "gemma3_text")


def is_causal(config: Any) -> bool:
    """Whether tokens see those before them alone, by the configuration.

    So it is unless that says `"is_causal": false`, the switch of `see_all`, or `"use_bidirectional_attention": true`,
    which Gemma3 has of its own: EmbeddingGemma was trained so, within windows in most of its layers.
    """
    return getattr(config, "is_causal", True) is not False and not getattr(config, "use_bidirectional_attention", False)


def see_all(config: Any) -> None:
    """Make the models of a configuration bidirectional, over any distance: sliding windows are taken off too.

    It must be said in the configuration, which the mask builders of transformers 5 read: set on the attention modules
    alone it would hold for texts without padding, and those with padding would silently be causal. A configuration
    that is bidirectional of its own stays as it is.
    """
    if getattr(config, "use_bidirectional_attention", False):
        return
    config.is_causal = False
    if getattr(config, "sliding_window", None) is not None:
        # Gemma 2 and 3 always build the mask of a window, and Gemma 3 turns tokens by the layer's type.
        config.sliding_window = UNLIMITED if config.model_type in _WINDOWED else None
    if getattr(config, "use_sliding_window", False):
        config.use_sliding_window = False
    if getattr(config, "layer_types", None) is not None and config.model_type not in _WINDOWED:
        config.layer_types = ["full_attention"] * config.num_hidden_layers


@torch.inference_mode()
def check_attention(model: Any, name: str) -> None:
    """Prove on 8 random tokens that a model attends as its configuration says, or raise InvalidArgumentError.

    Three things must hold, each with and without padding beside the text: in every layer a change of the last token
    changes what the first one gathers if and only if the model is bidirectional; what stands in the padding changes no
    state; the states with padding are those without. Windows of attention longer than the 8 tokens show in the
    configuration alone, and a bidirectional model with one is refused.
    """
    config = model.config
    expected = is_causal(config)
    if not expected and _has_window(config):
        raise InvalidArgumentError(f"{name}: bidirectional, with a sliding window", "model")
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (3, _TOKENS + _PADDING), generator=generator).to(device)
    ids[1, :_TOKENS] = ids[0, :_TOKENS]  # rows 0 and 1 differ in their padding
    mask = torch.ones_like(ids)
    mask[:, _TOKENS:] = 0
    whole = ids[:1, :_TOKENS]
    for inputs in ({"input_ids": whole}, {"input_ids": ids, "attention_mask": mask}):
        for layer, sees_last in enumerate(_first_sees_last(model, inputs)):
            if sees_last is expected:
                what = "causal" if expected else "bidirectional"
                raise InvalidArgumentError(
                    f"{name} should be {what}: in layer {layer} the first token {'sees' if sees_last else 'misses'} "
                    f"the last one ({'with' if 'attention_mask' in inputs else 'without'} padding)",
                    "model",
                )
    padded = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :_TOKENS]
    alone = model(input_ids=whole, use_cache=False).last_hidden_state
    if _difference(padded[:1], padded[1:2]) > _UNSEEN:
        raise InvalidArgumentError(f"{name}: what stands in the padding leaks into the text", "model")
    if _difference(padded[:1], alone) > _SAME:
        raise InvalidArgumentError(f"{name}: a text with padding has other states than one without", "model")


def _has_window(config: Any) -> bool:
    if getattr(config, "use_bidirectional_attention", False) or getattr(config, "sliding_window", None) == UNLIMITED:
        return False
    kinds = getattr(config, "layer_types", None) or []
    uses = getattr(config, "use_sliding_window", True) and getattr(config, "sliding_window", None) is not None
    return bool(uses) or any(kind != "full_attention" for kind in kinds)


def _first_sees_last(model: Any, inputs: dict[str, Tensor]) -> Iterator[bool]:
    """For each layer, whether the first token's attention changes with the state of the last."""
    calls: list[tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = []
    with _recording(model, calls):
        model(**inputs, use_cache=False)
    for attention, arguments, named in calls:
        states = named.get("hidden_states", arguments[0] if arguments else None)
        assert states is not None, "attention without hidden states; this is a bug"
        other = states.clone()
        other[:, _TOKENS - 1] = -states[:, _TOKENS - 1] + states.abs().mean()
        named = {key: value for key, value in named.items() if key != "hidden_states"}
        before, after = (attention(x, *arguments[1:], **named)[0][:1, 0] for x in (states, other))
        yield _difference(before, after) > _UNSEEN


@contextmanager
def _recording(model: Any, calls: list[tuple[nn.Module, tuple[Any, ...], dict[str, Any]]]) -> Iterator[None]:
    handles = [
        layer.self_attn.register_forward_pre_hook(
            lambda module, arguments, named: calls.append((module, arguments, named)), with_kwargs=True
        )
        for layer in model.layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((a - b).abs().max() / a.abs().max().clamp_min(torch.finfo(a.dtype).tiny))
