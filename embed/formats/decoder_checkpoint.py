"""What a decoder's folder says about itself as an embedder, read and checked before any weight is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from lodex.embed.backbones.bidirectional import is_causal, see_all
from lodex.embed.backbones.config import read_config_json, read_decoder_config
from lodex.embed.backbones.weights import CONFIG, weight_files
from lodex.embed.formats.sentence_transformers import MODULES, TOKENIZER, read_max_tokens, read_pooling, read_prompts
from lodex.embed.pooling.latent_attention import LatentAttentionSizes
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind

# Raise it where the same files come to mean other vectors.
_FINGERPRINT_VERSION = 1
# As sentence-transformers calls them, and as we do.
_POOLINGS: Mapping[str, str] = {"mean": "mean", "lasttoken": "last"}


@dataclass(frozen=True, slots=True)
class DecoderCheckpoint:
    """A decoder that embeds: how its tokens become one vector, and the fingerprint of all that decides it.

    `pooling` is "mean" or "last", of what the latent-attention head makes of the states where there is `latent`.
    `prompts` are prefixes put before a text of each kind, "" for none. `appends_end` puts the EOS after a text where
    its tokenizer does not, which an over-long text loses if `cuts_end`. `skips_prompt` leaves as many tokens out of
    the mean as the prompt has without special tokens, counted from the very first token.
    """

    path: Path
    config: PretrainedConfig
    pooling: str
    max_tokens: int
    prompts: Mapping[TextKind, str]
    fingerprint: str
    appends_end: bool
    cuts_end: bool = False
    skips_prompt: bool = False
    latent: LatentAttentionSizes | None = None


def read_decoder_checkpoint(folder: Path) -> DecoderCheckpoint:
    """Read the configuration files of a decoder of the Llama family.

    A folder in the form of sentence-transformers (modules.json) states its pooling, mean or last token; another one is
    averaged. Attention is causal unless config.json has `"is_causal": false`. With last-token pooling an EOS ends the
    text. InvalidArgumentError says what Lodex cannot run, and in which file.
    """
    config: Any = read_decoder_config(folder)
    if not (folder / TOKENIZER).is_file():
        raise InvalidArgumentError(f"{folder} is not an embedder's folder: no {TOKENIZER}", "model")
    if not is_causal(config):
        see_all(config)
    pooling = _POOLINGS[read_pooling(folder, tuple(_POOLINGS))] if (folder / MODULES).is_file() else "mean"
    max_tokens = read_max_tokens(folder, config.max_position_embeddings)
    prompts = read_prompts(folder)
    return DecoderCheckpoint(
        path=folder,
        config=config,
        pooling=pooling,
        max_tokens=max_tokens,
        prompts=prompts,
        fingerprint=fingerprint_embedder(folder, pooling, max_tokens, prompts),
        appends_end=pooling == "last",
    )


def fingerprint_embedder(
    folder: Path, pooling: str, max_tokens: int, prompts: Mapping[TextKind, str], **further: Any
) -> str:
    """SHA-256 over weights, configuration, tokenizer and recipe: equal fingerprints give equal vectors."""
    recipe = {"pooling": pooling, "max_tokens": max_tokens, "prompts": [prompts[kind] for kind in TextKind]} | further
    digest = hashlib.sha256(f"lodex-decoder-encoder {_FINGERPRINT_VERSION}\n".encode())
    for value in (recipe, read_config_json(folder)):
        digest.update(json.dumps(value, sort_keys=True).encode() + b"\n")
    for path in (folder / TOKENIZER, *weight_files(folder)):
        if not path.is_file():
            raise InvalidArgumentError(f"{path} is named by {folder / CONFIG} or its index and missing", "model")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
