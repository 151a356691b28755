"""Where the files of a decoder lie: a folder, or a name on the hub of which data files alone are fetched."""

from __future__ import annotations

import re
from pathlib import Path

from lodex.errors import MissingExtraError, NotFoundError

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# Weights, configuration and tokenizer. No code, no pickle.
_WANTED = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    # The modules behind the transformer: 1_Pooling, 2_Dense, ...
    "[0-9]_*/config.json",
    "[0-9]_*/model.safetensors",
    "lodex.json",
    "lodex_reference.json",
)


def decoder_folder(name_or_path: str | Path) -> Path:
    """The folder of a decoder: a path as it is, else a hub name `owner/model` from the hub or from its local cache.

    A path that is no folder is read as a name too, for settings have both in one place. `HF_HUB_OFFLINE=1` asks the
    cache alone. NotFoundError says what was looked for where neither is to be had.
    """
    folder = Path(name_or_path).expanduser()
    if str(name_or_path) and folder.is_dir():
        return folder
    name = str(name_or_path)
    if not is_hub_name(name):
        raise NotFoundError(f"no model {name!r}: it is no folder, and no name owner/model of the hub")
    try:
        import huggingface_hub  # slow to import, and only a hub name needs it
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the hub name {name!r}", "minilm") from error
    offline = huggingface_hub.constants.HF_HUB_OFFLINE
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(_WANTED), local_files_only=offline))
    except (OSError, ValueError) as error:
        where = "the hub's local cache (HF_HUB_OFFLINE is set)" if offline else "the hub"
        tried = f"no such folder, and not to be had from {where}"
        raise NotFoundError(f"no model {name!r}: {tried}: {error}") from error


def is_hub_name(name: str) -> bool:
    """Whether a name has the form `owner/model`."""
    return _HUB_NAME.fullmatch(name) is not None
