"""What the sections of the bench share: the corpus, and where engines disagree."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suffix_bench.corpus import Corpus
from suffix_bench.report import Row, console


@dataclass(slots=True)
class Bench:
    """What all sections share."""

    corpus: Corpus
    quick: bool
    seed: int
    failures: list[str] = field(default_factory=list)

    @property
    def work(self) -> Path:
        """Where sections put what they need for a while."""
        return self.corpus.folder.parent

    def same(self, what: str, is_same: bool) -> None:
        """Note where engines differ."""
        if not is_same:
            self.failures.append(f"{what} differ")
            console.print(f"[red]{what} differ[/]")


def compare(bench: Bench, what: str, theirs: list[Any], mine: list[Any]) -> str:
    """Note the answers that differ where the peer's are exact; returns how many were compared."""
    pairs = [(a, b) for a, b in zip(theirs, mine, strict=True) if a is not None]
    different = [(i, a, b) for i, (a, b) in enumerate(pairs) if a != b]
    bench.same(f"{what}: {len(different)} of {len(pairs):,} answers", not different)
    for number, a, b in different[:3]:
        console.print(f"  {number}: {a} / {b}")
    return f"{len(pairs) - len(different):,} of {len(theirs):,} answers equal" + (
        f", {len(theirs) - len(pairs):,} sampled there" if len(pairs) < len(theirs) else ""
    )


def row_of(name: str, runs: list[float], unit: str, better: str, peer_runs: list[float], note: str = "") -> Row:
    """A row of medians."""
    peer = statistics.median(peer_runs) if peer_runs else None
    return Row(name, statistics.median(runs), unit, better, peer, note, runs, peer_runs)
