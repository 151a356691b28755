"""A transformer that turns ragged batches of tokens into states."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AutoModel, PretrainedConfig

from lodex.embed.backbones.attention_check import check_backbone
from lodex.embed.backbones.bidirectional import is_causal, make_causal, see_all
from lodex.embed.backbones.families import FAMILIES, Family
from lodex.embed.backbones.lm_head import LmHead, load_lm_head
from lodex.embed.backbones.meta import build_empty
from lodex.embed.backbones.ragged_attention import IMPLEMENTATION, Runs
from lodex.embed.backbones.rotary import Rotary
from lodex.embed.backbones.weights import TensorFiles, find_prefix, load_module, refuse_left_over
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

    `prefix` None is found: that of the family where a tensor has it, else none. Names that begin with one of `others`
    are of another part of the model, which loads them itself; any further tensor is refused.
    """

    config: PretrainedConfig
    folder: Path
    prefix: str | None = None
    others: tuple[str, ...] = ()


class Backbone:
    """A model of one of `FAMILIES` for inference, in one precision, on one device; threads may share it.

    `max_tokens` is the number of positions. `lm_head` is None unless asked for. On a CPU the linear layers are laid
    out for oneDNN, and the states of a text are the same, bit for bit, whatever stands beside it.
    """

    def __init__(self, model: Any, family: Family, lm_head: LmHead | None = None) -> None:
        config = model.config
        self.config: Any = config
        self.family = family
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.hidden_size: int = config.hidden_size
        self.vocab_size: int = config.vocab_size
        self.num_layers: int = config.num_hidden_layers
        self.max_tokens = family.max_tokens(config)
        self.lm_head = lm_head
        self._model: Any = model
        is_decoder = family.kind == "decoder"
        self._layers: list[Any] = list(model.layers if is_decoder else model.encoder.layer)
        self._norm: nn.Module = model.norm if is_decoder else nn.Identity()
        self._rotary = Rotary(model.rotary_emb, self.device, self.dtype) if is_decoder else None
        # Gemma 3 alone turns tokens by other angles in some layers.
        types = self._rotary.layer_types if self._rotary else [""]
        self._layer_types: list[str] = [""] * self.num_layers if types == [""] else config.layer_types
        self._first_position = family.first_position(config)
        self._rows = _CPU_ROWS if self.device.type == "cpu" else 1
        # What transformers' own forward tells the layers where the configuration states it.
        self._told: dict[str, Any] = {"is_causal": False} if getattr(config, "is_causal", True) is False else {}

    @classmethod
    def open(
        cls,
        source: BackboneSource,
        *,
        attention: Attention = "native",
        precision: Precision = "float32",
        device: str = "cpu",
        with_head: bool = False,
        name: str = "",
    ) -> Backbone:
        """Load a backbone, tensor by tensor in the precision it shall have, and check how it attends.

        "bidirectional" attention takes windows off; "native" is what the configuration says, and a decoder that it
        calls not causal has no windows either. InvalidArgumentError for a tensor that is missing, left over or
        misshapen, for a model that does not attend as it should (`check_backbone`), for attention that the family does
        not have, and for a device that is not there; DataLossError for a damaged file.
        """
        place = open_device(device)
        family = FAMILIES[source.config.model_type]
        config: Any = copy.deepcopy(source.config)  # the caller's is not changed, nor later ours with it
        _set_attention(config, family, attention)
        files = TensorFiles(source.folder)
        prefix = find_prefix(files, family.body) if source.prefix is None else source.prefix
        options = {} if family.kind == "decoder" else {"add_pooling_layer": False}
        model = build_empty(AutoModel, config, _DTYPES[precision], attn_implementation=IMPLEMENTATION, **options)
        apart = (*family.heads, *source.others)
        load_module(model, files, prefix, _DTYPES[precision], place, excused=apart)
        refuse_left_over(files, (prefix, *apart))
        head = load_lm_head(config, family, files, model.get_input_embeddings().weight) if with_head else None
        model.eval().to(place)
        if place.type == "cpu":
            pack_linear_layers(model)
            if head is not None and head.transform is not None:
                pack_linear_layers(head.transform)
        backbone = cls(model, family, head)
        check_backbone(backbone, model, name or source.folder.name)
        return backbone

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
        more = -tokens % self._rows  # tokens that are of no text
        ids, positions = pad(batch.ids, (0, more)), pad(batch.positions, (0, more))
        hidden = self._embed(ids, positions)  # (1, N + more, H)
        rotations = self._rotary(positions, batch.lengths) if self._rotary else {"": None}
        told = {"attention_mask": None, "runs": Runs.of(batch.lengths), **self._told}
        for layer, layer_type in zip(self._layers, self._layer_types, strict=True):
            yield hidden[0, :tokens]
            hidden = layer(hidden, position_embeddings=rotations[layer_type], **told)
        yield self._norm(hidden)[0, :tokens]

    def _embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        if self._rotary is not None:
            embedded = self._model.embed_tokens(ids[None])
        else:
            positions = positions[None] + self._first_position
            types = torch.zeros_like(positions)  # stated, for the model's own table is as short as its positions
            embedded = self._model.embeddings(input_ids=ids[None], position_ids=positions, token_type_ids=types)
        assert isinstance(embedded, Tensor)
        return embedded


def _set_attention(config: Any, family: Family, attention: Attention) -> None:
    if attention == "causal":
        make_causal(config, family)
    elif family.kind == "decoder" and (attention == "bidirectional" or not is_causal(config)):
        see_all(config)
