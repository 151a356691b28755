"""Decoders that see the whole text, by the configuration."""

from __future__ import annotations

from typing import Any

from lodex.embed.backbones.families import Family
from lodex.errors import InvalidArgumentError

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


def has_window(config: Any, layer: int) -> bool:
    """Whether tokens of a layer see no farther than a window."""
    window = getattr(config, "sliding_window", None)
    if window is None or window == UNLIMITED or not getattr(config, "use_sliding_window", True):
        return False
    kinds = getattr(config, "layer_types", None)
    return kinds is None or kinds[layer] == "sliding_attention"


def make_causal(config: Any, family: Family) -> None:
    """Make the models of a configuration causal; InvalidArgumentError for those that were trained otherwise."""
    if family.kind == "encoder" or getattr(config, "use_bidirectional_attention", False):
        raise InvalidArgumentError(f"{config.model_type} was trained to see the whole text, not as causal", "attention")
    config.is_causal = True
