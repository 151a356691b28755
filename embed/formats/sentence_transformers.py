"""What a sentence-transformers folder says about its encoder, read and checked before any weight is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lodex.errors import InvalidArgumentError
from lodex.types import TextKind

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MODULES = "modules.json"

# Raise it where the same files come to mean other vectors.
_FINGERPRINT_VERSION = 1
_MODULES = ["Transformer", "Pooling", "Normalize"]
_POOLINGS = ("mean", "cls")
_PROMPT_NAMES = {TextKind.QUERY: ("query",), TextKind.PASSAGE: ("document", "passage", "corpus")}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A BERT encoder on disk: how its tokens become one vector, and the fingerprint of all that decides it.

    `prompts` are prefixes put before a text of each kind, "" for none.
    """

    path: Path
    dimension: int
    max_tokens: int
    pooling: str
    prompts: Mapping[TextKind, str]
    fingerprint: str


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the configuration files of `folder`. InvalidArgumentError says what Lodex cannot run, and in which file."""
    for name in (WEIGHTS, CONFIG, TOKENIZER, MODULES):
        if not (folder / name).is_file():
            raise InvalidArgumentError(f"{folder} is not a sentence-transformers folder that Lodex reads: no {name}")
    config = read_json(folder / CONFIG)
    if config.get("model_type") != "bert":
        raise InvalidArgumentError(f"{folder / CONFIG}: model_type is {config.get('model_type')!r}, expected 'bert'")
    pooling = read_pooling(folder)
    max_tokens = read_max_tokens(folder, int(config["max_position_embeddings"]))
    prompts = read_prompts(folder)
    recipe = {"max_tokens": max_tokens, "pooling": pooling, "prompts": [prompts[kind] for kind in TextKind]}
    return Checkpoint(
        path=folder,
        dimension=int(config["hidden_size"]),
        max_tokens=max_tokens,
        pooling=pooling,
        prompts=prompts,
        fingerprint=_fingerprint(folder, recipe),
    )


def read_json(path: Path) -> Any:
    """What a JSON file holds; InvalidArgumentError names one that is none."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidArgumentError(f"{path} is not JSON: {error}") from error


def read_pooling(folder: Path, known: Sequence[str] = _POOLINGS) -> str:
    """The pooling mode, after a check that the folder has no further layer that would be left out silently.

    InvalidArgumentError for a mode that is not `known`, and for one that leaves out the prompt.
    """
    modules = read_json(folder / MODULES)
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    if kinds not in (_MODULES, _MODULES[:2]):
        raise InvalidArgumentError(
            f"{folder / MODULES} lists {kinds}; Lodex runs Transformer and Pooling, with Normalize or without"
        )
    path = folder / modules[1]["path"] / "config.json"
    config = read_json(path)
    # Files of before version 6 have one flag for each mode.
    flags = [key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on]
    mode = config.get("pooling_mode") or "+".join(flag.removesuffix("_tokens").removesuffix("_token") for flag in flags)
    if mode not in known:
        raise InvalidArgumentError(f"{path}: pooling {mode!r} is not one of {', '.join(known)}")
    if not config.get("include_prompt", True):
        raise InvalidArgumentError(f"{path}: pooling that leaves out the prompt is not supported")
    return str(mode)


def read_max_tokens(folder: Path, positions: int) -> int:
    """The length texts are cut to, special tokens included: what the folder states, never more than the positions."""
    stated = positions
    for name, key in (("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length")):
        if (folder / name).is_file():
            config = read_json(folder / name)
            stated = config.get(key) or stated
            if name == "sentence_bert_config.json" and config.get("do_lower_case"):
                raise InvalidArgumentError(f"{folder / name}: do_lower_case is not supported; let the tokenizer do it")
    return min(int(stated), positions)


def read_prompts(folder: Path) -> dict[TextKind, str]:
    """The prefix of each kind of text by config_sentence_transformers.json, "" where there is none."""
    path = folder / "config_sentence_transformers.json"
    prompts = read_json(path).get("prompts", {}) if path.is_file() else {}
    return {
        kind: next((str(prompts[name]) for name in names if name in prompts), "")
        for kind, names in _PROMPT_NAMES.items()
    }


def _fingerprint(folder: Path, recipe: Mapping[str, Any]) -> str:
    """SHA-256 over weights, configuration, tokenizer and recipe: equal fingerprints give equal vectors."""
    digest = hashlib.sha256(f"lodex-encoder {_FINGERPRINT_VERSION}\n{json.dumps(recipe, sort_keys=True)}\n".encode())
    for name in (WEIGHTS, CONFIG, TOKENIZER):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
