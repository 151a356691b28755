"""The registry of models: its facts are marked, fit `Convention`, and complete what folders state."""

from typing import Any, get_args

import pytest

from lodex.embed.conventions.convention import Attention, InstructionMask, PoolingName
from lodex.embed.conventions.models import SOURCES, KnownModel, complete, find_model, known_models
from lodex.embed.conventions.templates import TASK, render_prompt
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind

LENGTH = {"max_tokens": 64}


@pytest.mark.parametrize("model", known_models(), ids=lambda model: model.names[0])
def test_every_fact_is_marked_and_of_its_sort(model: KnownModel) -> None:
    """Each has a source, names are ours, templates have a task where they ask for one, sizes fall."""
    facts = model.facts
    assert set(model.sources) >= set(facts)
    assert set(model.sources.values()) <= set(SOURCES)
    assert facts.get("attention", "native") in get_args(Attention)
    assert facts.get("pooling", "mean") in get_args(PoolingName)
    assert facts.get("instruction_mask", "none") in get_args(InstructionMask)
    assert bool(facts.get("default_task")) == (TASK in facts.get("query_prompt", ""))
    sizes = facts.get("matryoshka", ())
    assert list(sizes) == sorted(sizes, reverse=True)
    assert not sizes or sizes[0] == model.dimension
    convention = complete({"pooling": "mean"} | facts | LENGTH, model.names[0], "folder")
    assert "{task}" not in render_prompt(convention, TextKind.QUERY)


def test_no_name_is_two_models() -> None:
    """Neither a hub name, nor what a folder of it is called."""
    names = [name.lower() for model in known_models() for name in model.names]
    names += [name.rpartition("/")[2] for name in names if "/" in name]
    assert len(set(names)) == len(names)


def test_the_models_of_the_field_are_known() -> None:
    """By hub name or folder, whatever the case."""
    for name in ("nvidia/NV-Embed-v2", "e5-mistral-7b-instruct", "qwen/qwen3-embedding-0.6b", "embeddinggemma-300m"):
        assert find_model(name) is not None
    assert find_model("somebody/e5-mistral-7b-instruct") is None
    assert find_model("") is None


def test_the_registry_fills_what_a_folder_leaves_open() -> None:
    """A bare e5-mistral is causal, pooled by its end, and has its template."""
    convention = complete(LENGTH, "e5-mistral-7b-instruct", "folder")
    assert (convention.attention, convention.pooling, convention.adds_end) == ("causal", "last", True)
    assert convention.query_prompt == "Instruct: {task}\nQuery: "
    assert (convention.licence, convention.source) == ("MIT", "memory")


def test_a_folder_s_prompt_gives_the_task_of_the_template() -> None:
    """As published files have one rendered prompt; another instruction may still be asked for."""
    stated: dict[str, Any] = LENGTH | {"pooling": "last", "query_prompt": "Instruct: rank these\nQuery:"}
    convention = complete(stated, "Qwen/Qwen3-Embedding-4B", "folder")
    assert (convention.query_prompt, convention.default_task) == ("Instruct: {task}\nQuery:", "rank these")
    assert render_prompt(convention, TextKind.QUERY) == stated["query_prompt"]


@pytest.mark.parametrize(
    "stated",
    [{"pooling": "mean"}, {"attention": "bidirectional"}, {"query_prompt": "query: "}, {"passage_prompt": "p"}],
)
def test_a_contradiction_is_an_error(stated: dict[str, Any]) -> None:
    """A folder of a known name that states otherwise holds another model, or is broken."""
    with pytest.raises(InvalidArgumentError, match=f"{next(iter(stated))} is .*known to be"):
        complete(LENGTH | stated, "intfloat/e5-mistral-7b-instruct", "folder")


def test_the_shorter_length_holds() -> None:
    """Of folder and registry, whichever it is."""
    assert complete({"max_tokens": 512}, "e5-mistral-7b-instruct", "f").max_tokens == 512
    assert complete({"max_tokens": 32768}, "e5-mistral-7b-instruct", "f").max_tokens == 4096


def test_an_unknown_model_must_say_how_it_pools() -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidArgumentError, match="does not say how its tokens are pooled"):
        complete(LENGTH, "mine", "folder")
    assert complete(LENGTH | {"pooling": "cls"}, "mine", "folder").pooling == "cls"
