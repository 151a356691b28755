"""The proof at load time that a model attends as it should, in every layer, with padding and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lodex.embed.backbones.bidirectional import has_window, is_causal
from lodex.embed.backbones.families import FAMILIES, Family
from lodex.embed.backbones.ragged_attention import IMPLEMENTATION
from lodex.embed.ragged import Ragged
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InvalidArgumentError

_TOKENS, _PADDING = 8, 3
# Relative to the largest value. What a token does not see changes nothing but by rounding; what it sees, far more.
_UNSEEN = 1e-6
# States of the same tokens by other routes: the rounding of a deep model, far below what a wrong mask does.
_SAME = {torch.float32: 1e-3, torch.bfloat16: 0.1}

_Call = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]


class RaggedModel(Protocol):
    """What turns ragged batches into states (N, H)."""

    def states(self, batch: Ragged) -> Tensor:
        """The states of all tokens."""
        ...


@torch.inference_mode()
def check_backbone(backbone: RaggedModel, model: Any, name: str) -> None:
    """Prove on 8 random tokens that ragged batches attend as the configuration says, or raise InvalidArgumentError.

    `model` is the backbone's, of transformers. In every layer the first token sees the last one if and only if the
    model is bidirectional; what stands beside a text changes none of its states; and they are those that transformers'
    own attention gives, which passes `check_attention`.
    """
    family = FAMILIES[model.config.model_type]
    ids = _random_ids(model)
    text, others = ids[0, :_TOKENS], (ids[0, _TOKENS:], ids[1, _TOKENS:])
    rows = [TokenRow(row.tolist(), 0, len(row)) for row in (text, others[0], text, others[1])]
    batch = Ragged.of(rows, model.device)
    calls: list[_Call] = []
    with _recording(model, family, calls):
        states = backbone.states(batch)
    _check_layers(model, calls, name, "beside another text")
    beside_one, beside_other = (states[begin : begin + _TOKENS] for begin in (0, _TOKENS + _PADDING))
    if _difference(beside_one, beside_other) > _UNSEEN:
        raise InvalidArgumentError(f"{name}: what stands beside a text leaks into it", "model")
    model.set_attn_implementation(stock_attention(model.config))
    try:
        own = check_attention(model, name)
    finally:
        model.set_attn_implementation(IMPLEMENTATION)
    if _difference(beside_one, own) > _SAME[model.dtype]:
        raise InvalidArgumentError(f"{name}: ragged batches have other states than transformers gives", "model")


@torch.inference_mode()
def check_attention(model: Any, name: str) -> Tensor:
    """The same of a model of transformers with an attention of its own: the states (8, H) of the random tokens.

    In every layer, with padding and without, the first token sees the last one if and only if the model is
    bidirectional; what stands in the padding changes no state; the states with padding on the right, on the left and
    without are the same. Windows longer than the 8 tokens show in the configuration alone: a decoder that was made
    bidirectional is refused with one.
    """
    config = model.config
    if getattr(config, "is_causal", True) is False and any(
        has_window(config, layer) for layer in range(config.num_hidden_layers)
    ):
        raise InvalidArgumentError(f"{name}: bidirectional, with a sliding window", "model")
    family = FAMILIES[config.model_type]
    ids = _random_ids(model)
    whole = ids[:1, :_TOKENS]
    mask = torch.ones_like(ids)
    mask[:2, _TOKENS:] = 0  # rows 0 and 1 differ in their padding on the right
    mask[2, :_PADDING] = 0
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    runs = [
        ("without padding", {"input_ids": whole, "position_ids": positions[:1, :_TOKENS]}),
        ("with padding", {"input_ids": ids, "position_ids": positions, "attention_mask": mask}),
    ]
    found = []
    for how, inputs in runs:
        calls: list[_Call] = []
        inputs["position_ids"] = inputs["position_ids"] + family.first_position(config)
        with _recording(model, family, calls):
            found.append(model(**inputs, **({"use_cache": False} if family.kind == "decoder" else {})))
        _check_layers(model, calls, name, how)
    alone, padded = (output.last_hidden_state for output in found)
    if _difference(padded[0, :_TOKENS], padded[1, :_TOKENS]) > _UNSEEN:
        raise InvalidArgumentError(f"{name}: what stands in the padding leaks into the text", "model")
    for side, states in (("right", padded[0, :_TOKENS]), ("left", padded[2, _PADDING:])):
        if _difference(states, alone[0]) > _SAME[model.dtype]:
            raise InvalidArgumentError(f"{name}: padding on the {side} gives a text other states than none", "model")
    if not bool(alone.isfinite().all()):
        raise InvalidArgumentError(f"{name}: its states are not finite", "model")
    states_alone: Tensor = alone[0]
    return states_alone


def stock_attention(config: Any) -> str:
    """The attention of transformers that a model allows: SDPA, or the plain formula where scores are capped."""
    return "eager" if getattr(config, "attn_logit_softcapping", None) else "sdpa"


def _random_ids(model: Any) -> Tensor:
    """Three rows: a text and something, the same text and something else, something and the same text."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (3, _TOKENS + _PADDING), generator=generator)
    ids[1, :_TOKENS] = ids[2, _PADDING:] = ids[0, :_TOKENS]
    return ids.to(model.device)


def _check_layers(model: Any, calls: list[_Call], name: str, how: str) -> None:
    """In each recorded call the text stands first, and its first token must see its last one or not."""
    expected = not is_causal(model.config) or FAMILIES[model.config.model_type].kind == "encoder"
    assert calls, "no layer attended; this is a bug"
    for layer, (attention, arguments, named) in enumerate(calls):
        if _sees_last(attention, arguments, named) is not expected:
            raise InvalidArgumentError(
                f"{name} should be {'bidirectional' if expected else 'causal'}: in layer {layer} the first token "
                f"{'misses' if expected else 'sees'} the last one ({how})",
                "model",
            )


def _sees_last(attention: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
    states = named.get("hidden_states", arguments[0] if arguments else None)
    assert states is not None, "attention without hidden states; this is a bug"
    other = states.clone()
    other[:, _TOKENS - 1] = -states[:, _TOKENS - 1] + states.abs().mean()
    named = {key: value for key, value in named.items() if key != "hidden_states"}
    before, after = (attention(x, *arguments[1:], **named)[0][:1, 0] for x in (states, other))
    return _difference(before, after) > _UNSEEN


@contextmanager
def _recording(model: Any, family: Family, calls: list[_Call]) -> Iterator[None]:
    """What each layer's attention is called with."""
    layers = model.layers if family.kind == "decoder" else model.encoder.layer
    handles = [
        layer.get_submodule(family.attention).register_forward_pre_hook(
            lambda module, arguments, named: calls.append((module, arguments, named)), with_kwargs=True
        )
        for layer in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((a - b).float().abs().max() / a.float().abs().max().clamp_min(torch.finfo(torch.float32).tiny))
