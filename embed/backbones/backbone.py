"""A transformer that turns ragged batches of tokens into states."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AutoModel, PretrainedConfig

from lodex.embed.backbones.attention_check import check_backbone
from lodex.embed.backbones.bidirectional import has_window, is_causal, make_causal, see_all
from lodex.embed.backbones.families import FAMILIES, Family
from lodex.embed.backbones.lm_head import LmHead, load_lm_head
from lodex.embed.backbones.meta import build_empty
from lodex.embed.backbones.ragged_attention import IMPLEMENTATION, Runs
from lodex.embed.backbones.rotary import Rotary, unturned
from lodex.embed.backbones.weights import TensorFiles, find_prefix, load_module, refuse_left_over
from lodex.embed.conventions.convention import Attention
from lodex.embed.long_context.learned_positions import LearnedPositions
from lodex.embed.long_context.rope_scaling import RopeScaling
from lodex.embed.long_context.self_extend import ExtendedAttention, SelfExtend
from lodex.embed.ragged import Ragged
from lodex.embed.runtime.device import open_device
from lodex.embed.runtime.packed_linear import pack_linear_layers
from lodex.errors import InvalidArgumentError

Precision = Literal["float32", "bfloat16"]
LongContext = RopeScaling | SelfExtend | LearnedPositions
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

    def __init__(
        self,
        model: Any,
        family: Family,
        lm_head: LmHead | None = None,
        extension: SelfExtend | LearnedPositions | None = None,
    ) -> None:
        config = model.config
        self.config: Any = config
        self.family = family
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.hidden_size: int = config.hidden_size
        self.vocab_size: int = config.vocab_size
        self.num_layers: int = config.num_hidden_layers
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
        self._trained = family.max_tokens(config)
        self._positions: LearnedPositions | None = None
        self._extended: dict[int, ExtendedAttention] = {}  # by layer
        self.max_tokens = self._trained
        if isinstance(extension, SelfExtend):
            self._extended = self._extend(extension)
            self.max_tokens = extension.max_tokens
        elif extension is not None:
            self._learn(extension)
            self.max_tokens = self._trained * extension.factor

    @classmethod
    def open(
        cls,
        source: BackboneSource,
        *,
        attention: Attention = "native",
        precision: Precision = "float32",
        device: str = "cpu",
        with_head: bool = False,
        long_context: LongContext | None = None,
        name: str = "",
    ) -> Backbone:
        """Load a backbone, tensor by tensor in the precision it shall have, and check how it attends.

        "bidirectional" attention takes windows off; "native" is what the configuration says, and a decoder that it
        calls not causal has no windows either. `long_context` reads longer texts than the model was trained on, by the
        positions they are given; `max_tokens` says how long. InvalidArgumentError for a tensor that is missing, left
        over or misshapen, for a model that does not attend as it should (`check_backbone`), for attention or positions
        that the family does not have, and for a device that is not there; DataLossError for a damaged file.
        """
        place = open_device(device)
        family = FAMILIES[source.config.model_type]
        config: Any = copy.deepcopy(source.config)  # the caller's is not changed, nor later ours with it
        _set_attention(config, family, attention)
        if isinstance(long_context, RopeScaling):
            long_context.apply(config)
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
        check_backbone(cls(model, family), model, name or source.folder.name)
        return cls(model, family, head, None if isinstance(long_context, RopeScaling) else long_context)

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
        hidden = self._embed(ids, positions, batch.lengths)  # (1, N + more, H)
        rotations: dict[str, Any] = self._rotary(positions, batch.lengths) if self._rotary else {"": None}
        is_long = self._is_long(positions, batch.lengths) if self._extended else None
        told = {"attention_mask": None, "runs": Runs.of(batch.lengths), **self._told}
        for index, (layer, layer_type) in enumerate(zip(self._layers, self._layer_types, strict=True)):
            yield hidden[0, :tokens]
            rotation = rotations[layer_type]
            if is_long is not None and index in self._extended:
                told["long_attention"] = self._extended[index]
                rotation = unturned(rotation, is_long)
            hidden = layer(hidden, position_embeddings=rotation, **told)
            told.pop("long_attention", None)
        yield self._norm(hidden)[0, :tokens]

    def _embed(self, ids: Tensor, positions: Tensor, lengths: Sequence[int]) -> Tensor:
        if self._rotary is not None:
            embedded = self._model.embed_tokens(ids[None])
        else:
            if self._positions is not None:
                positions = self._positions.rows(positions, lengths, self._trained)
            positions = positions[None] + self._first_position
            types = torch.zeros_like(positions)  # stated, for the model's own table is as short as its positions
            embedded = self._model.embeddings(input_ids=ids[None], position_ids=positions, token_type_ids=types)
        assert isinstance(embedded, Tensor)
        return embedded

    def _is_long(self, positions: Tensor, lengths: Sequence[int]) -> Tensor | None:
        """Which tokens (N + more,) are of texts that SelfExtend reads; None where no text is."""
        extends = next(iter(self._extended.values())).extends
        if not any(map(extends, lengths)):
            return None
        counts = torch.tensor([*lengths, len(positions) - sum(lengths)], device=self.device)
        return torch.tensor([*map(extends, lengths), False], device=self.device).repeat_interleave(counts)

    def _extend(self, extension: SelfExtend) -> dict[int, ExtendedAttention]:
        """SelfExtend in the layers without window; in the others no distance is longer than it."""
        if self._rotary is None:
            raise InvalidArgumentError(f"{self.family.model_type} has no rotary positions to extend", "long_context")
        if extension.trained > self._trained:
            raise InvalidArgumentError(
                f"trained on {extension.trained} tokens, where the model has {self._trained} positions", "long_context"
            )
        extended = {
            index: ExtendedAttention(extension, self._rotary, layer_type)
            for index, layer_type in enumerate(self._layer_types)
            if not has_window(self.config, index)
        }
        if not extended:
            raise InvalidArgumentError(f"{self.family.model_type} has a window in every layer", "long_context")
        return extended

    def _learn(self, extension: LearnedPositions) -> None:
        """A table of positions with the rows that the method needs."""
        if self._rotary is not None:
            raise InvalidArgumentError(f"{self.family.model_type} has no table of positions", "long_context")
        table = self._model.embeddings.position_embeddings
        before = table.weight[: self._first_position]
        rows = torch.cat([before, extension.extend(table.weight[self._first_position :])])
        table.register_parameter("weight", nn.Parameter(rows, requires_grad=False))
        self._positions = extension


def _set_attention(config: Any, family: Family, attention: Attention) -> None:
    if attention == "causal":
        make_causal(config, family)
    elif family.kind == "decoder" and (attention == "bidirectional" or not is_causal(config)):
        see_all(config)
