"""Layers of BERT as four products each, with what stands between them drawn in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from transformers.activations import GELUActivation
from transformers.models.bert.modeling_bert import BertLayer, BertSelfAttention

from lodex.embed.backbones.ragged_attention import Runs, ragged_attention

_multiply = torch.ops.mkldnn._linear_pointwise


class PackedBertLayer(nn.Module):
    """What a `BertLayer` computes on a CPU, in fewer passes over the states.

    Queries, keys and values are one product; a residual is added where its product is written, and so is the exact
    GELU. Weights are laid out for oneDNN. Layers of RoBERTa, which are the same, have classes of their own and stay.
    """

    def __init__(self, layer: BertLayer) -> None:
        super().__init__()
        attention, attended = layer.attention.self, layer.attention.output
        parts = (attention.query, attention.key, attention.value)
        self._heads = attention.num_attention_heads
        self._scale = attention.scaling
        self._qkv = _Packed(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))
        self._attended = _Packed(attended.dense.weight, attended.dense.bias)
        self._attended_norm = attended.LayerNorm
        self._inner = _Packed(layer.intermediate.dense.weight, layer.intermediate.dense.bias)
        self._outer = _Packed(layer.output.dense.weight, layer.output.dense.bias)
        self._outer_norm = layer.output.LayerNorm

    def forward(self, hidden: Tensor, *, runs: Runs, **_: Any) -> Tensor:
        """(1, N, H) -> (1, N, H); rows of no run become something finite."""
        x = hidden[0]
        tokens, width = x.shape
        qkv = self._qkv(x).view(1, tokens, 3, self._heads, width // self._heads)
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))  # (1, h, N, d)
        attended, _none = ragged_attention(
            self, query, key, value, None, runs=runs, scaling=self._scale, is_causal=False
        )
        x = _norm(self._attended.plus(attended.view(tokens, width), x), self._attended_norm)
        return _norm(self._outer.plus(self._inner.gelu(x), x), self._outer_norm)[None]


class _Packed:
    """A weight (O, I) laid out for oneDNN, and its bias (O,)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        self._bias = bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        product: Tensor = _multiply(x, self._weight, self._bias, "none", [], "")
        return product

    def gelu(self, x: Tensor) -> Tensor:
        product: Tensor = _multiply(x, self._weight, self._bias, "gelu", [], "none")
        return product

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        product: Tensor = _multiply.binary(x, residual, self._weight, self._bias, "add")
        return product


def _norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    return layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def pack_bert_layers(model: nn.Module) -> None:
    """Replace every layer of a BERT on a CPU; where torch was built without oneDNN nothing is changed.

    Only encoder layers with the exact GELU, whose linear layers are still plain.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, BertLayer) and _is_plain(child):
                module.register_module(name, PackedBertLayer(child))


def _is_plain(layer: BertLayer) -> bool:
    return (
        isinstance(layer.attention.self, BertSelfAttention)
        and isinstance(layer.intermediate.intermediate_act_fn, GELUActivation)
        and not layer.is_decoder
    )
