"""Making an embedder of a decoder: its folder again, with what says how to embed, as sentence-transformers does."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from lodex.embed.backbones.config import read_config_json, read_decoder_config
from lodex.embed.backbones.weights import CONFIG, SHARDS, weight_files
from lodex.embed.conventions.convention import InstructionMask
from lodex.embed.conventions.templates import TASK, TEXT
from lodex.embed.encoder import TextEncoder
from lodex.embed.formats.embedder import OWN
from lodex.embed.formats.sentence_transformers import MODULES, TOKENIZER
from lodex.errors import AlreadyExistsError, InvalidArgumentError
from lodex.types import EncoderInfo

# Ours, and the flag of a sentence-transformers pooling file.
_POOLINGS = {
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
    "weighted_mean": "pooling_mode_weightedmean_tokens",
    "cls": "pooling_mode_cls_token",
}
_MODULE_KINDS = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))


def make_embedder(
    decoder: Path,
    out: Path,
    *,
    bidirectional: bool = False,
    pooling: str = "mean",
    max_tokens: int | None = None,
    query_prompt: str = "",
    passage_prompt: str = "",
    task: str = "",
    instruction_mask: InstructionMask = "none",
    echo: bool = False,
) -> EncoderInfo:
    """Write the folder `out` and open it as a check. Weights are hard links where the file system allows, else copies.

    `max_tokens` None is the decoder's own length. Prompts, `task`, `instruction_mask` and `echo` are those of
    `Convention`; where sentence-transformers has no place for them they stand in lodex.json. Raises AlreadyExistsError
    where `out` is, InvalidArgumentError for a decoder that cannot embed so.
    """
    if pooling not in _POOLINGS:
        raise InvalidArgumentError(f"pooling {pooling!r} is not one of {', '.join(_POOLINGS)}", "pooling")
    positions: int = getattr(read_decoder_config(decoder), "max_position_embeddings")  # noqa: B009 - set by transformers
    if max_tokens is not None and not 0 < max_tokens <= positions:
        raise InvalidArgumentError(f"max_tokens is {max_tokens}, the decoder reads 1 to {positions}", "max_tokens")
    if not (decoder / TOKENIZER).is_file():
        raise InvalidArgumentError(f"{decoder} has no {TOKENIZER}", "model")
    if out.exists():
        raise AlreadyExistsError(f"{out} is there already")
    config = read_config_json(decoder) | ({"is_causal": False} if bidirectional else {})
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _write(unfinished / CONFIG, config)
        for path in weight_files(decoder):
            _link(path, unfinished / path.name)
        for name in (SHARDS, TOKENIZER, "tokenizer_config.json"):
            if (decoder / name).is_file():
                shutil.copyfile(decoder / name, unfinished / name)
        _write(unfinished / "sentence_bert_config.json", {"max_seq_length": max_tokens or positions})
        own: dict[str, Any] = {"default_task": task} if task else {}
        own |= {"echo": True} if echo else {}
        prompts = {"query": query_prompt, "document": passage_prompt}
        for kind, field in (("query", "query_prompt"), ("document", "passage_prompt")):
            if TASK in prompts[kind] or TEXT in prompts[kind]:
                own[field] = prompts.pop(kind)
        if instruction_mask not in ("none", "sentence-transformers"):
            own["instruction_mask"] = instruction_mask
        _write(unfinished / "config_sentence_transformers.json", {"prompts": prompts})
        include_prompt = instruction_mask != "sentence-transformers"
        _write_modules(unfinished, pooling, int(config["hidden_size"]), include_prompt)
        if own:
            _write(unfinished / OWN, own)
        info = TextEncoder.open(unfinished, out.name).info
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return info


def _write_modules(folder: Path, pooling: str, width: int, include_prompt: bool) -> None:
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(_MODULE_KINDS)
    ]
    _write(folder / MODULES, modules)
    flags = {flag: name == pooling for name, flag in _POOLINGS.items()}
    stated = {"word_embedding_dimension": width, **flags, "include_prompt": include_prompt}
    _write(folder / "1_Pooling" / "config.json", stated)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
