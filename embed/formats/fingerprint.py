"""What tells one embedder from another: a digest of all that decides its vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lodex.embed.backbones.config import read_config_json
from lodex.embed.backbones.weights import CONFIG, weight_files
from lodex.embed.conventions.convention import Convention
from lodex.embed.conventions.templates import TASK
from lodex.embed.formats.sentence_transformers import TOKENIZER
from lodex.errors import InvalidArgumentError

# Raise one where the same files come to mean other vectors. Indexes and tasks hold these digests: they must not change
# with a release otherwise.
_ENCODER_VERSION = 1
_DECODER_VERSION = 1


def fingerprint_encoder(folder: Path, convention: Convention, further: Iterable[Path] = ()) -> str:
    """Of a BERT-type encoder: SHA-256 over recipe, weights, configuration and tokenizer, each as it lies there."""
    digest = hashlib.sha256(
        f"lodex-encoder {_ENCODER_VERSION}\n{_json(_recipe(convention, ends_last=False))}\n".encode()
    )
    for path in (*weight_files(folder), folder / CONFIG, folder / TOKENIZER, *further):
        _add_file(digest, path)
    return f"sha256:{digest.hexdigest()}"


def fingerprint_decoder(folder: Path, convention: Convention, further: Iterable[Path] = ()) -> str:
    """Of a decoder that embeds: SHA-256 over recipe and configuration by their values, tokenizer and weights."""
    digest = hashlib.sha256(f"lodex-decoder-encoder {_DECODER_VERSION}\n".encode())
    for value in (_recipe(convention, ends_last=True), read_config_json(folder)):
        digest.update(_json(value).encode() + b"\n")
    for path in (folder / TOKENIZER, *weight_files(folder), *further):
        _add_file(digest, path)
    return f"sha256:{digest.hexdigest()}"


def _recipe(convention: Convention, *, ends_last: bool) -> dict[str, Any]:
    """What the convention adds to the files: three fields always, others where they are not usual.

    Where `ends_last`, an end behind the text is usual with last-token pooling.
    """
    prompts = (convention.query_prompt, convention.passage_prompt)
    rendered = [prompt.replace(TASK, convention.default_task) for prompt in prompts]
    recipe: dict[str, Any] = {
        "max_tokens": convention.max_tokens,
        "pooling": convention.pooling,
        "prompts": rendered,
    }
    usual = Convention(convention.pooling, convention.max_tokens, adds_end=ends_last and convention.pooling == "last")
    for name in ("attention", "instruction_mask", "adds_end", "keeps_end", "normalize", "echo"):
        value = getattr(convention, name)
        if value != getattr(usual, name):
            recipe[name] = value
    if rendered != list(prompts):
        recipe["templates"] = list(prompts)
    return recipe


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


def _add_file(digest: hashlib._Hash, path: Path) -> None:
    if not path.is_file():
        raise InvalidArgumentError(f"{path} is named by its folder and missing", "model")
    with path.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
