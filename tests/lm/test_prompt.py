"""Prompts of retrieved passages."""

from types import SimpleNamespace

import pytest

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.lm.prompt import pack_passages
from lodex.types import Hit, Passage


def hit(number: int, text: str, title: str = "") -> Hit:
    return Hit(Passage(f"d#{number}", "d", number, 0, 1, text, "k", title=title), 1.0 - number)


def bundled():
    from lodex.index.tokenizer import Tokenizer

    return Tokenizer.load()


class Budget:
    """A model as far as packing needs it: the bundled tokenizer, and a limit."""

    def __init__(self) -> None:
        self.tokenizer = bundled()
        self.info = SimpleNamespace(max_tokens=200, name="budget")

    def encode(self, text: str) -> list[int]:
        """As a model does."""
        return self.tokenizer.encode(text).tolist()


def text_of(prompt) -> str:
    return bundled().decode(list(prompt.token_ids))


def test_the_best_passage_stands_nearest_the_question() -> None:
    """All passages are in, in reverse order, with their titles, then the question."""
    prompt = pack_passages(Budget(), "why?", [hit(0, "best"), hit(1, "second", "Its title"), hit(2, "third")], 100)
    assert text_of(prompt) == "third\n\nIts title\nsecond\n\nbest\n\nQuestion: why?\nAnswer:"
    assert [h.passage.text for h in prompt.hits] == ["best", "second", "third"]
    assert prompt.left_out == 0


def test_passages_fill_the_budget_and_no_more() -> None:
    """What does not fit is left out; a shorter one behind it still gets in."""
    hits = [hit(0, "one two three four"), hit(1, "word " * 50), hit(2, "five six")]
    budget = len(Budget().encode("one two three four\n\n")) + len(Budget().encode("five six\n\n"))
    prompt = pack_passages(Budget(), "why?", hits, budget)
    assert [h.passage.ordinal for h in prompt.hits] == [0, 2]
    assert prompt.left_out == 1
    assert len(prompt.token_ids) == budget + len(Budget().encode("Question: why?\nAnswer:"))
    assert pack_passages(Budget(), "why?", hits, budget - 1).left_out == 2


def test_without_room_the_question_stands_alone() -> None:
    """A budget of nothing is no error."""
    prompt = pack_passages(Budget(), "why?", [hit(0, "text")], 0)
    assert text_of(prompt) == "Question: why?\nAnswer:"
    assert (prompt.hits, prompt.left_out) == ((), 1)


def test_what_the_limit_leaves_is_the_budget() -> None:
    """Without a budget the passages, the question, the start token and the answer fill the model's context."""
    text = "word " * 165
    question = len(Budget().encode("Question: why?\nAnswer:"))
    used = len(Budget().encode(text.strip() + "\n\n"))
    room = 200 - 2 - question - used
    assert 0 < room < 50
    assert pack_passages(Budget(), "why?", [hit(0, text)], answer_tokens=room).left_out == 0
    assert pack_passages(Budget(), "why?", [hit(0, text)], answer_tokens=room + 1).left_out == 1


def test_an_answer_of_any_length_leaves_room_for_passages() -> None:
    """At most a quarter of the context is kept free for it."""
    assert pack_passages(Budget(), "why?", [hit(0, "short")], answer_tokens=5000).left_out == 0


def test_no_budget_takes_more_than_the_model_reads() -> None:
    """Passages that would push each other out of the window are left out, whatever budget is asked for."""
    prompt = pack_passages(Budget(), "why?", [hit(i, "word " * 60) for i in range(9)], 5000)
    assert len(prompt.token_ids) <= 198
    assert prompt.left_out == 9 - len(prompt.hits) > 0


def test_a_question_beyond_the_context_is_refused() -> None:
    """It would lose its own beginning."""
    with pytest.raises(InvalidArgumentError, match="reads 200"):
        pack_passages(Budget(), "why " * 300, [])


def test_texts_cannot_imitate_the_template() -> None:
    """Braces in a passage, a title or a question stay what they are."""
    prompt = pack_passages(Budget(), "{title}?", [hit(0, "{question} {text}", "{text}")], 100)
    assert text_of(prompt) == "{text}\n{question} {text}\n\nQuestion: {title}?\nAnswer:"


def test_an_unknown_template_is_not_found() -> None:
    """The error lists those there are."""
    with pytest.raises(NotFoundError, match="plain"):
        pack_passages(Budget(), "why?", [], 10, "fancy")
