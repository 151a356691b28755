"""Rows of the report: what was measured, beside the peer and what is asked for; as a table and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# By row: what is needed, and what is aimed at.
TARGETS: dict[str, tuple[float, float]] = {
    "build_tokens_per_cpu_s": (15e6, 22e6),
    "build_rss_bytes_per_token": (8, 7),
    "build_43m_tokens_per_cpu_s": (15e6, 22e6),
    "build_43m_rss_bytes_per_token": (8, 7),
    "merge_ns_per_token": (30, 20),
    "merge_hard_ns_per_token": (90, 60),
    "count_n5_us": (2.0, 1.5),
    "count_n5_batched_us": (0.55, 0.40),
    "prob_n5_us": (4, 2.5),
    "infgram_prob_l32_us": (8, 5),
    "ntd_2_us": (35, 20),
    "ntd_2_batched_us": (35, 20),
    "ntd_2_p99_us": (400, 250),
    "ntd_2_arrays_p99_us": (400, 250),
    "creativity_256_us": (120, 75),
    "trace_256_ms": (1.5, 0.7),
    "score_us_per_token": (1.1, 0.6),
    "cold_count_n5_pages": (16, 15),
    "cold_count_n5_pages_disk_keys": (6, 4),
    "sidecar_bytes_per_token": (0.03, 0.03),
}
WORST_TOKENS_PER_CPU_S, WORST_RSS = (8e6, 15e6), (9.0, 8.0)
# A note longer than this stands under the table.
_LONG = 64
console = Console(width=150)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `runs` are those whose median it is; `note` says what a reader should know."""

    name: str
    value: float
    unit: str
    better: str = "lower"
    peer_value: float | None = None
    note: str = ""
    runs: list[float] = field(default_factory=list)
    peer_runs: list[float] = field(default_factory=list)
    needed: float | None = None
    aim: float | None = None

    @property
    def targets(self) -> tuple[float, float] | None:
        """What is needed and what is aimed at, if anything is."""
        if self.needed is not None and self.aim is not None:
            return self.needed, self.aim
        return TARGETS.get(self.name)

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer."""
        if not self.peer_value or not self.value:
            return None
        return self.peer_value / self.value if self.better == "lower" else self.value / self.peer_value

    def reaches(self, target: float) -> bool:
        """Whether the value is as good as a target."""
        return self.value <= target if self.better == "lower" else self.value >= target

    def in_memory(self) -> Row:
        """The same of files that were read into memory, asked for the same."""
        needed, aim = self.targets or (None, None)
        return replace(self, name=f"{self.name}_in_memory", needed=needed, aim=aim)

    def verdict(self) -> str:
        """`aim`, `pass` or `short`."""
        if self.targets is None:
            return ""
        needed, aim = self.targets
        return "aim" if self.reaches(aim) else "pass" if self.reaches(needed) else "short"

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        found = asdict(self) | {"peer": "infini-gram" if self.peer_value is not None else None, "ratio": self.ratio}
        found |= {"mean": statistics.mean(self.runs)} if self.runs else {}
        needed, aim = self.targets or (None, None)
        return found | {"needed": needed, "aim": aim, "verdict": self.verdict() or None}


def print_rows(rows: list[Row]) -> None:
    """A table for people."""
    table = Table(box=None)
    for column in ("", "infini-gram", "lodex", "unit", "ratio", "needed", "aim", "", "note"):
        table.add_column(
            column, justify="left" if column in ("", "unit", "note") else "right", no_wrap=column != "note"
        )
    for row in rows:
        targets = [shorten(target) for target in row.targets or ()] or ["", ""]
        peer = "" if row.peer_value is None else shorten(row.peer_value)
        ratio = "" if row.ratio is None else f"{row.ratio:,.3g}" if row.ratio < 100 else f"{row.ratio:,.0f}"
        table.add_row(
            row.name,
            peer,
            shorten(row.value),
            row.unit,
            ratio,
            *targets,
            row.verdict(),
            row.note if len(row.note) < _LONG else "below",
        )
    console.print(table)
    for row in rows:
        if len(row.note) >= _LONG:
            console.print(f"{row.name}: {row.note}")


def shorten(value: float) -> str:
    """Three digits, millions as M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def surroundings() -> dict[str, Any]:
    """Machine, versions, date and commit."""
    machine = {"cpu_count": os.cpu_count(), "platform": platform.platform(), "cpu": _cpu(), "caches": caches()}
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in ("infini-gram", "numpy", "tokenizers")}
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"machine": machine, "versions": versions, "date": datetime.now(UTC).date().isoformat(), "commit": commit}


def caches() -> dict[str, int]:
    """Bytes of the caches of the first core, as the machine reports them."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(size[-1], 0)
    return found


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
