"""The language models of the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.lm.registry import DEFAULT_LANGUAGE_MODEL, PACKAGED, load_language_model
from lodex.service.named_models import NamedModels

if TYPE_CHECKING:
    from lodex.lm.model import LanguageModel


class LanguageModels(NamedModels["LanguageModel"]):
    """Language models by name."""

    def __init__(self, folders: Mapping[str, Path] | None = None, default: str = DEFAULT_LANGUAGE_MODEL) -> None:
        super().__init__("language model", _load, PACKAGED, folders, default, "language_model")


def _load(source: str | Path) -> LanguageModel:
    """The model, with what scores and continues by it imported: see `NamedModels` on imports."""
    model = load_language_model(source)
    import lodex.lm.generation
    import lodex.lm.scoring  # noqa: F401

    return model
