"""The registry of published embedders: what their cards say that their folders may not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

from lodex.embed.conventions.convention import Convention
from lodex.embed.conventions.templates import TASK, task_of
from lodex.errors import InvalidArgumentError

Source = Literal["code", "card", "memory"]
SOURCES: Mapping[Source, str] = {
    "code": "read in the published code or files",
    "card": "read on a public page about the model",
    "memory": "not yet checked against the model's files",
}


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the registry: fields of its `Convention` as far as they are known, and where each is from.

    `names` are those on the hub; the part behind the owner names a local folder. `dimension` of its vectors, None
    where it is not known.
    """

    names: tuple[str, ...]
    facts: Mapping[str, Any]
    sources: Mapping[str, Source]
    dimension: int | None = None


def known_models() -> tuple[KnownModel, ...]:
    """All of them, as models.json has them."""
    return _read_models()


def find_model(name: str) -> KnownModel | None:
    """The model of a hub name `owner/model`, or of a folder called `model`; case does not matter."""
    wanted = name.lower()
    for model in _read_models():
        for known in model.names:
            if wanted in (known.lower(), known.lower().rpartition("/")[2]):
                return model
    return None


def complete(stated: Mapping[str, Any], name: str, where: str, template: str = "") -> Convention:
    """The convention of a model: what its folder `where` states, and what the registry knows of `name` beside it.

    A prompt for queries that is the template of the registry, or of the folder's form, with some task in it makes that
    the default task. The shorter length holds. InvalidArgumentError where folder and registry contradict each other,
    and where neither names the pooling.
    """
    model = find_model(name)
    facts = dict(model.facts) if model is not None else {}
    merged = {**facts, **stated}
    template = facts.get("query_prompt", template)
    task = task_of(template, merged.get("query_prompt", "")) if TASK in template else None
    if task is not None and task != TASK:
        merged |= {"query_prompt": template, "default_task": task}
    if "max_tokens" in facts and "max_tokens" in stated:
        merged["max_tokens"] = min(facts["max_tokens"], stated["max_tokens"])
    for key in facts.keys() & stated.keys() - {"max_tokens", "default_task", "prompts"}:
        if merged[key] != facts[key]:
            raise InvalidArgumentError(
                f"{where}: {key} is {stated[key]!r}; of {name} it is known to be {facts[key]!r}. "
                "Rename the folder if it holds another model",
                "model",
            )
    if "pooling" not in merged:
        raise InvalidArgumentError(f"{where} does not say how its tokens are pooled: no modules.json", "model")
    if model is not None:
        merged["source"] = ", ".join(sorted(set(model.sources.values())))
    return Convention(**merged)


@cache
def _read_models() -> tuple[KnownModel, ...]:
    text = resources.files("lodex.embed.conventions").joinpath("models.json").read_text("utf-8")
    return tuple(_read_model(entry) for entry in json.loads(text)["models"])


def _read_model(entry: Mapping[str, Any]) -> KnownModel:
    known = {field.name for field in fields(Convention)} | {"dimension"}
    facts: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for source, values in entry["facts"].items():
        assert source in SOURCES, f"models.json marks facts as {source!r}; this is a bug"
        assert values.keys() <= known, f"models.json has {values.keys() - known}; this is a bug"
        facts |= values
        sources |= dict.fromkeys(values, cast("Source", source))
    if "matryoshka" in facts:
        facts["matryoshka"] = tuple(facts["matryoshka"])
    return KnownModel(tuple(entry["names"]), facts, sources, facts.pop("dimension", None))
