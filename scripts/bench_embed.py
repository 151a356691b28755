#!/usr/bin/env python
"""Lodex's embedder beside sentence-transformers and OpenVINO: one model, the same texts, one core.

    scripts/bench_embed.py [--texts 1000] [--rounds 3] [--quick] [--engines lodex,openvino] [--core 0] [--json FILE]

all-MiniLM-L6-v2 embeds abstracts of SciFact and Cranfield, cut to 5 to 256 tokens in random order. Every engine is a
process of its own with one thread on one core, and is given the texts as strings. sentence-transformers runs as it
comes (sorted by length, batches of 32, float32), OpenVINO with the network converted by itself, sorted, batches of 32
and the precision that it chooses. A round starts every engine afresh, in turn, so that other work on the machine falls
on all; a first pass over the texts is not counted. Figures are texts and tokens in a second of CPU time of the process,
the median of all passes; tokens are those of the texts, padding is none. `cosine` is the smallest over all texts to the
vectors of sentence-transformers in float32. The cost of NV-Embed's head is measured by scripts/check_head.py.

Exits 1 where a vector's cosine is below 0.999, 77 without sentence-transformers.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from embed_bench.child import ChildError, measure, run
from embed_bench.texts import count_tokens, mixed_texts
from rich.console import Console
from rich.table import Table

from lodex.embed.registry import encoder_folder

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data"))
REFERENCE = "sentence-transformers"
# Peer -> how many times its texts a second are needed of `lodex`, or aimed at.
TARGETS = {REFERENCE: ("needed", 2.5), "openvino": ("aim", 1.3)}
COSINE = 0.999
console = Console(width=150)


def main() -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=2, help="counted passes of each process")
    parser.add_argument("--quick", action="store_true", help="200 texts, one round")
    parser.add_argument("--engines", default="", help="some of the engines, with commas; all that are installed")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run(arguments.child, arguments.work, arguments.passes)
        return 0
    if importlib.util.find_spec("sentence_transformers") is None:
        console.print("sentence-transformers is not installed: the extra [bench] has it")
        return 77
    engines = arguments.engines.split(",") if arguments.engines else installed_engines()
    count, rounds = (200, 1) if arguments.quick else (arguments.texts, arguments.rounds)
    folder = encoder_folder("minilm")
    with tempfile.TemporaryDirectory() as work:
        report = compare(engines, folder, count, rounds, arguments.passes, arguments.core, arguments.seed, Path(work))
    print_report(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(surroundings() | report, indent=1) + "\n")
    return int(any(row["cosine"] is not None and row["cosine"] < COSINE for row in report["rows"]))


def installed_engines() -> list[str]:
    """The default engines; OpenVINO's only where it is installed."""
    from embed_bench.engines import ENGINES

    with_openvino = importlib.util.find_spec("openvino") is not None
    if not with_openvino:
        console.print("openvino is not installed: the extra [bench] has it; its rows are left out")
    return [name for name in ENGINES if with_openvino or not name.startswith("openvino")]


def compare(
    engines: list[str], folder: Path, count: int, rounds: int, passes: int, core: int, seed: int, work: Path
) -> dict[str, Any]:
    """A row for each engine, over the same texts."""
    texts = mixed_texts(DATA, folder / "tokenizer.json", count, seed)
    tokens = count_tokens(folder / "tokenizer.json", texts)
    (work / "texts.json").write_text(json.dumps(texts))
    (work / "folder").write_text(str(folder))
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for i in range(rounds):
        for engine in engines:
            console.print(f"round {i + 1} of {rounds}: {engine}", style="dim")
            try:
                found[engine].append(measure(engine, work, core, passes))
            except ChildError as error:
                console.print(str(error), style="red")
    rows = [row(engine, runs, len(texts), sum(tokens), work) for engine, runs in found.items() if runs]
    return {
        "texts": len(texts),
        "tokens": sum(tokens),
        "token_quartiles": np.percentile(tokens, [0, 25, 50, 75, 100]).tolist(),
        "seed": seed,
        "rounds": rounds,
        "passes": passes,
        "rows": rows,
        "ratios": ratios(rows),
    }


def row(engine: str, runs: list[dict[str, Any]], texts: int, tokens: int, work: Path) -> dict[str, Any]:
    """The medians of an engine's passes, and how near its vectors are to the reference's."""
    cpu = [seconds for one in runs for seconds in one["cpu_s"]]
    wall = [seconds for one in runs for seconds in one["wall_s"]]
    reference = work / f"{REFERENCE}.npy"
    cosine = None
    if reference.exists():
        cosine = float((np.load(work / f"{engine}.npy") * np.load(reference)).sum(1).min())
    middle = statistics.median(cpu)
    return {
        "name": engine,
        "precision": runs[0]["precision"],
        "version": runs[0]["version"],
        "texts_per_cpu_s": texts / middle,
        "tokens_per_cpu_s": tokens / middle,
        "texts_per_s": texts / statistics.median(wall),
        "cosine": cosine,
        "load_s": statistics.median(one["load_s"] for one in runs),
        "first_pass_s": statistics.median(one["first_s"] for one in runs),
        "peak_bytes": max(one["peak_bytes"] for one in runs),
        "cpu_s": cpu,
        "wall_s": wall,
    }


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times the texts a second of each peer Lodex has, beside what is asked for."""
    speeds = {one["name"]: one["texts_per_cpu_s"] for one in rows}
    return [
        {
            "peer": peer,
            "ratio": speeds["lodex"] / speeds[peer],
            word: factor,
            "reached": factor <= speeds["lodex"] / speeds[peer],
        }
        for peer, (word, factor) in TARGETS.items()
        if peer in speeds and "lodex" in speeds
    ]


def print_report(report: dict[str, Any]) -> None:
    """A table for people."""
    table = Table(box=None, title=f"{report['texts']} texts, {report['tokens']:,} tokens, one core")
    for column in ("", "precision", "texts/s", "tokens/s", "wall texts/s", "cosine", "load s", "first s", "MiB"):
        table.add_column(column, justify="left" if column in ("", "precision") else "right")
    for one in report["rows"]:
        table.add_row(
            one["name"],
            one["precision"],
            f"{one['texts_per_cpu_s']:.1f}",
            f"{one['tokens_per_cpu_s']:,.0f}",
            f"{one['texts_per_s']:.1f}",
            "" if one["cosine"] is None else f"{one['cosine']:.6f}",
            f"{one['load_s']:.1f}",
            f"{one['first_pass_s']:.1f}",
            f"{one['peak_bytes'] / 2**20:.0f}",
        )
    console.print(table)
    for one in report["ratios"]:
        word = "needed" if "needed" in one else "aim"
        console.print(
            f"{one['ratio']:.2f} times {one['peer']} ({word} {one[word]}: {'yes' if one['reached'] else 'no'})"
        )


def surroundings() -> dict[str, Any]:
    """Machine, versions, date and commit."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    machine = {
        "cpu": next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""),
        "cpu_count": os.cpu_count(),
        "platform": platform.platform(),
        "bfloat16": [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags],
    }
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")}
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"date": datetime.now(UTC).date().isoformat(), "commit": commit, "machine": machine, "versions": versions}


if __name__ == "__main__":
    sys.exit(main())
