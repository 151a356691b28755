"""A trained model as a transformers folder, which any library of the field opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig

from lodex.embed.training.llama import LlamaShape, export_weights, import_weights
from lodex.errors import InvalidArgumentError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def write_model(
    folder: Path, shape: LlamaShape, weights: Mapping[str, Tensor], tokenizer_json: str, eos: str, eos_id: int
) -> None:
    """Write configuration, bfloat16 weights and tokenizer; the EOS is also what a text starts with."""
    folder.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=eos_id,
        eos_token_id=eos_id,
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
    )
    config.save_pretrained(folder)
    exported = {name: weight.bfloat16().contiguous() for name, weight in export_weights(weights).items()}
    save_file(exported, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors lets the owner alone read
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": eos, "eos_token": eos}
    limits = {"model_max_length": shape.context, "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(names | limits, indent=2) + "\n", encoding="utf-8")


def read_model(folder: Path) -> tuple[LlamaShape, dict[str, Tensor]]:
    """The shape and the float32 weights of a folder, for further training.

    InvalidArgumentError for a model of another arrangement than `TrainingLlama` trains.
    """
    config = LlamaConfig.from_pretrained(folder, local_files_only=True)
    if (
        config.model_type != "llama"
        or not config.tie_word_embeddings
        or (config.num_key_value_heads != config.num_attention_heads or config.attention_bias or config.mlp_bias)
    ):
        raise InvalidArgumentError(
            f"{folder}: training goes on from a Llama with a tied head, as many key heads as query heads and no biases",
            "init",
        )
    rope: Any = config.rope_parameters
    shape = LlamaShape(
        vocab_size=config.vocab_size,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        intermediate=config.intermediate_size,
        context=config.max_position_embeddings,
        rope_theta=float(rope["rope_theta"]),
        norm_eps=config.rms_norm_eps,
    )
    weights = {name: weight.to(torch.float32) for name, weight in load_file(folder / WEIGHTS).items()}
    return shape, import_weights(weights, shape.layers)
