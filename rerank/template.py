"""Templates of listwise prompts: what stands around the passages and the query, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from lodex.errors import InvalidArgumentError, NotFoundError

IDENTIFIERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PLAIN = "plain"

_IDENTIFIER = "[{identifier}]"
_PASSAGE = "{passage}"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ALLOWED = {
    "system": frozenset[str](),
    "prefix": frozenset({"query", "count"}),
    "line": frozenset({"identifier", "passage"}),
    "suffix": frozenset({"query", "count"}),
}
_IMITATION = re.compile(r"\[([A-Za-z]+)\]")


@dataclass(frozen=True, slots=True)
class Template:
    """The text of a listwise prompt.

    `prefix`, one `line` for each passage and `suffix` follow one another; `system` says who the model is. `{query}`,
    `{count}` (of passages), `{identifier}` and `{passage}` are filled in. With `chat` they are a system and a user
    message of the model's chat template, and otherwise the prompt itself. What the model continues with is
    "[" and an identifier.
    """

    name: str
    system: str
    prefix: str
    line: str
    suffix: str
    chat: bool = False

    def __post_init__(self) -> None:
        for part, allowed in _ALLOWED.items():
            for found in _PLACEHOLDER.findall(getattr(self, part)):
                if found not in allowed:
                    raise InvalidArgumentError(
                        f"template {self.name!r}: {part} has {{{found}}}, expected "
                        f"{' or '.join(f'{{{name}}}' for name in sorted(allowed)) or 'no placeholder'}",
                        f"template.{part}",
                    )
        if _IDENTIFIER not in self.line or self.line.count("{identifier}") != self.line.count(_IDENTIFIER):
            raise InvalidArgumentError(
                f"template {self.name!r}: line is {self.line!r}, expected {_IDENTIFIER} in it", "template.line"
            )
        if self.line.count(_PASSAGE) != 1:
            raise InvalidArgumentError(
                f"template {self.name!r}: line is {self.line!r}, expected {_PASSAGE} once", "template.line"
            )
        if not self.is_query_first and "{query}" not in self.suffix:
            raise InvalidArgumentError(
                f"template {self.name!r}: {{query}} is in neither prefix nor suffix", "template.suffix"
            )

    @property
    def is_query_first(self) -> bool:
        """Whether the query stands before the passages: then what is computed of them belongs to it alone."""
        return "{query}" in self.prefix

    def to_dict(self) -> dict[str, Any]:
        """The template as JSON keeps it."""
        return asdict(self)


def read_template(value: Mapping[str, Any]) -> Template:
    """A template from its JSON object; InvalidArgumentError for fields that are missing, unknown or of another type."""
    types = {"name": str, "system": str, "prefix": str, "line": str, "suffix": str, "chat": bool}
    for name in value:
        if name not in types:
            raise InvalidArgumentError(f"a template has no field {name!r}, only {', '.join(types)}", f"template.{name}")
    for name, expected in types.items():
        if name != "chat" and name not in value:
            raise InvalidArgumentError(f"the template has no field {name!r}", f"template.{name}")
        if name in value and not isinstance(value[name], expected):
            raise InvalidArgumentError(
                f"template.{name} is {value[name]!r}, expected a {expected.__name__}", f"template.{name}"
            )
    return Template(**value)


def load_template(name: str = PLAIN) -> Template:
    """A template that comes with Lodex: `plain` for base models of a short context, `rank-zephyr` for instructed ones.

    rank-zephyr follows the prompt of RankZephyr (Pradeep et al. 2023, arXiv:2312.02724) in the alphabetical form that
    FIRST was trained with (Gangi Reddy et al. 2024, arXiv:2406.15657); a model scores best with the very wording it was
    trained on, which its `reranker.json` may give. NotFoundError lists the names.
    """
    folder = resources.files("lodex.rerank") / "templates"
    names = sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
    if name not in names:
        raise NotFoundError(f"no template {name!r}; there are {', '.join(names)}")
    return read_template(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def without_imitations(text: str) -> str:
    """The text with `[letters]` as `(letters)`, so that no passage or query can pass for an identifier.

    As in the reference implementations of RankGPT and FIRST.
    """
    return _IMITATION.sub(r"(\1)", text)


def line_parts(template: Template) -> list[tuple[str, bool]]:
    """A line as (literal text, whether an identifier's letter follows it); the passage stands in one of the literals.

    The brackets around an identifier are not in the literals before it; the closing one begins the literal after it.
    """
    pieces = template.line.split(_IDENTIFIER)
    opened = [(piece if i == 0 else f"]{piece}", i + 1 < len(pieces)) for i, piece in enumerate(pieces)]
    return [part for part in opened if part[0] or part[1]]
