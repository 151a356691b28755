"""One engine in a process of its own, on one core: its start, and its time over the same texts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OPENVINO_TELEMETRY": "0",
}


class ChildError(Exception):
    """A child did not finish."""


def measure(engine: str, work: Path, core: int, passes: int) -> dict[str, Any]:
    """What `run` tells of an engine, from a fresh process pinned to a core."""
    command = [sys.executable, sys.argv[0], "--child", engine, "--work", str(work), "--passes", str(passes)]
    done = subprocess.run(
        command,
        env=os.environ | ONE_THREAD,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ChildError(f"{engine} ended with {done.returncode}: {lines[-1] if lines else ''}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(engine: str, work: Path, passes: int) -> None:
    """Embed the texts of `work` once unmeasured, then `passes` times; leave the vectors and print the figures.

    The first pass compiles kernels for the shapes that come; its time is told apart.
    """
    import numpy as np
    import torch
    from embed_bench.engines import ENGINES

    torch.set_num_threads(1)
    texts = json.loads((work / "texts.json").read_text())
    begin = time.process_time()
    opened = ENGINES[engine](Path((work / "folder").read_text()))
    load_s, begin = time.process_time() - begin, time.process_time()
    vectors = opened.embed(texts)
    first_s = time.process_time() - begin
    cpu, wall = [], []
    for _ in range(passes):
        cpu_begin, wall_begin = time.process_time(), time.monotonic()
        opened.embed(texts)
        cpu.append(time.process_time() - cpu_begin)
        wall.append(time.monotonic() - wall_begin)
    np.save(work / f"{engine}.npy", vectors)
    peak = _peak_bytes()
    found = {"precision": opened.precision, "version": opened.version, "load_s": load_s, "first_s": first_s}
    sys.stdout.write("\n" + json.dumps(found | {"cpu_s": cpu, "wall_s": wall, "peak_bytes": peak}) + "\n")


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
