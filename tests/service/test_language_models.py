"""The language models of a server."""

from pathlib import Path

import pytest

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.service.language_models import LanguageModels


def test_an_empty_name_is_the_default() -> None:
    """Another one has to be known; a path is never opened."""
    models = LanguageModels({"mine": Path("nowhere")})
    assert models.names == ("lodex-mini-lm", "mine")
    assert models.resolve("", "model") == models.default == "lodex-mini-lm"
    assert models.resolve("mine", "model") == "mine"
    with pytest.raises(NotFoundError, match="there are lodex-mini-lm, mine"):
        models.resolve("/etc", "model")
    assert LanguageModels({"mine": Path("nowhere")}, "mine").resolve("", "model") == "mine"
    with pytest.raises(InvalidArgumentError):
        LanguageModels(default="nothing")


def test_a_folder_that_is_not_there_is_named_when_it_is_needed() -> None:
    """Not before: a server starts without it."""
    models = LanguageModels({"mine": Path("nowhere")})
    assert models.loaded("mine") is None
    with pytest.raises(NotFoundError, match="nowhere"):
        models.load("mine")
