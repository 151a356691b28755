"""Opening a language model."""

import shutil
from pathlib import Path

import pytest

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.lm.model import LanguageModel
from lodex.lm.registry import load_language_model


def test_text_goes_to_ids_and_back(model: LanguageModel) -> None:
    """The tokenizer of the folder is the model's."""
    assert model.encode("abé.") == [1, 2, 29, 28]
    assert model.decode([1, 2, 29, 28]) == "abé."


def test_what_it_is_is_known(model: LanguageModel) -> None:
    """Name, context and fingerprints say which model it is."""
    assert model.info.name == "letters"
    assert model.info.max_tokens == 16
    assert model.info.vocab_size == 30
    assert model.info.fingerprint.startswith("sha256:")
    assert model.end_ids == {0}


def test_equal_files_have_equal_fingerprints_and_others_do_not(
    model: LanguageModel, model_folder: Path, tmp_path: Path
) -> None:
    """The fingerprint is of the content, not of the place."""
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    assert load_language_model(copy).info.fingerprint == model.info.fingerprint
    (copy / "config.json").write_text((copy / "config.json").read_text().replace("1e-06", "1e-05"))
    assert load_language_model(copy).info.fingerprint != model.info.fingerprint


def test_a_folder_without_a_tokenizer_is_refused(model_folder: Path, tmp_path: Path) -> None:
    """The error names the file that is missing."""
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(InvalidArgumentError, match=r"no tokenizer\.json"):
        LanguageModel.open(copy)


def test_what_is_no_folder_is_not_found() -> None:
    """The error lists the names that are known."""
    with pytest.raises(NotFoundError, match="lodex-mini-lm"):
        load_language_model("gpt-nonsense")


def test_ids_outside_the_vocabulary_are_refused(model: LanguageModel) -> None:
    """The error names the place of the first one."""
    with pytest.raises(InvalidArgumentError, match=r"texts\[2\]\.tokens\[1\] is 30"):
        model.require_ids([3, 30], "texts[2]")
