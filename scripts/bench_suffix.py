#!/usr/bin/env python
"""Lodex's suffix engine beside infini-gram 2.6.0, on the same index in one run.

    scripts/bench_suffix.py [--tokens 150000000] [--quick] [--only build,queries] [--growth] [--work DIR] [--json FILE]

The corpus is text found on this machine (manual pages, documents of packages, sources of Python, Perl, C and Node,
books), without duplicates, in an order that its names and the seed decide; one document of 50 is held out. It is
encoded by Lodex's own tokenizer to u16 and kept in DIR.

Each engine is a process of its own, with one thread. Figures are CPU time of the process, all its threads included,
nothing subtracted: the median of the means of five sets of queries, which are distinct, in random order, and half of
them from held-out documents. infini-gram runs without prefetching, its fastest setting when warm. Files are in memory
and mapped before the first query; rows called in_memory are of both engines with `load_to_ram`. Answers are compared
where infini-gram's are exact. A build is the median of fresh processes. Memory is the peak above that of the process
before it reads the text, whose bytes and the result's count. Cold: the files' pages are dropped before each query,
mincore finds none left, and the kernel reads no more than is asked for (MADV_RANDOM); each major fault is a page of 4
KiB.

Exits 1 where answers or tables differ, 77 without infini-gram.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suffix_bench.bench import Bench
from suffix_bench.building import build, merge, worst
from suffix_bench.child import ChildError, answer
from suffix_bench.corpus import Corpus, gather
from suffix_bench.growth import growth, plot
from suffix_bench.report import Row, caches, console, print_rows, surroundings
from suffix_bench.searching import ask, ask_in_memory, cold, sidecar

TOKENS, QUICK_TOKENS = 150_000_000, 3_000_000
PEER_NAMES = ("tokenized", "table", "offset", "metadata", "metaoff", "unigram")
SECTIONS: dict[str, Callable[[Bench], list[Row]]] = {
    "build": build,
    "worst": worst,
    "merge": merge,
    "queries": ask,
    "memory": ask_in_memory,
    "cold": cold,
    "sidecar": sidecar,
}


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    if sys.argv[1:2] == ["--child"]:
        answer(*sys.argv[2:4])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, help=f"size of the corpus, {TOKENS:,} if not given")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TOKENS:,} tokens and fewer queries: 50 seconds")
    parser.add_argument("--only", help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--growth", action="store_true", help="also 10, 40 and 100 M tokens, and sampled text beyond")
    parser.add_argument("--work", type=Path, help="where corpus and index are kept, a temporary folder if not given")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if importlib.util.find_spec("infini_gram") is None:
        console.print("skipped: infini_gram is not installed (pip install infini-gram==2.6.0)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        work = (arguments.work or Path(folder)).resolve()
        if any(name in str(work) for name in PEER_NAMES):
            sys.exit(f"{work}: infini-gram goes by these names anywhere in a path: {', '.join(PEER_NAMES)}")
        tokens = arguments.tokens or (QUICK_TOKENS if arguments.quick else TOKENS)
        bench = Bench(gather(work, tokens, arguments.seed), arguments.quick, arguments.seed)
        print_corpus(bench.corpus)
        sections = [name for name in SECTIONS if not (arguments.quick and name == "memory")]
        chosen = arguments.only.split(",") if arguments.only else sections
        rows = [row for name in chosen for row in measure(bench, name)]
        print_rows(rows)
        report = surroundings() | {"seed": bench.seed, "quick": bench.quick, "corpus": describe(bench.corpus)}
        report |= {"failures": bench.failures, "rows": [row.to_json() for row in rows]}
        write(report, arguments.json)
        if arguments.growth:
            report["growth"] = growth(bench.corpus, bench.quick, bench.seed)
            write(report, arguments.json)
    sys.exit(1 if bench.failures else 0)


def write(report: dict[str, Any], path: Path | None) -> None:
    """Keep a report if asked to, and a drawing of growth beside it if matplotlib is there."""
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n")
        if "growth" in report and importlib.util.find_spec("matplotlib"):
            plot(report["growth"], path.with_name(path.stem + "-growth.png"))


def measure(bench: Bench, section: str) -> list[Row]:
    """The rows of a section, none if it fails."""
    begin = time.monotonic()
    try:
        rows = SECTIONS[section](bench)
    except ChildError as error:
        bench.failures.append(f"{section}: {error}")
        console.print(f"[red]{section}: {error}[/]")
        return []
    console.print(f"{section}: {time.monotonic() - begin:.0f} s")
    return rows


def describe(corpus: Corpus) -> dict[str, Any]:
    """The corpus in a report."""
    return {
        "tokens": corpus.tokens,
        "documents": corpus.documents,
        "text_bytes": corpus.text_bytes,
        "held_out_tokens": corpus.held_out_tokens,
        "sha256": corpus.sha256,
        "table_bytes": 4 * corpus.tokens,
        "bytes_by_source": corpus.bytes_by_source,
    }


def print_corpus(corpus: Corpus) -> None:
    """What the figures are of."""
    cache = max(caches().values(), default=0)
    console.print(
        f"{corpus.tokens:,} tokens of {corpus.documents:,} documents, {corpus.held_out_tokens:,} held out; "
        f"table {corpus.tokens * 4 / 2**20:,.0f} MiB, last-level cache as reported {cache / 2**20:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
