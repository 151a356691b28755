"""Prompts and the instructions in them: put together here, never by a caller's string."""

from __future__ import annotations

import re

from lodex.embed.conventions.convention import Convention
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind

TASK = "{task}"
TEXT = "{text}"
ECHO = "Rewrite the sentence: {text}, rewritten: {text}"
"""Springer et al. 2024, Repetition Improves Language Model Embeddings (arXiv:2402.15449)."""


def render_prompt(convention: Convention, kind: TextKind, instruction: str | None = None) -> str:
    """What stands before a text of a kind, or around it where it has "{text}".

    `instruction` None is the model's own. InvalidArgumentError for an instruction to a model that takes none for this
    kind, for one that names a place of the template, and for none where the model has no own.
    """
    prompt = convention.query_prompt if kind is TextKind.QUERY else convention.passage_prompt
    if convention.echo and prompt.count(TEXT) < 2:
        prompt += ECHO
    if TASK not in prompt:
        if instruction is not None:
            raise InvalidArgumentError(f"the model takes no instruction for a {kind.value}", "instruction")
        return prompt
    task = convention.default_task if instruction is None else instruction
    if instruction is None and not task:
        raise InvalidArgumentError(f"the model has no instruction of its own: a {kind.value} needs one", "instruction")
    if TEXT in task or TASK in task:
        raise InvalidArgumentError(f"an instruction must have neither {TEXT} nor {TASK} in it", "instruction")
    return prompt.replace(TASK, task)


def named_prompt(convention: Convention, name: str) -> str:
    """A prompt that the model was trained with, by its name; InvalidArgumentError lists those there are."""
    if name not in convention.prompts:
        known = ", ".join(sorted(convention.prompts)) or "it has none"
        raise InvalidArgumentError(f"the model has no prompt {name!r}; known: {known}", "instruction")
    return convention.prompts[name]


def task_of(template: str, prompt: str) -> str | None:
    """The task that makes a prompt of a template, None where none does: "Instruct: find" has "find"."""
    pattern = "(.*)".join(re.escape(part) for part in template.split(TASK))
    match = re.fullmatch(pattern, prompt, re.DOTALL)
    return None if match is None or len(set(match.groups())) != 1 else match[1]
