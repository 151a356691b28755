"""The language models Lodex knows by name, and how to open one, by name or from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lodex.errors import MissingExtraError, NotFoundError

if TYPE_CHECKING:
    from lodex.lm.model import LanguageModel

DEFAULT_LANGUAGE_MODEL = "lodex-mini-lm"
_MODELS = Path(__file__).with_name("models")
PACKAGED = (DEFAULT_LANGUAGE_MODEL,)


def load_language_model(name_or_path: str | Path = DEFAULT_LANGUAGE_MODEL, device: str = "cpu") -> LanguageModel:
    """Open a language model: a name of `PACKAGED`, or the path of a transformers folder with a `tokenizer.json`.

    Nothing is downloaded, no code of the folder is run, and weights are read from safetensors alone.
    Raises what `language_model_folder` raises, InvalidArgumentError for a folder of another sort.
    """
    folder = language_model_folder(name_or_path)
    name = str(name_or_path) if name_or_path in PACKAGED else folder.resolve().name
    try:
        from lodex.lm.model import LanguageModel
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the language model {name!r}", "lm") from error
    return LanguageModel.open(folder, name, device)


def language_model_folder(name_or_path: str | Path) -> Path:
    """Where the files of a language model lie; NotFoundError for what is neither a name nor a folder."""
    folder = _MODELS / str(name_or_path) if name_or_path in PACKAGED else Path(name_or_path).expanduser()
    if not folder.is_dir():
        known = ", ".join(PACKAGED)
        raise NotFoundError(
            f"no language model {str(name_or_path)!r}: it is no folder, and the names known are {known}"
        )
    return folder
