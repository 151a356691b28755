"""The weights of a decoder's folder, one safetensors file or several, put into a model strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lodex.errors import DataLossError, InvalidArgumentError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
_HEAD = "lm_head.weight"
_BODY = "model."
_EMBEDDING = "model.embed_tokens.weight"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, by name; InvalidArgumentError where there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / SHARDS).is_file():
        try:
            names = sorted(set(json.loads((folder / SHARDS).read_bytes())["weight_map"].values()))
            foreign = next((name for name in names if Path(name).name != name), None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidArgumentError(f"{folder / SHARDS} cannot be read: {error!r}", "model") from error
        if foreign is not None:
            raise InvalidArgumentError(f"{folder / SHARDS} names {foreign!r}, which is not in the folder", "model")
        return [folder / name for name in names]
    raise InvalidArgumentError(f"{folder} is not a decoder's folder: no {WEIGHTS} and no {SHARDS}", "model")


def load_decoder_weights(model: nn.Module, folder: Path) -> None:
    """Put every weight of the files into the model, in its dtype; a missing, further or misshapen one is refused.

    A head that is tied to the embedding may be absent; one that is there must equal it.
    """
    weights = read_weights(folder)
    config: Any = model.config
    if config.tie_word_embeddings and _EMBEDDING in weights:
        head = weights.setdefault(_HEAD, weights[_EMBEDDING])
        if not torch.equal(head, weights[_EMBEDDING]):
            raise InvalidArgumentError(f"{folder}: {_HEAD} is tied to {_EMBEDDING} by {CONFIG} and differs", "model")
    load_strictly(model, weights, folder)


def load_backbone_weights(model: nn.Module, folder: Path) -> None:
    """`load_decoder_weights` for a model without LM head: a head in the files, which embeds nothing, is left out.

    The names are those of the model, all with the prefix `model.` or all without.
    """
    weights = read_weights(folder)
    weights.pop(_HEAD, None)
    if all(name.startswith(_BODY) for name in weights):
        weights = {name.removeprefix(_BODY): weight for name, weight in weights.items()}
    load_strictly(model, weights, folder)


def load_strictly(model: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Put weights into a model in its dtype; InvalidArgumentError names those missing, left over or misshapen."""
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise InvalidArgumentError(f"{folder} holds weights that are not of its {CONFIG}: {error}", "model") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the folder's files by name, but for rotary frequencies, which old files keep as if weights.

    DataLossError for a file that is damaged, InvalidArgumentError for one that is missing.
    """
    weights: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            weights |= load_file(path)
        except FileNotFoundError as error:
            raise InvalidArgumentError(f"{path} is named by {SHARDS} and missing", "model") from error
        except SafetensorError as error:
            raise DataLossError(f"{path} cannot be read: {error}") from error
    return {name: weight for name, weight in weights.items() if not name.endswith("rotary_emb.inv_freq")}
