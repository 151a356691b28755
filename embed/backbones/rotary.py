"""The angles by which a rotary model turns queries and keys, chosen for each text alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

# Kinds of scaling by which a text has other frequencies once it is longer than the model was trained for.
_BY_LENGTH = ("dynamic", "longrope")

Rotation = tuple[Tensor, Tensor]


class Rotary:
    """Cosines and sines of positions, by the `rope_parameters` of a configuration (Su et al. 2021, RoFormer).

    Gemma 3 has other frequencies in layers with a window, so there is one set for each type of layer; the type of all
    layers of the other families is "". Where frequencies follow a text's length ("dynamic", "longrope"), transformers
    chooses by the longest text of a batch; here each text has the frequencies it would have alone.
    """

    def __init__(self, rotary_embedding: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._config: Any = rotary_embedding.config
        self._default = rotary_embedding.compute_default_rope_parameters
        self._device = device
        self._dtype = dtype
        kinds = rotary_embedding.rope_type
        self._kinds: Mapping[str, str] = kinds if isinstance(kinds, dict) else {"": kinds}
        self._short = {layer_type: self._compute(layer_type, None) for layer_type in self._kinds}
        self._lengths: dict[tuple[str, int], tuple[Tensor, float]] = {}

    @property
    def layer_types(self) -> Sequence[str]:
        """The types of layers that differ."""
        return list(self._kinds)

    def frequencies(self, layer_type: str, length: int) -> tuple[Tensor, float]:
        """For a text of this length: radians per position (d / 2,) float32, and the factor of cosines and sines."""
        if self._kinds[layer_type] not in _BY_LENGTH or length <= self._trained(layer_type):
            return self._short[layer_type]
        # Threads may compute the same one twice, which harms nothing. LongRoPE has one set for all long texts.
        key = (layer_type, 0 if self._kinds[layer_type] == "longrope" else length)
        if key not in self._lengths:
            self._lengths[key] = self._compute(layer_type, length)
        return self._lengths[key]

    def __call__(self, positions: Tensor, lengths: Sequence[int]) -> dict[str, Rotation]:
        """Of positions (N,), for each type of layer, cosines and sines (1, N, d); N may exceed the sum of lengths."""
        return {layer_type: self._rotate(layer_type, positions, lengths) for layer_type in self._kinds}

    def _rotate(self, layer_type: str, positions: Tensor, lengths: Sequence[int]) -> Rotation:
        frequencies, factor = self._short[layer_type]
        if self._kinds[layer_type] in _BY_LENGTH and max(lengths) > self._trained(layer_type):
            counts = torch.tensor([*lengths, len(positions) - sum(lengths)], device=self._device)
            rows = torch.stack([*(self.frequencies(layer_type, length)[0] for length in lengths), frequencies])
            frequencies = rows.repeat_interleave(counts, 0)
        angles = positions[:, None].float() * frequencies
        cosines, sines = turn(angles, factor, self._dtype)
        return cosines[None], sines[None]

    def _trained(self, layer_type: str) -> int:
        """The longest text with the frequencies of short ones."""
        if self._kinds[layer_type] == "longrope":
            return int(self._parameters(layer_type)["original_max_position_embeddings"])
        return int(self._config.max_position_embeddings)

    def _parameters(self, layer_type: str) -> Any:
        return self._config.rope_parameters[layer_type] if layer_type else self._config.rope_parameters

    def _compute(self, layer_type: str, length: int | None) -> tuple[Tensor, float]:
        kind = self._kinds[layer_type]
        compute = self._default if kind == "default" else ROPE_INIT_FUNCTIONS[kind]
        named = {"layer_type": layer_type} if layer_type else {}
        if kind in _BY_LENGTH:
            named["seq_len"] = length  # type: ignore[assignment]
        frequencies, factor = compute(self._config, **named)
        return frequencies.to(self._device, torch.float32), float(factor)


def turn(angles: Tensor, factor: float, dtype: torch.dtype) -> Rotation:
    """Cosines and sines (..., d) of angles (..., d / 2), each for an element of the first half and of the second."""
    both = torch.cat([angles, angles], dim=-1)
    return (both.cos() * factor).to(dtype), (both.sin() * factor).to(dtype)


def unturned(rotation: Rotation, rows: Tensor) -> Rotation:
    """A rotation that leaves the tokens of some rows (N,) bool as they are."""
    cosines, sines = rotation
    return cosines.masked_fill(rows[:, None], 1), sines.masked_fill(rows[:, None], 0)
