"""Triton's interpreter, which runs kernels on a CPU."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

Call = tuple[str, str, tuple[Any, ...]]
Interpret = Callable[[Sequence[Call]], list[torch.Tensor]]


@pytest.fixture(scope="session")
def interpret(tmp_path_factory: pytest.TempPathFactory) -> Interpret:
    """Calls (module, function, arguments), all in one child process where Triton interprets its kernels."""
    pytest.importorskip("triton", reason="kernels are interpreted by Triton, of the extra [gpu]")

    def run(calls: Sequence[Call]) -> list[torch.Tensor]:
        folder = tmp_path_factory.mktemp("interpreted")
        (folder / "calls").write_bytes(pickle.dumps(list(calls)))
        subprocess.run(
            [sys.executable, Path(__file__).with_name("interpreted.py"), folder / "calls", folder / "results"],
            check=True,
            env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        )
        results: list[torch.Tensor] = pickle.loads((folder / "results").read_bytes())
        return results

    return run
