"""The prompt of a question: as many of the passages as fit, the best nearest the question.

Ram et al. 2023, In-Context Retrieval-Augmented Language Models (arXiv:2302.00083), puts passages before the text; that
models use best what stands at the end of a context is Liu et al. 2023, Lost in the Middle (arXiv:2307.03172).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.lm.model import LanguageModel
from lodex.types import Hit


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """How passages and a question become a prompt; `{title}` and `{text}`, and `{question}`, are put in.

    `titled` is a passage with a title, `untitled` one without.
    """

    titled: str
    untitled: str
    question: str


TEMPLATES: Mapping[str, PromptTemplate] = {
    # For models that continue text: a document that holds the passages, then a question and the start of its answer.
    "plain": PromptTemplate("{title}\n{text}\n\n", "{text}\n\n", "Question: {question}\nAnswer:"),
}
DEFAULT_TEMPLATE = "plain"


@dataclass(frozen=True, slots=True)
class PackedPrompt:
    """A prompt, the hits in it, best first, and how many more did not fit."""

    token_ids: tuple[int, ...]
    hits: tuple[Hit, ...]
    left_out: int


def pack_passages(
    model: LanguageModel,
    question: str,
    hits: Sequence[Hit],
    context_tokens: int | None = None,
    template: str = "",
    answer_tokens: int = 0,
) -> PackedPrompt:
    """Put the best hits that fit into `context_tokens` before the question.

    None is what the model's limit leaves beside the question and an answer of `answer_tokens`, for which at most a
    quarter of the limit is kept free: what is longer is made as the first passages leave the window. More than the
    limit leaves beside the question is never given. InvalidArgumentError for a question that leaves no room at all.

    A hit that does not fit is left out, and worse but shorter ones may still be in. Titles and texts are put in as
    they are: nothing in them is read as a part of the template. NotFoundError for a template that does not exist.
    """
    form = _template(template)
    question_ids = model.encode(form.question.replace("{question}", question))
    if context_tokens is not None and context_tokens < 0:
        raise InvalidArgumentError(f"context_tokens is {context_tokens}, it must not be negative", "context_tokens")
    limit = model.info.max_tokens
    room = limit - 2 - len(question_ids)  # the start token before them all, and a first token of the answer
    if room < 0:
        raise InvalidArgumentError(
            f"the question has {len(question_ids)} tokens, {model.info.name!r} reads {limit} at once", "question"
        )
    budget = room - min(answer_tokens, limit // 4) if context_tokens is None else context_tokens
    budget = max(0, min(budget, room))
    chosen: list[Hit] = []
    pieces: list[list[int]] = []
    for hit in hits:
        ids = model.encode(_passage(form, hit))
        if len(ids) <= budget:
            budget -= len(ids)
            chosen.append(hit)
            pieces.append(ids)
    token_ids = [token for ids in reversed(pieces) for token in ids] + question_ids
    return PackedPrompt(tuple(token_ids), tuple(chosen), len(hits) - len(chosen))


def _template(name: str) -> PromptTemplate:
    if (name or DEFAULT_TEMPLATE) not in TEMPLATES:
        raise NotFoundError(f"no prompt template {name!r}; there are {', '.join(TEMPLATES)}")
    return TEMPLATES[name or DEFAULT_TEMPLATE]


def _passage(form: PromptTemplate, hit: Hit) -> str:
    passage = hit.passage
    text = " ".join(passage.text.split())
    if not passage.title:
        return form.untitled.replace("{text}", text)
    before, after = form.titled.split("{text}")
    return before.replace("{title}", passage.title) + text + after
