"""The rerankers Lodex knows by name, and how to open one, by name or from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lodex.errors import MissingExtraError, NotFoundError

if TYPE_CHECKING:
    from lodex.rerank.first import FirstReranker

DEFAULT_RERANKER = "lodex-mini-rerank"
PACKAGED = (DEFAULT_RERANKER,)
_MODELS = Path(__file__).with_name("models")


def load_reranker(name_or_path: str | Path = DEFAULT_RERANKER, device: str = "cpu") -> FirstReranker:
    """Open a reranker: a name of `PACKAGED`, or the path of a decoder's folder, with or without a `reranker.json`.

    Nothing is downloaded, no code of the folder is run, and weights are read from safetensors alone.
    Raises what `reranker_folder` raises, InvalidArgumentError for a folder of another sort.
    """
    folder = reranker_folder(name_or_path)
    name = str(name_or_path) if name_or_path in PACKAGED else folder.resolve().name
    try:
        from lodex.rerank.first import FirstReranker
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the reranker {name!r}", "lm") from error
    return FirstReranker.open(folder, name, device)


def reranker_folder(name_or_path: str | Path) -> Path:
    """Where the files of a reranker lie; NotFoundError for what is neither a name nor a folder."""
    if name_or_path in PACKAGED:
        folder = _MODELS / str(name_or_path)
        if not folder.is_dir():
            raise NotFoundError(f"the reranker {str(name_or_path)!r} does not come with this installation")
        return folder
    folder = Path(name_or_path).expanduser()
    if not folder.is_dir():
        known = ", ".join(PACKAGED)
        raise NotFoundError(f"no reranker {str(name_or_path)!r}: it is no folder, and the names known are {known}")
    return folder
