"""The gate of bfloat16, with models whose rounding the test decides."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lodex.embed.runtime import precision as module
from lodex.embed.runtime.precision import PROBES, choose_precision, multiplies_bfloat16

CPU = torch.device("cpu")
Embed = Callable[[tuple[str, ...]], npt.NDArray[np.float32]]


def exact(texts: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """A random vector of length 1 for each text."""
    vectors = np.random.default_rng(0).normal(size=(len(texts), 64)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def turned(which: int, cosine: float) -> Embed:
    """`exact`, with one vector at an angle of that cosine."""

    def embed(texts: tuple[str, ...]) -> npt.NDArray[np.float32]:
        vectors = exact(texts)
        other = np.zeros(64, np.float32)
        other[:2] = -vectors[which, 1], vectors[which, 0]
        other /= np.linalg.norm(other)
        vectors[which] = cosine * vectors[which] + np.sqrt(1 - cosine**2) * other
        return vectors

    return embed


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: True)


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("which", [0, len(PROBES) // 2, len(PROBES) - 1])
def test_one_vector_decides(which: int) -> None:
    """A single cosine below 0.999 keeps float32, one at it does not, wherever it stands."""
    near = choose_precision(lambda: exact, lambda: turned(which, 0.9992), CPU)
    assert near.precision == "bfloat16"
    assert near.cosine_min == pytest.approx(0.9992, abs=1e-5)
    far = choose_precision(lambda: exact, lambda: turned(which, 0.9988), CPU)
    assert far.precision == "float32"
    assert "0.9988" in far.reason


@pytest.mark.usefixtures("with_bfloat16")
def test_a_vector_that_is_no_number_is_not_near() -> None:
    """An overflow in bfloat16 keeps float32."""
    broken = choose_precision(lambda: exact, lambda: lambda texts: exact(texts) * np.float32(np.nan), CPU)
    assert broken.precision == "float32"


def test_without_the_instructions_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that would only imitate bfloat16 keeps float32, and no model is opened for it."""
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: False)

    def refuse() -> Embed:
        raise AssertionError("opened")

    report = choose_precision(refuse, refuse, CPU)
    assert (report.precision, report.cosine_min) == ("float32", 1.0)
    assert "no bfloat16" in report.reason


def test_the_machine_is_asked() -> None:
    """An answer for a CPU, and none for what torch cannot compute on."""
    assert multiplies_bfloat16(CPU) in (True, False)
    assert not multiplies_bfloat16(torch.device("meta"))


def test_probes_are_of_all_sorts() -> None:
    """Empty, short, long, repeated and non-English texts are among them, each once."""
    assert len(set(PROBES)) == len(PROBES)
    assert "" in PROBES
    assert max(map(len, PROBES)) > 4000
    assert any(len(set(text.split())) == 1 and len(text.split()) > 100 for text in PROBES)
    assert sum(not text.isascii() for text in PROBES) >= 5
