"""How a reranker is to be asked: `reranker.json` in the folder of its model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lodex.errors import InvalidArgumentError
from lodex.rerank.template import IDENTIFIERS, Template, load_template, read_template

SETTINGS = "reranker.json"
_FIELDS = ("template", "window", "stride", "max_tokens", "max_passage_tokens")


@dataclass(frozen=True, slots=True)
class RerankerSettings:
    """A template, `window` passages in a prompt, `stride` between windows, and how long they may be in tokens.

    `max_tokens` of a prompt, None for as many as the model reads; `max_passage_tokens` of a passage, None for what
    fits.
    """

    template: Template
    window: int = 20
    stride: int = 10
    max_tokens: int | None = None
    max_passage_tokens: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.window <= len(IDENTIFIERS):
            raise InvalidArgumentError(f"window is {self.window}, expected 1 to {len(IDENTIFIERS)}", "window")
        if not 1 <= self.stride <= self.window:
            raise InvalidArgumentError(
                f"stride is {self.stride}, expected 1 to the window of {self.window}: else passages are passed over",
                "stride",
            )
        for name in ("max_tokens", "max_passage_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidArgumentError(f"{name} is {value}, expected 1 at least", name)


def write_settings(folder: Path, settings: RerankerSettings) -> None:
    """Write `reranker.json`."""
    (folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


def read_settings(folder: Path, default_template: str) -> RerankerSettings:
    """The settings of a folder; without a `reranker.json` those of FIRST (windows of 20, every 10) and the default.

    InvalidArgumentError for a file with other fields or with values of another type.
    """
    path = folder / SETTINGS
    if not path.is_file():
        return RerankerSettings(load_template(default_template))
    try:
        value: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidArgumentError(f"{path} is not JSON: {error}", "model") from error
    if not isinstance(value, dict) or "template" not in value or any(name not in _FIELDS for name in value):
        raise InvalidArgumentError(f"{path} has other fields than {', '.join(_FIELDS)}", "model")
    template = value.pop("template")
    wrong = [name for name, n in value.items() if n is not None and type(n) is not int]
    if wrong or not isinstance(template, dict | str):
        raise InvalidArgumentError(f"{path}: {(wrong or ['template'])[0]} is of the wrong type", "model")
    return RerankerSettings(load_template(template) if isinstance(template, str) else read_template(template), **value)
