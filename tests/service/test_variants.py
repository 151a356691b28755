"""The sequences of tokens that a text stands for."""

from lodex.service.variants import context_variants, literal_variants, prompt_variants, search_variants


def test_a_search_means_four_cases_with_and_without_a_space() -> None:
    """As typed, lower, first letter a capital, upper; each with a space before it; each once."""
    assert search_variants("New york") == (
        "New york",
        " New york",
        "new york",
        " new york",
        "NEW YORK",
        " NEW YORK",
    )
    assert search_variants("cat") == ("cat", " cat", "Cat", " Cat", "CAT", " CAT")


def test_a_text_with_a_space_before_it_is_capitalised_behind_the_space() -> None:
    """The first letter is the first that is no space."""
    assert " Cat" in search_variants(" cat")


def test_signs_have_no_case() -> None:
    """A text without letters has two variants."""
    assert search_variants("==") == ("==", " ==")


def test_a_prompt_drops_the_white_space_at_its_end() -> None:
    """The tokens that follow bring their own space."""
    assert prompt_variants("the cat \n") == prompt_variants("the cat")
    assert prompt_variants("  ") == prompt_variants("") == ("",)


def test_a_context_keeps_its_case() -> None:
    """What is read is not searched for in other cases."""
    assert context_variants("Once Upon ") == ("Once Upon", " Once Upon")
    assert context_variants(" ") == ("",)


def test_a_literal_text_stands_for_itself() -> None:
    """White space included."""
    assert literal_variants("The cat ") == ("The cat ",)
