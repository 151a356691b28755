"""Work done in processes of its own, so that memory, threads and page tables of engines do not mix; what it cost."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_POLL_S = 0.02
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class ChildError(Exception):
    """A child did not finish: it was killed by a signal, took too long or raised. Says which."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took: user and system time, and its largest resident memory."""

    cpu_s: float
    peak_bytes: int
    failure: str = ""


def call(function: str, limit_s: float = 3600, **values: Any) -> Any:
    """The result of `module:function` of this package with JSON values, called in a fresh process."""
    command = [sys.executable, sys.argv[0], "--child", function, json.dumps(values, default=str)]
    try:
        done = subprocess.run(
            command, env=os.environ | ENVIRONMENT, stdout=subprocess.PIPE, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ChildError(f"{function} took longer than {limit_s:g} s") from None
    if done.returncode:
        raise ChildError(f"{function} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(function: str, values: str) -> None:
    """Do what `call` asked this process for; the result is the last line of the output."""
    module, name = function.split(":")
    found = getattr(importlib.import_module(f"suffix_bench.{module}"), name)(**json.loads(values))
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def watch(command: Sequence[str], timeout_s: float = 3600) -> Cost:
    """Run a command and watch its memory. The kernel's own peak starts at that of the process that started it."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=os.environ | ENVIRONMENT)
        peak, begin = 0, time.monotonic()
        failure = ""
        while True:
            peak = max(peak, read_status("VmHWM", process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - begin > timeout_s:
                process.kill()
                failure = f"no end after {timeout_s:g} s"
            time.sleep(_POLL_S)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and not failure:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            failure = f"ended with {process.returncode}: {lines[0][:160] if lines else ''}"
    return Cost(usage.ru_utime + usage.ru_stime, peak, failure)


def read_status(field: str, pid: int | str = "self") -> int:
    """A size in /proc/PID/status, in bytes; 0 where the process has no memory any more."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)


class PeakMemory:
    """How much more memory than before was resident at most since it was made."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = read_status("VmRSS")

    def bytes(self) -> int:
        """In bytes."""
        return read_status("VmHWM") - self._before
