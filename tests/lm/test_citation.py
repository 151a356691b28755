"""Citations by the words that sentences share with passages."""

import pytest

from lodex.lm.citation import cite
from lodex.types import Citation, Hit, Passage


def hit(text: str, title: str = "") -> Hit:
    return Hit(Passage("d#0", "d", 0, 0, len(text), text, "0" * 32, title=title), 0.5)


HITS = [
    hit("Boil the pasta in salted water, then stir the sauce and serve it hot."),
    hit("Rockets leave the ground by throwing gas downwards.", "Space flight of 1957"),
    hit("Salted water boils at a higher temperature than fresh water."),
]


def spans(answer: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(answer.encode()[c.begin : c.end].decode(), c.hits) for c in cite(answer, HITS)]


def test_each_sentence_names_its_passages() -> None:
    """By their numbers, in the order of the answer; white space between sentences belongs to none."""
    answer = " First boil the pasta.  ROCKETS throw gas downwards!\nThey were unknown before Christmas."
    assert spans(answer) == [("First boil the pasta.", (0,)), ("ROCKETS throw gas downwards!", (1,))]


def test_spans_are_bytes() -> None:
    """A character of several bytes before a sentence moves it by as many."""
    assert cite("Où ? Boil pasta.", HITS) == [Citation(6, 17, (0,))]


def test_the_greatest_share_comes_first() -> None:
    """Equal shares in the order of the passages."""
    assert spans("The water is fresh and salted.") == [("The water is fresh and salted.", (2, 0))]
    assert spans("Salted water.") == [("Salted water.", (0, 2))]


def test_half_of_the_words_is_enough_and_less_is_not() -> None:
    """Words of fewer than four letters do not count, nor does the number of times a word stands there."""
    assert spans("Boil pasta until tender.") == [("Boil pasta until tender.", (0,))]
    assert spans("Boil pasta pasta pasta until tender, slowly, softly.") == []
    assert spans("Boil it in a pot, so it is hot.") == [("Boil it in a pot, so it is hot.", (0,))]


def test_titles_and_numbers_count() -> None:
    """A passage is known by its title too; a number is a word however short."""
    assert spans("Flight in 1957.") == [("Flight in 1957.", (1,))]
    assert spans("1957 7 8 9") == []


def test_at_most_three_passages_are_named() -> None:
    """The first of equal ones."""
    assert cite("Boil pasta.", [HITS[0]] * 5)[0].hits == (0, 1, 2)


@pytest.mark.parametrize("answer", ["", "   ", "...", "\n\n", "of it is so."])
def test_nothing_to_cite_is_no_citation(answer: str) -> None:
    """An answer without words rests on nothing."""
    assert cite(answer, HITS) == []
    assert cite("Boil pasta.", []) == []


def test_marks_inside_a_sentence_do_not_end_it() -> None:
    """Only one that white space follows, with the quotation mark behind it."""
    answer = "He said “boil 3.5 liters of salted water.” Rockets leave."
    assert [text for text, _ in spans(answer)] == ["Rockets leave."]
    assert spans("“Boil salted pasta water.” Yes.")[0][0] == "“Boil salted pasta water.”"


def test_a_long_answer_is_quick() -> None:
    """Time grows with the length, not with its square."""
    assert len(cite("Boil the pasta. " * 20_000, HITS[:1])) == 20_000
