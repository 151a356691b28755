#!/usr/bin/env python3
"""Show that the memory of an ingest does not grow with its input.

    scripts/check_ingest_memory.py [--megabytes 1000] [--seed 1] [--limit-mb 50]

Writes a JSONL file of the given size, documents of about 2 KB cut at random from Python's documentation, and a second
one that repeats it four times under other ids. Ingests each in a process of its own and prints the two peaks of
resident memory (VmHWM, mapped files included) and their difference. Exits 1 where the difference is above the limit.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from lodex.index.ingest import ingest
from lodex.index.sources.python_docs import python_docs
from lodex.index.store import Store

DOCUMENT_CHARACTERS = 2000
REPETITIONS = 4


def main() -> None:
    """Run the check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit-mb", type=int, default=50)
    parser.add_argument("--ingest", nargs=2, metavar=("STORE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ingest:
        measure(*arguments.ingest)
        return
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, REPETITIONS):
            corpus = Path(folder, f"{times}.jsonl")
            write_corpus(corpus, arguments.megabytes << 20, times, arguments.seed)
            command = [sys.executable, __file__, "--ingest", str(Path(folder, f"store{times}")), str(corpus)]
            report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            peaks.append(report["peak_mb"])
            print(
                f"{corpus.stat().st_size / 1e6:10,.0f} MB of JSONL  {report['documents']:12,} documents  "
                f"{report['seconds']:8,.1f} s  peak {report['peak_mb']:8,.1f} MB",
                flush=True,
            )
            corpus.unlink()
    difference = peaks[1] - peaks[0]
    print(f"difference {difference:.1f} MB, at most {arguments.limit_mb} MB allowed")
    sys.exit(difference > arguments.limit_mb)


def write_corpus(path: Path, size_bytes: int, times: int, seed: int) -> None:
    """Write documents until `size_bytes`, and all of them `times` times, each time under other ids."""
    text = "\n\n".join(document.text for document in python_docs())
    with path.open("w") as file:
        for repetition in range(times):
            rng = random.Random(seed)
            written = number = 0
            while written < size_bytes:
                begin = rng.randrange(len(text) - DOCUMENT_CHARACTERS)
                row = {
                    "id": f"{repetition}-{number:09d}",
                    "title": f"Excerpt {number}",
                    "text": text[begin : begin + rng.randrange(DOCUMENT_CHARACTERS // 2, DOCUMENT_CHARACTERS * 3 // 2)],
                    "offset": begin,
                }
                written += file.write(json.dumps(row) + "\n")
                number += 1


def measure(store: str, corpus: str) -> None:
    """Ingest and print what it took, as JSON."""
    summary = ingest(Store.create(store), [corpus])
    status = Path("/proc/self/status").read_text()
    peak_kb = int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])
    print(json.dumps({"documents": summary.documents, "seconds": summary.seconds, "peak_mb": peak_kb / 1024}))


if __name__ == "__main__":
    main()
