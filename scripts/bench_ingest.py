#!/usr/bin/env python3
"""What ingest with tokenisation costs, beside the `tokenizers` library alone on the same text.

    scripts/bench_ingest.py [--quick] [--json FILE] [--repeat 3]

The library encodes the texts in batches of 1 MiB, of pieces of at most 128 KiB cut before a space, without threads:
its cheapest way, which was looked for. Its ids are taken out once, as numpy arrays. Lodex reads the files, writes the
store and builds the token stream, in one process and with a worker for each core. Each run is a process of its own, the
engines by turns; the row is the median of the runs. CPU seconds are user and system time, of workers too. Python's
start and the imports are left out of all. The ids of both are compared by their checksum.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from rich.console import Console
from rich.table import Table

from lodex.index.build import build_indexes
from lodex.index.ingest import ingest
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder, TokenStream
from lodex.index.worker_pool import WorkerPool, default_workers

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data"))
PIECE_CHARACTERS = 1 << 17
BATCH_CHARACTERS = 1 << 20
ENGINES = ("tokenizers", "lodex", "lodex workers")
# Text of the corpus of short documents.
SHORT_BYTES = 36_000_000
Row = dict[str, Any]


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the text, once: 20 seconds")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--run", nargs=2, metavar=("ENGINE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(arguments.run[0], Path(arguments.run[1]))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("books", write_books), ("short documents", write_short)):
            corpus = Path(folder, name)
            corpus.mkdir()
            write(corpus, arguments.quick)
            rows += compare(name, corpus, 1 if arguments.quick else arguments.repeat)
    print_rows(rows)
    if arguments.json:
        machine = {"cpu_count": os.cpu_count(), "platform": platform.platform()}
        versions = {"python": platform.python_version()} | {n: version(n) for n in ("tokenizers", "numpy", "pyarrow")}
        arguments.json.write_text(json.dumps({"machine": machine, "versions": versions, "rows": rows}, indent=1) + "\n")


def write_books(corpus: Path, small: bool) -> None:
    """Whole books as text files."""
    books = sorted((DATA / "lm_books" / "books").glob("*.txt"))
    for book in books[:8] if small else books:
        shutil.copy(book, corpus)


def write_short(corpus: Path, small: bool) -> None:
    """Abstracts and web passages as JSON lines; a second copy has its sentences in reverse, to be other text."""
    documents = []
    for path in ("retrieval_scifact", "retrieval_vaswani", "retrieval_cranfield", "rerank_dl19"):
        for line in (DATA / path / "corpus.jsonl").read_text().splitlines():
            document = json.loads(line)
            documents.append(f"{document.get('title', '')}\n{document['text']}".strip())
    documents = [text for text in documents if text]
    backwards = (". ".join(reversed(text.split(". "))) for text in documents)
    left = SHORT_BYTES // (10 if small else 1)
    with (corpus / "short.jsonl").open("w") as file:
        for number, text in enumerate([*documents, *backwards]):
            left -= len(text.encode())
            if left < 0:
                break
            file.write(json.dumps({"id": number, "text": text}) + "\n")


def compare(name: str, corpus: Path, repeat: int) -> list[Row]:
    """All engines on one corpus, by turns."""
    runs: dict[str, list[Row]] = {engine: [] for engine in ENGINES}
    for _ in range(repeat):
        for engine in ENGINES:
            command = [sys.executable, __file__, "--run", engine, str(corpus)]
            environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "OPENBLAS_NUM_THREADS": "1"}
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            runs[engine].append(json.loads(done.stdout))
    ids = {run["ids"] for engine in ENGINES for run in runs[engine]}
    if len(ids) > 1:
        sys.exit(f"{name}: the ids differ")
    rows = []
    for value, unit in (("cpu_s", "CPU s"), ("wall_s", "s")):
        peer = statistics.median(run[value] for run in runs["tokenizers"])
        for engine in ENGINES[1:]:
            mine = statistics.median(run[value] for run in runs[engine])
            rows.append(
                {
                    "name": f"{engine.replace(' ', '_')}_{name.replace(' ', '_')}_{value}",
                    "corpus": name,
                    "megabytes": runs[engine][0]["bytes"] / 1e6,
                    "engine": engine,
                    "value": mine,
                    "unit": unit,
                    "better": "lower",
                    "peer": "tokenizers alone, without threads",
                    "peer_value": peer,
                    "ratio": peer / mine,
                    "cost": mine / peer,
                    "runs": [run[value] for run in runs[engine]],
                    "peer_runs": [run[value] for run in runs["tokenizers"]],
                }
            )
    return rows


def run(engine: str, corpus: Path) -> Row:
    """One engine in this process."""
    if engine == "tokenizers":
        return run_library(corpus)
    with tempfile.TemporaryDirectory(dir=corpus.parent) as folder:
        return run_lodex(corpus, Path(folder, "store"), default_workers() if engine == "lodex workers" else 1)


def run_library(corpus: Path) -> Row:
    """The library on texts that are in memory already."""
    tokenizer = Tokenizer.load()
    library = tokenizer._tokenizer
    texts = list(read_texts(corpus))
    parts: list[Any] = []
    started, cpu_started = time.perf_counter(), cpu_seconds()
    for batch in batches(texts):
        parts += [np.array(encoding.ids, tokenizer.dtype) for encoding in library.encode_batch_fast(batch)]
    cost = {"wall_s": time.perf_counter() - started, "cpu_s": cpu_seconds() - cpu_started}
    return cost | {"bytes": sum(len(text.encode()) for text in texts), "ids": checksum(parts)}


def run_lodex(corpus: Path, path: Path, workers: int) -> Row:
    """Files into a store with a token stream."""
    tokenizer = Tokenizer.load()
    started, cpu_started = time.perf_counter(), cpu_seconds()
    store = Store.create(path)
    summary = ingest(store, [str(corpus)], workers=workers)
    with WorkerPool(workers) as pool:
        snapshot = build_indexes(store, {"tokens": TokensBuilder(tokenizer)}, pool=pool)
    cost = {"wall_s": time.perf_counter() - started, "cpu_s": cpu_seconds() - cpu_started}
    streams = [TokenStream(artefact) for _, artefact in snapshot.parts("tokens") if artefact is not None]
    parts = [stream.tokens[stream.tokens != stream.separator] for stream in streams]
    return cost | {"bytes": summary.text_bytes, "ids": checksum(parts)}


def read_texts(corpus: Path) -> Iterator[str]:
    """The texts as ingest reads them."""
    for path in sorted(corpus.iterdir()):
        if path.suffix == ".txt":
            yield path.read_text()
        else:
            yield from (json.loads(line)["text"] for line in path.read_text().splitlines())


def batches(texts: list[str]) -> Iterator[list[str]]:
    """Pieces of texts in batches of about a MiB."""
    batch: list[str] = []
    size = 0
    for text in texts:
        begin = 0
        while begin < len(text):
            cut = text.find(" ", begin + PIECE_CHARACTERS)
            # A space after a space or a line end would not be a place where ids are separate.
            while cut > 0 and not "!" <= text[cut - 1] <= "~":
                cut = text.find(" ", cut + 1)
            end = cut if cut > 0 else len(text)
            batch.append(text[begin:end])
            size += end - begin
            begin = end
            if size >= BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def checksum(parts: list[Any]) -> str:
    """A checksum of ids in a row."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(np.ascontiguousarray(part, "<u4").tobytes())
    return digest.hexdigest()


def cpu_seconds() -> float:
    """User and system time of this process and of those it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def print_rows(rows: list[Row]) -> None:
    """A table for people."""
    table = Table(box=None)
    for column in ("corpus", "MB", "engine", "", "lodex", "tokenizers", "cost"):
        table.add_column(column, justify="left" if column in ("corpus", "engine", "") else "right")
    for row in rows:
        values = (f"{row['value']:.2f}", f"{row['peer_value']:.2f}", f"{row['cost']:.2f}")
        table.add_row(row["corpus"], f"{row['megabytes']:.1f}", row["engine"], row["unit"], *values)
    Console().print(table)


if __name__ == "__main__":
    main()
