"""Training from the command line: a store in, a folder out that opens and says what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lodex.cli import app
from lodex.index.store import Store
from lodex.lm.registry import load_language_model
from lodex.types import Document

pytest.importorskip("matplotlib", reason="a training draws its losses, by the extra [train]")
Train = Callable[..., str]
SMALL = ("--hidden", "16", "--layers", "1", "--heads", "2", "--intermediate", "24", "--context", "64")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Twenty documents of some thousand tokens."""
    sentences = ["the cat sat on the mat. ", "a dog ran over the road. ", "nobody saw the ship leave. "]
    documents = [Document(f"d{i}", (sentences[i % 3] * 160)[i:], source="tales") for i in range(20)]
    Store.create(tmp_path / "store").add(documents)
    return tmp_path / "store"


@pytest.fixture
def train(store: Path, model_folder: Path) -> Train:
    """Runs `lodex train lm` on the store over a tokenizer of letters."""

    def run(out: Path, *words: str) -> str:
        command = ["train", "lm", str(store), "--out", str(out), "--tokenizer", str(model_folder), *SMALL, *words]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    return run


@pytest.fixture(autouse=True)
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process, without compiling, by small batches."""
    monkeypatch.setattr("lodex.embed.training.trainer.tune_allocator", lambda: None)
    monkeypatch.setattr("lodex.embed.training.trainer.can_compile", lambda: False)
    monkeypatch.setattr("lodex.lm.training.next_token._BATCH_TOKENS", 512)


def test_a_trained_folder_opens_and_states_what_it_reaches(train: Train, tmp_path: Path) -> None:
    """The folder holds the model, its card, its record and its plot; held-out texts are measured."""
    book = tmp_path / "book.txt"
    book.write_text("the cat ran over the mat. " * 20)
    output = train(tmp_path / "out", "--steps", "4", "--dev-share", "0.2", "--held-out", str(book))
    model = load_language_model(tmp_path / "out")
    assert model.info.max_tokens == 64
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["log"]["steps"] == 4
    measured = {one["name"]: one for one in record["measured"]}
    assert measured["book.txt"]["text_bytes"] == book.stat().st_size
    assert set(measured) == {"book.txt", "kept apart: tales"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| {measured['book.txt']['bits_per_byte']:.4f} |" in card
    assert f"{measured['book.txt']['bits_per_byte']:.4f}" in output
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_training_goes_on_where_it_was(train: Train, tmp_path: Path) -> None:
    """A second call with a larger budget takes the steps that are left."""
    train(tmp_path / "out", "--steps", "2")
    train(tmp_path / "out", "--steps", "3")
    assert json.loads((tmp_path / "out" / "training.json").read_text())["log"]["steps"] == 3
