"""Running the checks of `scripts/` from tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SCRIPTS = Path(__file__).parents[1] / "scripts"
_NO_COMPILER = 77


def run_script(folder: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Run a script to a good end and return what it writes with --json. Skips the test where it needs a C compiler."""
    report = folder / "report.json"
    command = [sys.executable, str(_SCRIPTS / name), *arguments, "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == _NO_COMPILER:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(report.read_text())
    return found
