"""The embedders of a server."""

import subprocess
import sys
from pathlib import Path

import pytest

from lodex.errors import CancelledError, InvalidArgumentError, NotFoundError
from lodex.service.call import Call
from lodex.service.embedded import run_inline
from lodex.service.models import Models


class FleetingCall(Call):
    """A call whose caller leaves when it is asked for the fifth time."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    def check(self) -> None:
        """Count, and go on until the fifth time."""
        self.checks += 1
        if self.checks == 5:
            self.give_up()
        super().check()


@pytest.fixture
def models() -> Models:
    """What is packaged, and a folder that is not there."""
    return Models({"mine": Path("nowhere")})


def test_an_empty_name_is_the_default(models: Models) -> None:
    """Another one has to be known; a path is never opened."""
    assert models.resolve("", "model") == models.default == "minilm"
    assert models.resolve("mine", "model") == "mine"
    with pytest.raises(NotFoundError, match="minilm"):
        models.resolve("/etc", "model")
    with pytest.raises(InvalidArgumentError):
        Models(default="nothing")


def test_a_model_is_loaded_when_it_is_needed(models: Models) -> None:
    """Once, and known from then on."""
    assert models.names == ("minilm", "mine")
    assert models.loaded("minilm") is None
    assert models.load("minilm") is models.load("minilm")
    assert models.loaded("minilm") is models.load("minilm")
    with pytest.raises(NotFoundError, match="nowhere"):
        models.load("mine")


def test_embedding_stops_when_nobody_waits(models: Models) -> None:
    """Between two batches of texts, not at the end of all."""
    call = FleetingCall()
    texts = ["word " * 250] * 40
    embedder = models.embedder("minilm")
    with pytest.raises(CancelledError):
        run_inline(models.embed_queries(embedder.info, texts, call))
    assert call.checks == 5
    assert embedder.queue.statistics.texts < 40


@pytest.mark.slow
def test_models_of_two_kinds_load_at_once() -> None:
    """In a fresh process, two threads whose first models import transformers do not meet it half made."""
    program = (
        "import threading\n"
        "from lodex.service.language_models import LanguageModels\n"
        "from lodex.service.models import Models\n"
        "failed = []\n"
        "def load(models):\n"
        "    try:\n"
        "        models.load(models.default)\n"
        "    except BaseException as error:\n"
        "        failed.append(error)\n"
        "threads = [threading.Thread(target=load, args=(kind(),)) for kind in (Models, LanguageModels)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "raise SystemExit(repr(failed) if failed else 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
