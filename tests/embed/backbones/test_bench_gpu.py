"""The bench of a GPU where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/bench_embed_gpu.py"


@pytest.mark.slow
def test_it_says_that_there_is_no_gpu() -> None:
    """A sentence and an exit code, no traceback and no numbers."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "needs a GPU" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
