"""The folder of a multi-layer trainable pooling: config.json and model.safetensors, as `MultiLayerHead` names them.

config.json holds the fields of `MultiLayerSizes`.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import torch

from lodex.embed.backbones.weights import CONFIG, TensorFiles, load_module
from lodex.embed.formats.sentence_transformers import read_json
from lodex.embed.pooling.multi_layer import FoldedMultiLayerHead, MultiLayerHead, MultiLayerSizes
from lodex.errors import InvalidArgumentError


def read_multi_layer_sizes(folder: Path) -> MultiLayerSizes:
    """The sizes of the head; InvalidArgumentError names a field that is missing, unknown or no size."""
    path = folder / CONFIG
    stated = read_json(path)
    names = [field.name for field in fields(MultiLayerSizes)]
    if not isinstance(stated, dict) or set(stated) != set(names):
        raise InvalidArgumentError(f"{path}: expected the fields {', '.join(names)}", "model")
    for name in names[:-1]:
        if not isinstance(stated[name], int) or stated[name] < 1:
            raise InvalidArgumentError(f"{path}: {name} is {stated[name]!r}, expected a positive integer", "model")
    if stated["tokens"] not in ("mean", "last"):
        raise InvalidArgumentError(f"{path}: tokens is {stated['tokens']!r}, expected 'mean' or 'last'", "model")
    return MultiLayerSizes(**stated)


def load_multi_layer_head(folder: Path) -> FoldedMultiLayerHead:
    """The head, folded; InvalidArgumentError names tensors that are missing, left over or misshapen."""
    with torch.device("meta"):
        head = MultiLayerHead(read_multi_layer_sizes(folder))
    load_module(head, TensorFiles(folder))
    return head.folded()
