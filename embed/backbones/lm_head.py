"""The head of a language model: states to logits of the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from lodex.embed.backbones.families import Family
from lodex.embed.backbones.weights import CONFIG, TensorFiles, load_module
from lodex.errors import InvalidArgumentError

_HEAD = "lm_head.weight"
_BERT_HEAD = "cls.predictions."


@dataclass(frozen=True, slots=True)
class LmHead:
    """logits = transform(states) W^T + b, in the precision of the backbone.

    `weight` (V, H), often the embedding itself; `bias` (V,) or None; `transform` of states (N, H) to the like, which
    BERT has and decoders have not. Gemma 2 bounds logits by c tanh(logits / c): `softcap` c.
    """

    weight: Tensor
    bias: Tensor | None = None
    softcap: float | None = None
    transform: nn.Module | None = None

    def read(self, states: Tensor) -> Tensor:
        """What the weight is multiplied with: (N, H) to (N, H)."""
        return states if self.transform is None else self.transform(states)


def load_lm_head(config: Any, family: Family, files: TensorFiles, embedding: Tensor) -> LmHead:
    """The head that stands in a model's files, or its embedding (V, H) where config.json ties them.

    It has the precision and the place of the embedding. InvalidArgumentError where there is none, where it is tied and
    differs, and for families whose head is not read.
    """
    if family.kind == "decoder":
        weight = _read_weight(config, files, _HEAD, embedding)
        return LmHead(weight, softcap=getattr(config, "final_logit_softcapping", None))
    if family.model_type != "bert":
        raise InvalidArgumentError(f"{files.folder}: the head of {family.model_type} is not read", "model")
    transform: nn.Module = BertPredictionHeadTransform(config).eval()  # type: ignore[no-untyped-call]
    load_module(transform, files, _BERT_HEAD + "transform.", embedding.dtype, embedding.device)
    return LmHead(
        _read_weight(config, files, _BERT_HEAD + "decoder.weight", embedding),
        bias=_read(files, _BERT_HEAD + "bias", embedding[:, 0]),
        transform=transform,
    )


def _read_weight(config: Any, files: TensorFiles, name: str, embedding: Tensor) -> Tensor:
    if not config.tie_word_embeddings:
        return _read(files, name, embedding)
    if name in files.names and not torch.equal(_read(files, name, embedding), embedding):
        raise InvalidArgumentError(f"{files.folder}: {name} is tied to the embedding by {CONFIG} and differs", "model")
    return embedding.detach()


def _read(files: TensorFiles, name: str, like: Tensor) -> Tensor:
    """A tensor in the shape, precision and place of another."""
    if name not in files.names:
        raise InvalidArgumentError(f"{files.folder} has no LM head: Missing key {name}", "model")
    _name, tensor = next(iter(files.read([name])))
    if tensor.shape != like.shape:
        raise InvalidArgumentError(
            f"{files.folder}: size mismatch for {name}: {tuple(tensor.shape)}, expected {tuple(like.shape)}", "model"
        )
    return tensor.to(like.device, like.dtype, copy=True)
