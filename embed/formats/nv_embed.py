"""The published layout of NV-Embed: a bidirectional Mistral without LM head, and its latent-attention head.

Lee et al. 2024 (arXiv:2405.17428). config.json has `text_config` with the keys of Mistral and
`latent_attention_config`; tensors are called `embedding_model.*` and `latent_attention_model.*`. The code that the
folder names is not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lodex.embed.backbones.backbone import BackboneSource
from lodex.embed.backbones.config import make_decoder_config, read_config_json
from lodex.embed.backbones.families import FAMILIES
from lodex.embed.backbones.weights import CONFIG, TensorFiles, load_module, refuse_left_over
from lodex.embed.formats.sentence_transformers import read_max_tokens
from lodex.embed.pooling.latent_attention import FoldedLatentAttention, LatentAttentionHead, LatentAttentionSizes
from lodex.errors import InvalidArgumentError

MODEL_TYPE = "nvembed"
TEMPLATE = "Instruct: {task}\nQuery: "
"""What the model's card puts before a query."""

_BACKBONE = "embedding_model."
_HEAD = "latent_attention_model."
# Key of latent_attention_config -> the default of the published class.
_DEFAULTS = {
    "hidden_dim": 4096,
    "num_latents_value": 512,
    "latent_dim": 4096,
    "num_cross_heads": 8,
    "cross_dim_head": 4096,
}
# That of the card's example.
_TASK = "Given a question, retrieve passages that answer the question"


@dataclass(frozen=True, slots=True)
class NvEmbedFolder:
    """A folder in NV-Embed's layout: what it states of its `Convention`, its backbone and its head's sizes."""

    stated: dict[str, Any]
    source: BackboneSource
    sizes: LatentAttentionSizes


def read_nv_embed_folder(folder: Path) -> NvEmbedFolder:
    """Read the configuration files; InvalidArgumentError says what Lodex cannot run, and in which file.

    As in the published code: no sliding window; `add_eos` puts the EOS behind a text, and an over-long text loses it;
    `is_mask_instruction` leaves the instruction out of the mean, by the rule "nvembed"; `output_normalize` of the head
    makes vectors of length 1. Queries have the published template, passages nothing before them, unless the folder has
    prompts in config_sentence_transformers.json.
    """
    stated = read_config_json(folder)
    text, head = (_section(stated, name, folder) for name in ("text_config", "latent_attention_config"))
    if stated.get("mask_type", "b") != "b" or stated.get("padding_side", "right") != "right":
        raise InvalidArgumentError(f"{folder / CONFIG}: expected mask_type 'b' and padding_side 'right'", "model")
    config: Any = make_decoder_config("mistral", text, folder)
    sizes = LatentAttentionSizes(*(_positive(head, name, default, folder) for name, default in _DEFAULTS.items()))
    if sizes.hidden != config.hidden_size:
        raise InvalidArgumentError(
            f"{folder / CONFIG}: the head reads states of {sizes.hidden}, the backbone has {config.hidden_size}",
            "model",
        )
    facts: dict[str, Any] = {
        "attention": "bidirectional",
        "pooling": "latent",
        "instruction_mask": "nvembed" if stated.get("is_mask_instruction", True) else "none",
        "adds_end": bool(stated.get("add_eos", True)),
        "keeps_end": False,
        "normalize": bool(head.get("output_normalize", True)),
        "max_tokens": read_max_tokens(folder, config.max_position_embeddings),
        "query_prompt": TEMPLATE,
        "default_task": _TASK,
    }
    source = BackboneSource(config, folder, prefix=_BACKBONE, others=(_HEAD,))
    return NvEmbedFolder(facts, source, sizes)


def load_latent_head(folder: Path, sizes: LatentAttentionSizes) -> FoldedLatentAttention:
    """The folder's head, folded in float32. Its tensors are held in their own dtype until then.

    InvalidArgumentError names those missing, left over or misshapen, and any of the folder that is neither of the head
    nor of the backbone.
    """
    files = TensorFiles(folder)
    refuse_left_over(files, (_BACKBONE, _HEAD))
    # Other backbones may be published with an LM head, which is left out. This one is not.
    heads = tuple(_BACKBONE + head for head in FAMILIES["mistral"].heads)
    refuse = sorted(name for name in files.names if name.startswith(heads))
    if refuse:
        raise InvalidArgumentError(
            f"{folder} holds weights that are not of its {CONFIG}: Unexpected key(s): {', '.join(refuse)}", "model"
        )
    with torch.device("meta"):
        head = LatentAttentionHead(sizes)
    load_module(head, files, _HEAD, _dtype_of(files))
    return head.folded()


def _dtype_of(files: TensorFiles) -> torch.dtype:
    """The dtype of the first tensor of the head, float32 where it has none."""
    first = next((name for name in sorted(files.names) if name.startswith(_HEAD)), None)
    return torch.float32 if first is None else next(files.read([first]))[1].dtype


def _section(stated: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    section = stated.get(name)
    if not isinstance(section, dict):
        raise InvalidArgumentError(f"{folder / CONFIG}: {name} is {section!r}, expected an object", "model")
    return section


def _positive(head: dict[str, Any], name: str, default: int, folder: Path) -> int:
    value = head.get(name, default)
    if not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(f"{folder / CONFIG}: {name} is {value!r}, expected a positive integer", "model")
    return value
