"""A transformer that turns ragged batches of tokens into states."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PretrainedConfig

from lodex.embed.backbones.bidirectional import is_causal, see_all
from lodex.embed.backbones.families import FAMILIES, Family
from lodex.embed.backbones.meta import build_empty
from lodex.embed.backbones.ragged_attention import IMPLEMENTATION, Runs
from lodex.embed.backbones.weights import HEADS, TensorFiles, find_prefix, load_module, refuse_left_over
from lodex.embed.conventions.convention import Attention
from lodex.embed.ragged import Ragged
from lodex.embed.runtime.device import open_device
from lodex.embed.runtime.packed_linear import pack_linear_layers

Precision = Literal["float32", "bfloat16"]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Products on a CPU round rows up to this number anyhow; done once for a batch it costs no copy in any layer.
_CPU_ROWS = 32


@dataclass(frozen=True, slots=True)
class BackboneSource:
    """Where a backbone comes from: its configuration, and the tensors of a folder's files under `prefix`.

    `prefix` None is found: that of the family where every tensor has it, else none. Tensors under one of `others`
    belong to another part of the model, which loads them itself; any further tensor is refused.
    """

    config: PretrainedConfig
    folder: Path
    prefix: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LmHead:
    """Logits of the vocabulary: `weight` (V, H) and `bias` (V,) or None; `softcap` c bounds them by c tanh(x / c)."""

    weight: Tensor
    bias: Tensor | None = None
    softcap: float | None = None


class Backbone:
    """A model of one of `FAMILIES` for inference, in one precision, on one device; its threads may share it.

    `max_tokens` is the number of positions. On a CPU the linear layers are laid out for oneDNN.
    """

    def __init__(self, model: Any, family: Family, device: torch.device, lm_head: LmHead | None = None) -> None:
        config = model.config
        self.config: Any = config
        self.family = family
        self.device = device
        self.dtype: torch.dtype = model.dtype
        self.hidden_size: int = config.hidden_size
        self.vocab_size: int = config.vocab_size
        self.num_layers: int = config.num_hidden_layers
        self.max_tokens = family.max_tokens(config)
        self.lm_head = lm_head
        self._model: Any = model
        self._layers: list[nn.Module] = list(model.layers if family.kind == "decoder" else model.encoder.layer)
        self._norm: nn.Module = model.norm if family.kind == "decoder" else nn.Identity()
        self._first_position = family.first_position(config)
        self._rows = _CPU_ROWS if device.type == "cpu" else 1
        # Gemma3 turns tokens by other angles in layers with a window than in the others.
        per_type = hasattr(model, "rotary_emb") and isinstance(getattr(model.rotary_emb, "rope_type", None), dict)
        self._layer_types: list[str | None] = config.layer_types if per_type else [None] * self.num_layers
        # What transformers' own forward would tell the layers of a configuration that states it.
        self._told: dict[str, Any] = {"is_causal": False} if getattr(config, "is_causal", True) is False else {}

    @classmethod
    def open(
        cls,
        source: BackboneSource,
        *,
        attention: Attention = "native",
        precision: Precision = "float32",
        device: str = "cpu",
    ) -> Backbone:
        """Load a backbone, tensor by tensor in the precision it shall have; see `load_module` for what is refused."""
        place = open_device(device)
        family = FAMILIES[source.config.model_type]
        config: Any = type(source.config).from_dict(source.config.to_dict())
        _set_attention(config, family, attention)
        files = TensorFiles(source.folder)
        prefix = find_prefix(files, family.body) if source.prefix is None else source.prefix
        dtype = _DTYPES[precision]
        options = {} if family.kind == "decoder" else {"add_pooling_layer": False}
        model = build_empty(config, IMPLEMENTATION, dtype, **options)
        load_module(model, files, prefix, dtype, place, excused=HEADS)
        if prefix:
            refuse_left_over(files, (prefix, *source.others, *HEADS))
        model.eval().to(place)
        if place.type == "cpu":
            pack_linear_layers(model)
        return cls(model, family, place)

    def states(self, batch: Ragged) -> Tensor:
        """The states of all tokens after the last norm, (N, H)."""
        (last,) = deque(self.layer_states(batch), maxlen=1)
        return last

    @torch.inference_mode()
    def layer_states(self, batch: Ragged) -> Iterator[Tensor]:
        """The embeddings, then what each layer makes of them, the last after the norm: L + 1 times (N, H).

        One at a time: who wants to keep one keeps it.
        """
        tokens = len(batch.ids)
        hidden, positions = self._embed(batch)
        told: dict[str, Any] = {"attention_mask": None, "runs": Runs.of(batch.lengths), **self._told}
        rotations = self._rotations(hidden, positions)
        for layer, layer_type in zip(self._layers, self._layer_types, strict=True):
            yield hidden[0, :tokens]
            hidden = layer(hidden, position_embeddings=rotations[layer_type], **told)
        yield self._norm(hidden)[0, :tokens]

    def _embed(self, batch: Ragged) -> tuple[Tensor, Tensor]:
        """The embeddings (1, N', H) and positions (1, N'), rounded up by tokens that are of no text."""
        more = -len(batch.ids) % self._rows
        ids = pad(batch.ids, (0, more))[None]
        positions = pad(batch.positions, (0, more))[None] + self._first_position
        if self.family.kind == "encoder":
            types = torch.zeros_like(ids)
            return self._model.embeddings(input_ids=ids, position_ids=positions, token_type_ids=types), positions
        return self._model.embed_tokens(ids), positions

    def _rotations(self, hidden: Tensor, positions: Tensor) -> dict[str | None, Any]:
        """Cosines and sines for each type of layer; None where positions are embedded."""
        rotary = getattr(self._model, "rotary_emb", None)
        types = set(self._layer_types)
        if rotary is None:
            return dict.fromkeys(types)
        if types == {None}:
            return {None: rotary(hidden, positions)}
        return {layer_type: rotary(hidden, positions, layer_type) for layer_type in types}


def _set_attention(config: Any, family: Family, attention: Attention) -> None:
    if attention == "bidirectional" or (attention == "native" and not is_causal(config)):
        if family.kind == "decoder":
            see_all(config)
    elif attention == "causal":
        config.is_causal = True
