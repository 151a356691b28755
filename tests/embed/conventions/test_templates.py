"""Prompts and instructions: rendered by kind, and refused where a model takes none."""

import pytest

from lodex.embed.conventions.convention import Convention
from lodex.embed.conventions.templates import ECHO, named_prompt, render_prompt, task_of
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind

INSTRUCT = Convention("last", 9, query_prompt="Instruct: {task}\nQuery: ", default_task="find")


def test_kinds_have_their_own_prompts() -> None:
    """Queries that of queries, passages that of passages, here none."""
    assert render_prompt(INSTRUCT, TextKind.QUERY) == "Instruct: find\nQuery: "
    assert render_prompt(INSTRUCT, TextKind.PASSAGE) == ""


def test_an_instruction_takes_the_place_of_the_task() -> None:
    """Of this request; "" is one too."""
    assert render_prompt(INSTRUCT, TextKind.QUERY, "rank {it}") == "Instruct: rank {it}\nQuery: "
    assert render_prompt(INSTRUCT, TextKind.QUERY, "") == "Instruct: \nQuery: "


@pytest.mark.parametrize(
    ("convention", "kind", "instruction", "complaint"),
    [
        (INSTRUCT, TextKind.PASSAGE, "find", "takes no instruction for a passage"),
        (Convention("mean", 9, query_prompt="query: "), TextKind.QUERY, "find", "takes no instruction for a query"),
        (Convention("mean", 9, query_prompt="{task}: "), TextKind.QUERY, None, "no instruction of its own"),
        (INSTRUCT, TextKind.QUERY, "a {text}", "must have neither"),
        (INSTRUCT, TextKind.QUERY, "a {task}", "must have neither"),
    ],
)
def test_what_cannot_be_rendered_is_refused(
    convention: Convention, kind: TextKind, instruction: str | None, complaint: str
) -> None:
    """An instruction without a place, a place without one, and one that would open another place."""
    with pytest.raises(InvalidArgumentError, match=complaint) as caught:
        render_prompt(convention, kind, instruction)
    assert caught.value.field == "instruction"


def test_an_echo_has_the_text_twice() -> None:
    """By its own prompt, or by that of the paper behind the model's."""
    assert render_prompt(Convention("mean", 9, echo=True), TextKind.QUERY) == ECHO
    own = Convention("mean", 9, echo=True, query_prompt="a {text} b {text}", passage_prompt="p: ")
    assert render_prompt(own, TextKind.QUERY) == "a {text} b {text}"
    assert render_prompt(own, TextKind.PASSAGE) == "p: " + ECHO


def test_prompts_are_found_by_name() -> None:
    """Or those there are, are named."""
    convention = Convention("mean", 9, prompts={"sts": "compare: ", "code": "x"})
    assert named_prompt(convention, "sts") == "compare: "
    with pytest.raises(InvalidArgumentError, match="no prompt 'web'; known: code, sts"):
        named_prompt(convention, "web")


@pytest.mark.parametrize(
    ("template", "prompt", "task"),
    [
        ("Instruct: {task}\nQuery: ", "Instruct: a\nb (c)\nQuery: ", "a\nb (c)"),
        ("Instruct: {task}\nQuery: ", "Instruct: a\nQuery:", None),
        ("{task} | {task}", "x | x", "x"),
        ("{task} | {task}", "x | y", None),
        ("none", "none", None),
    ],
)
def test_a_task_is_read_back_from_its_prompt(template: str, prompt: str, task: str | None) -> None:
    """The inverse of rendering, None where no task gives the prompt."""
    assert task_of(template, prompt) == task
