"""The config.json of a model's folder, read as data and checked before any weight is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from lodex.embed.backbones.families import find_family
from lodex.embed.backbones.weights import CONFIG
from lodex.errors import InvalidArgumentError

# Those that `Decoder` runs as language models; embedders may be of any of `FAMILIES`.
MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")


def read_backbone_config(folder: Path) -> PretrainedConfig:
    """The configuration of a model of one of `FAMILIES`.

    InvalidArgumentError for a folder without one, one that is no JSON object or that transformers refuses, and a model
    of another family, which says why. Code that the file names is not run.
    """
    stated = read_config_json(folder)
    family = find_family(stated, folder / CONFIG)
    config: Any = make_decoder_config(family.model_type, stated, folder)
    if family.kind == "encoder":
        if stated.get("position_embedding_type", "absolute") != "absolute" or config.is_decoder:
            raise InvalidArgumentError(
                f"{folder / CONFIG}: expected position_embedding_type 'absolute' and is_decoder false", "model"
            )
        if family.counts_from_padding and not isinstance(config.pad_token_id, int):
            raise InvalidArgumentError(f"{folder / CONFIG}: positions count from pad_token_id, which is none", "model")
    assert isinstance(config, PretrainedConfig)
    return config


def read_decoder_config(folder: Path) -> PretrainedConfig:
    """The configuration of a decoder of the Llama family.

    InvalidArgumentError for a folder without one, one that is no JSON object or that transformers refuses, and a model
    of another sort. Code that the file names is not run.
    """
    stated = read_config_json(folder)
    if stated.get("model_type") not in MODEL_TYPES:
        raise InvalidArgumentError(
            f"{folder / CONFIG}: model_type is {stated.get('model_type')!r}, expected one of {', '.join(MODEL_TYPES)}",
            "model",
        )
    return make_decoder_config(str(stated["model_type"]), stated, folder)


def make_decoder_config(model_type: str, stated: dict[str, Any], folder: Path) -> PretrainedConfig:
    """The configuration of a model type from the values of its file; what transformers refuses is told by the file."""
    values = {key: value for key, value in stated.items() if key not in ("model_type", "auto_map")}
    try:
        config = AutoConfig.for_model(model_type, **values)
    except Exception as error:  # each release checks in its own way
        raise InvalidArgumentError(f"{folder / CONFIG} is refused: {error}", "model") from error
    for name in ("hidden_size", "num_hidden_layers", "vocab_size", "max_position_embeddings"):
        value = getattr(config, name)
        if not isinstance(value, int) or value < 1:
            raise InvalidArgumentError(f"{folder / CONFIG}: {name} is {value!r}, expected a positive integer", "model")
    return config


def read_config_json(folder: Path) -> dict[str, Any]:
    """The values of config.json; InvalidArgumentError where there is none or it is no JSON object."""
    path = folder / CONFIG
    if not path.is_file():
        raise InvalidArgumentError(f"{folder} is not a model's folder: no {CONFIG}", "model")
    try:
        stated = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidArgumentError(f"{path} is not JSON: {error}", "model") from error
    if not isinstance(stated, dict):
        raise InvalidArgumentError(f"{path} holds {type(stated).__name__}, expected an object", "model")
    return stated
