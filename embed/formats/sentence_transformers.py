"""What the files of a sentence-transformers folder say, read and checked before any weight is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lodex.embed.conventions.convention import PoolingName
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MODULES = "modules.json"

# As sentence-transformers calls them, and as we do.
_OUR_NAMES: Mapping[str, PoolingName] = {
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "weightedmean": "weighted_mean",
}
MULTI_LAYER = "MultiLayerPooling"
_VECTOR = "sentence_embedding"
_PROMPT_NAMES = {TextKind.QUERY: ("query",), TextKind.PASSAGE: ("document", "passage", "corpus")}


@dataclass(frozen=True, slots=True)
class DenseModule:
    """A Dense layer's folder, and what its config.json says."""

    folder: Path
    inputs: int
    outputs: int
    bias: bool
    activation: str

    @property
    def weights(self) -> Path:
        """The file of its tensors."""
        return self.folder / WEIGHTS


@dataclass(frozen=True, slots=True)
class Modules:
    """What modules.json puts behind the transformer.

    `pooling` in our words; `multi_layer` is the folder of our own pooling over all layers where it stands instead.
    """

    pooling: PoolingName
    include_prompt: bool = True
    dense: tuple[DenseModule, ...] = ()
    normalize: bool = False
    multi_layer: Path | None = None


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of config_sentence_transformers.json: of queries, of passages, and all by name."""

    query: str = ""
    passage: str = ""
    named: Mapping[str, str] = field(default_factory=dict)


def read_modules(folder: Path) -> Modules:
    """The modules after the transformer: one pooling, Dense layers, and the normalisation last, if any.

    InvalidArgumentError for others and another order, which would be left out silently otherwise.
    """
    path = folder / MODULES
    entries = [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in read_json(path)]
    kinds = [kind for kind, _ in entries]
    body, normalize = (kinds[:-1], True) if kinds[-1:] == ["Normalize"] else (kinds, False)
    if body[:1] != ["Transformer"] or body[1:2] not in (["Pooling"], [MULTI_LAYER]) or not set(body[2:]) <= {"Dense"}:
        raise InvalidArgumentError(
            f"{path} lists {kinds}; Lodex runs Transformer, then Pooling or {MULTI_LAYER}, then Dense and Normalize",
            "model",
        )
    inside = [_inside(folder, below) for _, below in entries]
    dense = tuple(_read_dense(inside[i]) for i in range(2, len(body)))
    if body[1] == MULTI_LAYER:
        return Modules("multi_layer", True, dense, normalize, inside[1])
    mode, include_prompt = _read_mode(inside[1] / CONFIG)
    return Modules(_OUR_NAMES[mode], include_prompt, dense, normalize)


def _read_mode(path: Path) -> tuple[str, bool]:
    config = read_json(path)
    mode = config.get("pooling_mode") or "+".join(_flags(config))
    if not isinstance(mode, str) or mode not in _OUR_NAMES:
        raise InvalidArgumentError(f"{path}: pooling {mode!r} is not one of {', '.join(_OUR_NAMES)}", "model")
    return mode, bool(config.get("include_prompt", True))


def _flags(config: Mapping[str, Any]) -> list[str]:
    """The poolings of a file of before version 6, which has one flag for each."""
    flags = [key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on]
    return [flag.removesuffix("_tokens").removesuffix("_token") for flag in flags]


def _read_dense(folder: Path) -> DenseModule:
    path = folder / CONFIG
    config = read_json(path)
    reads, writes = config.get("module_input_name", _VECTOR), config.get("module_output_name")
    if config.get("use_residual") or reads != _VECTOR or writes not in (None, _VECTOR):
        raise InvalidArgumentError(f"{path}: a Dense layer with a residual, or of other than the vector", "model")
    sizes = config.get("in_features"), config.get("out_features")
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise InvalidArgumentError(f"{path}: in_features and out_features are {sizes}, expected sizes", "model")
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    return DenseModule(folder, *sizes, bias=bool(config.get("bias", True)), activation=activation)


def _inside(folder: Path, below: str) -> Path:
    path = folder / below
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InvalidArgumentError(f"{folder / MODULES} names {below!r}, which is not in the folder", "model")
    return path


def read_named_prompts(folder: Path) -> Prompts:
    """The prompts, chosen as `encode_query` and `encode_document` of sentence-transformers do."""
    path = folder / "config_sentence_transformers.json"
    config = read_json(path) if path.is_file() else {}
    named = {str(name): str(prompt) for name, prompt in (config.get("prompts") or {}).items() if prompt is not None}
    default = named.get(str(config.get("default_prompt_name")), "")
    chosen = {
        kind: next((named[name] for name in names if name in named), default) for kind, names in _PROMPT_NAMES.items()
    }
    return Prompts(chosen[TextKind.QUERY], chosen[TextKind.PASSAGE], named)


def read_similarity(folder: Path) -> str | None:
    """How vectors are compared by config_sentence_transformers.json: "cosine", "dot" or another; None unsaid."""
    path = folder / "config_sentence_transformers.json"
    return read_json(path).get("similarity_fn_name") if path.is_file() else None


def read_json(path: Path) -> Any:
    """What a JSON file holds; InvalidArgumentError names one that is none."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidArgumentError(f"{path} is not JSON: {error}") from error


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
