"""A folder that embeds, of any form that Lodex reads: what it is, and its parts one by one.

Three forms: an embedder as sentence-transformers saves it (modules.json), one in NV-Embed's layout, and a bare decoder.
A file lodex.json beside them may state fields of `Convention` for which the others have no place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from lodex.embed.backbones.backbone import BackboneSource
from lodex.embed.backbones.config import make_decoder_config, read_config_json
from lodex.embed.backbones.families import FAMILIES, Family, find_family
from lodex.embed.backbones.weights import CONFIG, TensorFiles, load_module
from lodex.embed.conventions.convention import Attention, Convention, InstructionMask, PoolingName
from lodex.embed.conventions.models import complete, find_model
from lodex.embed.conventions.templates import TASK, TEXT
from lodex.embed.formats import nv_embed
from lodex.embed.formats.fingerprint import fingerprint_decoder, fingerprint_encoder
from lodex.embed.formats.multi_layer import load_multi_layer_head, read_multi_layer_sizes
from lodex.embed.formats.sentence_transformers import (
    MODULES,
    TOKENIZER,
    DenseModule,
    Modules,
    read_json,
    read_max_tokens,
    read_modules,
    read_named_prompts,
    read_similarity,
)
from lodex.embed.pooling.dense import DenseLayer, DensePooling
from lodex.embed.pooling.latent_attention import LatentAttentionSizes
from lodex.embed.pooling.latent_pooling import LatentPooling
from lodex.embed.pooling.multi_layer import MultiLayerPooling
from lodex.embed.pooling.pooling import Pooling
from lodex.embed.pooling.token_pooling import TokenPooling
from lodex.embed.tokens.model_tokens import ModelTokens, SpecialIds
from lodex.errors import InvalidArgumentError
from lodex.types import EncoderInfo

OWN = "lodex.json"
# Model types of published code that are another family's, bidirectional -> that family.
_BIDIRECTIONAL: Mapping[str, str] = {"llama_bidirec": "llama"}
# As their config.json calls poolings.
_CONFIG_POOLINGS: Mapping[str, str] = {"avg": "mean", "cls": "cls", "last": "last"}
# `max_tokens` has its place in the other files.
_FIELDS = {field.name for field in fields(Convention)} - {"source", "max_tokens"}
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "attention": get_args(Attention),
    "instruction_mask": get_args(InstructionMask),
    "pooling": get_args(PoolingName),
}


@dataclass(frozen=True, slots=True)
class EmbedderFolder:
    """An embedder on disk, read and checked before any weight is loaded.

    `fingerprint` tells its vectors from all others. The parts are opened each on its own: `Backbone.open` of `source`
    with `convention.attention`, `open_tokens` and `open_pooling`.
    """

    path: Path
    name: str
    family: Family
    convention: Convention
    source: BackboneSource
    fingerprint: str
    dense: tuple[DenseModule, ...] = ()
    latent: LatentAttentionSizes | None = None
    multi_layer: Path | None = None

    @property
    def dimension(self) -> int:
        """The size of its vectors."""
        config: Any = self.source.config
        return self.dense[-1].outputs if self.dense else int(config.hidden_size)

    @property
    def info(self) -> EncoderInfo:
        """Its identity."""
        prompts = (self.convention.query_prompt, self.convention.passage_prompt)
        return EncoderInfo(
            name=self.name,
            fingerprint=self.fingerprint,
            dimension=self.dimension,
            max_tokens=self.convention.max_tokens,
            normalized=self.convention.normalize,
            matryoshka=self.convention.matryoshka,
            instructed=any(TASK in prompt for prompt in prompts),
            sparse=self.convention.pooling == "splade",
        )

    def open_tokens(self) -> ModelTokens:
        """What makes token rows of texts; InvalidArgumentError for a tokenizer that does not fit the model."""
        config: Any = self.source.config
        end = _first(config, "eos_token_id")
        start = next((value for value in (_first(config, "bos_token_id"), end) if value is not None), 0)
        return ModelTokens(
            self.path / TOKENIZER, self.convention, vocab_size=config.vocab_size, special=SpecialIds(start, end)
        )

    def open_pooling(self) -> Pooling:
        """What makes vectors of states, in float32 on the CPU; a module that moves as others do.

        InvalidArgumentError names weights that are missing, left over or misshapen, DataLossError a damaged file, and
        InvalidArgumentError a sparse model, which pools by its LM head.
        """
        pooling = self._open_first()
        if not self.dense:
            return pooling
        layers = []
        for module in self.dense:
            layer = DenseLayer(module.inputs, module.outputs, bias=module.bias, activation=module.activation)
            load_module(layer, TensorFiles(module.folder))
            layers.append(layer.eval().requires_grad_(False))
        return DensePooling(pooling, layers)

    def _open_first(self) -> Pooling:
        if self.latent is not None:
            return LatentPooling(nv_embed.load_latent_head(self.path, self.latent))
        if self.multi_layer is not None:
            return MultiLayerPooling(load_multi_layer_head(self.multi_layer))
        config: Any = self.source.config
        return TokenPooling(self.convention.pooling, config.hidden_size)


def read_embedder(folder: Path, name: str) -> EmbedderFolder:
    """Read what a folder says of itself; `name` looks up in the registry what it leaves open.

    InvalidArgumentError says what Lodex cannot run, what is missing and what contradicts the registry, and in which
    file. No code that a folder names is run.
    """
    values = read_config_json(folder)
    if not (folder / TOKENIZER).is_file():
        raise InvalidArgumentError(f"{folder} is not an embedder's folder: no {TOKENIZER}", "model")
    if values.get("model_type") == nv_embed.MODEL_TYPE:
        return _read_nv_embed(folder, name)
    return _read_plain(folder, name, values)


def _read_nv_embed(folder: Path, name: str) -> EmbedderFolder:
    nv = nv_embed.read_nv_embed_folder(folder)
    stated = nv.stated | _stated_prompts(folder) | _own(folder)
    convention = complete(stated, name, str(folder), nv_embed.TEMPLATE)
    fingerprint = fingerprint_decoder(folder, convention)
    parts = EmbedderFolder(folder, name, FAMILIES["mistral"], convention, nv.source, fingerprint, latent=nv.sizes)
    return _checked(parts)


def _read_plain(folder: Path, name: str, values: dict[str, Any]) -> EmbedderFolder:
    model_type = _BIDIRECTIONAL.get(str(values.get("model_type")))
    if model_type is not None:
        values = values | {"model_type": model_type, "is_causal": False}
    family = find_family(values, folder / CONFIG)
    config: Any = make_decoder_config(family.model_type, values, folder)
    stated: dict[str, Any] = {"max_tokens": read_max_tokens(folder, family.max_tokens(config))}
    if family.kind == "decoder" and values.get("is_causal") is False:
        stated["attention"] = "bidirectional"
    modules = _modules(folder, family, values, name)
    if modules is not None:
        stated["pooling"] = modules.pooling
        stated["normalize"] = modules.normalize or read_similarity(folder) != "dot"
        if not modules.include_prompt:
            stated["instruction_mask"] = "sentence-transformers"
        if modules.pooling == "last" and family.kind == "decoder":
            stated["adds_end"] = True
    convention = complete(stated | _stated_prompts(folder) | _own(folder), name, str(folder))
    dense = () if modules is None else modules.dense
    multi_layer = None if modules is None else modules.multi_layer
    fingerprint = fingerprint_encoder if family.kind == "encoder" else fingerprint_decoder
    further = [path for module in dense for path in (module.folder / CONFIG, module.weights)]
    if multi_layer is not None:
        further += [multi_layer / CONFIG, multi_layer / "model.safetensors"]
    parts = EmbedderFolder(
        path=folder,
        name=name,
        family=family,
        convention=convention,
        source=BackboneSource(config, folder),
        fingerprint=fingerprint(folder, convention, further),
        dense=dense,
        multi_layer=multi_layer,
    )
    return _checked(parts)


def _modules(folder: Path, family: Family, values: Mapping[str, Any], name: str) -> Modules | None:
    """How tokens are pooled by the folder: modules.json, config.json, or the mean for a bare decoder of no name."""
    if (folder / MODULES).is_file():
        return read_modules(folder)
    in_config = _CONFIG_POOLINGS.get(str(values.get("pooling")))
    if in_config is not None:
        return Modules(in_config)  # type: ignore[arg-type]
    model = find_model(name)
    if family.kind == "decoder" and (model is None or "pooling" not in model.facts):
        return Modules("mean")
    return None


def _stated_prompts(folder: Path) -> dict[str, Any]:
    """The prompts that a folder names. An empty one leaves it open: sentence-transformers writes such on its own."""
    prompts = read_named_prompts(folder)
    stated: dict[str, Any] = {"prompts": prompts.named} if prompts.named else {}
    for key, prompt in (("query_prompt", prompts.query), ("passage_prompt", prompts.passage)):
        if prompt:
            stated[key] = prompt
    for key, prompt in stated.items():
        if key != "prompts" and (TEXT in prompt or TASK in prompt):
            raise InvalidArgumentError(f"{folder}: {key} {prompt!r} is a template; those stand in {OWN}", "model")
    return stated


def _own(folder: Path) -> dict[str, Any]:
    path = folder / OWN
    if not path.is_file():
        return {}
    stated = read_json(path)
    if not isinstance(stated, dict) or not stated.keys() <= _FIELDS:
        raise InvalidArgumentError(f"{path}: expected fields among {', '.join(sorted(_FIELDS))}", "model")
    for name, allowed in _ALLOWED.items():
        if name in stated and stated[name] not in allowed:
            raise InvalidArgumentError(
                f"{path}: {name} is {stated[name]!r}, expected one of {', '.join(allowed)}", "model"
            )
    if "matryoshka" in stated:
        stated["matryoshka"] = tuple(stated["matryoshka"])
    return stated


def _checked(parts: EmbedderFolder) -> EmbedderFolder:
    """The parts, if they fit each other and what is known of the model."""
    config: Any = parts.source.config
    sizes = None if parts.multi_layer is None else read_multi_layer_sizes(parts.multi_layer)
    if sizes is not None and (sizes.layers, sizes.hidden) != (config.num_hidden_layers + 1, config.hidden_size):
        raise InvalidArgumentError(
            f"{parts.multi_layer}: pools {sizes.layers} layers of {sizes.hidden}, "
            f"the backbone has {config.num_hidden_layers + 1} of {config.hidden_size}",
            "model",
        )
    model = find_model(parts.name)
    if model is not None and model.dimension not in (None, parts.dimension):
        raise InvalidArgumentError(
            f"{parts.path}: vectors of {parts.dimension}; those of {parts.name} are known to have {model.dimension}. "
            "Rename the folder if it holds another model",
            "model",
        )
    if any(not 0 < size <= parts.dimension for size in parts.convention.matryoshka):
        raise InvalidArgumentError(
            f"{parts.path}: matryoshka sizes {parts.convention.matryoshka} of vectors of {parts.dimension}", "model"
        )
    return parts


def _first(config: Any, name: str) -> int | None:
    value = getattr(config, name, None)
    first: int | None = value[0] if isinstance(value, list) else value
    return first
